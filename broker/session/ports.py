"""What a connection asks of the transport below it, and of the node that it is at."""

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from broker.metrics import BrokerMetrics
from broker.protocol.reasons import Refusal
from broker.session.refusals import Refusals
from broker.settings import BrokerSettings
from broker.tasks import Tasks

Connection_contra = TypeVar("Connection_contra", contravariant=True)


class Transport(Protocol):
    """What a connection needs of asyncio's transports; those over WebSocket have it, too."""

    def write(self, data: bytes) -> None: ...  # noqa: D102 - asyncio.Transport says what they do
    def close(self) -> None: ...  # noqa: D102
    def abort(self) -> None: ...  # noqa: D102
    def is_closing(self) -> bool: ...  # noqa: D102
    def pause_reading(self) -> None: ...  # noqa: D102
    def resume_reading(self) -> None: ...  # noqa: D102
    def get_write_buffer_size(self) -> int: ...  # noqa: D102
    def get_extra_info(self, name: str, default: Any = None) -> Any: ...  # noqa: ANN401, D102


class Sender(Protocol):
    """The connection that answers go out by."""

    def write(self, data: bytes) -> None:
        """Send bytes, unless the connection is over."""

    def end(self, reason: Refusal | None, detail: str = "") -> None:
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


class Registry(Protocol[Connection_contra]):
    """Which connections there are."""

    def register(self, connection: Connection_contra) -> bool:
        """Count a connection that has just come; False where there is no room for it."""

    def hold_unfinished(self, connection: Connection_contra, size: int) -> None:
        """A connection holds so many bytes of packets that cannot be handled yet; somebody may have to go for that."""

    def remove(self, connection: Connection_contra, *, was_open: bool) -> None:
        """A connection is over; `was_open` is whether a client had been let in."""


class PacketReader(Protocol[Connection_contra]):
    """Who handles the packets that have come."""

    def read(self, connection: Connection_contra) -> None:
        """Handle all that is complete, up to what takes its time or is more than the rate of its user allows."""

    def go_on(self, connection: Connection_contra, error: BaseException | None) -> None:
        """What took its time is over, with this error or without one: read what came meanwhile."""


class Node(Keeper, Protocol[Connection_contra]):
    """All of it."""

    @property
    def settings(self) -> BrokerSettings:
        """Its limits."""

    @property
    def now(self) -> Callable[[], float]:
        """The clock of the event loop, in seconds."""

    @property
    def refusals(self) -> Refusals:
        """What is turned away."""

    @property
    def registry(self) -> Registry[Connection_contra]:
        """Which connections there are."""

    @property
    def reader(self) -> PacketReader[Connection_contra]:
        """Who handles the packets that have come."""
