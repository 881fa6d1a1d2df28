"""A bounded queue that is shared out fairly: by address, and within an address by user."""

from collections import OrderedDict, deque
from typing import Generic, TypeVar

Item = TypeVar("Item")
_Names = OrderedDict[str, deque[Item]]


class QueueFullError(Exception):
    """There is no place for it: nobody has more than who asks for one more."""


class FairQueue(Generic[Item]):
    """What waits, by address and name; no address keeps another one waiting, and no name another one of its address.

    Addresses take turns, and so do the names of an address; of one name one is under way at a time. Where all places
    are taken, whoever has most of them loses the last one to whoever has fewer. So one address may have all places
    while nobody else wants any.
    """

    def __init__(self, most: int) -> None:
        """`most` is how many may wait."""
        self._most = most
        self._waiting: OrderedDict[str, _Names[Item]] = OrderedDict()
        self._size = 0
        self._under_way: set[tuple[str, str]] = set()

    def put(self, address: str, name: str, item: Item) -> Item | None:
        """Let `item` wait; what has lost its place to it, if something has. Raises Full."""
        out = self._make_room(address, name) if self._size >= self._most else None
        self._waiting.setdefault(address, OrderedDict()).setdefault(name, deque()).append(item)
        self._size += 1
        return out

    def take(self) -> tuple[str, str, Item] | None:
        """The next one, with its address and name, which are under way until `done`; None where nothing can go on."""
        for address, names in self._waiting.items():
            for name, items in names.items():
                if (address, name) in self._under_way:
                    continue
                item = items.popleft()
                names.move_to_end(name)
                self._waiting.move_to_end(address)
                self._taken(address, name)
                self._under_way.add((address, name))
                return address, name, item
        return None

    def done(self, address: str, name: str) -> None:
        """What was taken is over, and the next one of that name may follow."""
        self._under_way.discard((address, name))

    def _make_room(self, address: str, name: str) -> Item:
        fullest = max(self._waiting, key=self._of_address)
        if self._of_address(address) + 1 >= self._of_address(fullest):
            # Nobody has more than this one would have: what it may take is of its own address.
            if address not in self._waiting:
                raise QueueFullError
            fullest = address
        names = self._waiting[fullest]
        longest = max(names, key=lambda each: len(names[each]))
        if fullest == address and len(names.get(name, ())) + 1 >= len(names[longest]):
            raise QueueFullError
        item = names[longest].pop()
        self._taken(fullest, longest)
        return item

    def _of_address(self, address: str) -> int:
        return sum(map(len, self._waiting.get(address, {}).values()))

    def _taken(self, address: str, name: str) -> None:
        self._size -= 1
        names = self._waiting[address]
        if not names[name]:
            del names[name]
        if not names:
            del self._waiting[address]
