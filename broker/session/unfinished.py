"""What clients have sent of packets that cannot be handled yet: bounded for the node, and shared out by address."""

from collections import Counter
from typing import Generic, Protocol, TypeVar


class Holder(Protocol):
    """A connection that may hold some of it."""

    @property
    def address(self) -> str:
        """What its peer counts as."""


Held = TypeVar("Held", bound=Holder)


class Unfinished(Generic[Held]):
    """Bytes that wait for the rest of their packet, for their connection to be let in, or for their user's rate.

    Where they are more than `most`, whoever holds most of the address that holds most has to go: so nobody is concerned
    by what others hold who has less.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._held: dict[Held, int] = {}
        self._of_address: Counter[str] = Counter()
        self.total = 0

    def hold(self, holder: Held, size: int) -> list[Held]:
        """Somebody holds so many bytes now, 0 for none; those who have to go, and hold nothing any more."""
        before = self._held.pop(holder, 0)
        if size:
            self._held[holder] = size
        self.total += size - before
        address = holder.address
        self._of_address[address] += size - before
        if not self._of_address[address]:
            del self._of_address[address]
        gone: list[Held] = []
        while self.total > self._most:
            gone.append(self._largest())
            self.hold(gone[-1], 0)
        return gone

    def _largest(self) -> Held:
        address = max(self._of_address, key=self._of_address.__getitem__)
        return max(
            (holder for holder in self._held if holder.address == address), key=lambda holder: self._held[holder]
        )
