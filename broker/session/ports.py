"""What a session asks of the node that it is at."""

from typing import Protocol

from broker.metrics import BrokerMetrics
from broker.tasks import Tasks


class Peer(Protocol):
    """A client, as a log names it."""

    user: str
    peer: str


class Sender(Protocol):
    """The connection that answers go out by."""

    def write(self, data: bytes) -> None:
        """Send bytes, unless the connection is over."""

    def end(self, reason: str, detail: str = "") -> None:
        """End the connection, and count why."""

    def read_no_more(self) -> None:
        """Read nothing more for now."""

    def read_on(self) -> None:
        """Read on, unless something else stands against it."""


class Keeper(Protocol):
    """The node as answers know it: what they wait for is kept by it."""

    @property
    def metrics(self) -> BrokerMetrics:
        """What is counted."""

    @property
    def problem(self) -> str | None:
        """Why nothing can be kept at present; None when all is well."""

    @property
    def tasks(self) -> Tasks:
        """Work that is begun here, and held there."""
