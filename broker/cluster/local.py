"""What the cluster asks of the node that it is part of."""

from typing import Protocol

from broker.protocol.message import Message


class Local(Protocol):
    """The node's own connections. Its methods return at once, and raise nothing."""

    def deliver(self, messages: list[Message]) -> None:
        """Messages that were published on other nodes, in their order, for the subscribers here."""

    def wake(self, client_id: str) -> None:
        """There is something new in the queue of a client that had been sent all of it."""

    def changed(self, topics: list[str]) -> None:
        """States have changed: persistent sessions that have subscribed to them get them from Redis."""

    def disconnect(self, client_id: str, connection: int) -> None:
        """Another node has taken a client over: this connection of its must end."""

    def fenced(self) -> None:
        """Others took this node for dead, and it has become another: all its connections must end."""

    def users_changed(self) -> None:
        """Somebody has added, changed or removed users."""
