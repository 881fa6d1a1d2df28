"""Bytes that clients hold at a node: bounded in all, and of each owner."""

from collections import Counter


class Shares:
    """Of one owner at most `each`, of all at most `most`."""

    def __init__(self, *, each: int, most: int) -> None:
        self._each = each
        self._most = most
        self._of_owner: Counter[str] = Counter()
        self.total = 0

    def has_room(self, owner: str, size: int, *, in_all: int | None = None) -> bool:
        """Whether an owner may have so many bytes more; in all it is so many, where that differs."""
        more = size if in_all is None else in_all
        return self._of_owner.get(owner, 0) + size <= self._each and self.total + more <= self._most

    def change(self, owner: str, by: int, *, in_all: int | None = None) -> None:
        """An owner has so many more, or less; in all it is so many, where that differs."""
        self._of_owner[owner] += by
        if not self._of_owner[owner]:
            del self._of_owner[owner]
        self.total += by if in_all is None else in_all
