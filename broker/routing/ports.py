"""What routing asks of the connections of its node."""

from typing import Protocol

from broker.protocol.message import Message
from broker.protocol.reasons import Refusal
from core.kinds import Role


class Subscriber(Protocol):
    """A client that is connected here."""

    clean: bool
    """Whether its session ends with it."""
    owner: str
    """Whose it is, as `broker.auth.owner` has it."""
    role: Role
    user: str
    """Empty for an anonymous client."""

    @property
    def person(self) -> str:
        """Whose version of an application it gets (`core.versions`): the user's, else the client identifier's."""

    def deliver(self, message: Message, qos: int, packet: bytes | None) -> None:
        """A message for this client, with the lower of its QoS and the one granted; at QoS 0 also encoded."""

    def wake(self) -> None:
        """There is something in this session's queue."""

    @property
    def waiting_out(self) -> int:
        """Bytes of messages that wait in memory for this client."""


class Connected(Subscriber, Protocol):
    """A connection, also one whose client is not let in yet."""

    client_id: str

    def end(self, reason: Refusal | None, detail: str = "") -> None:
        """End the connection, and count why. What was written before still goes out."""

    def abort(self, reason: Refusal | None = None, detail: str = "") -> None:
        """End the connection at once, and count why."""
