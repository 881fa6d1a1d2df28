"""Filters of topics whose names people cannot choose: each has topics of its own, and says what its wildcards took."""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

MAX_FILTERS = 32
MAX_FILTER_CHARACTERS = 200
REMEMBERED = 4096
"""Topic names of which it is known by which filter they come; of others the one that was asked for longest ago goes."""
_ONE = "+"


class Matched(NamedTuple):
    """Which filter a topic name comes by."""

    number: int
    """Of the filter, from 0, in the order in which they were given."""
    taken: str
    """The levels that its wildcards took, joined by `/`."""


class TopicFilters:
    """Up to 32 filters of MQTT, with `+` and without `#`: of each topic name at most one of them is true."""

    def __init__(self, filters: Sequence[str]) -> None:
        """Raises ValueError for a filter that is none, and for two that are true of the same topic name."""
        if len(filters) > MAX_FILTERS:
            raise ValueError(f"there are at most {MAX_FILTERS} of them, not {len(filters)}")
        known: list[list[str]] = []
        self._by_size: dict[tuple[str, int], list[tuple[int, list[str]]]] = {}
        for index, each in enumerate(filters):
            levels = _levels(each)
            for other, text in zip(known, filters, strict=False):
                if _overlap(levels, other):
                    raise ValueError(f"{text!r} and {each!r} are true of the same topics")
            known.append(levels)
            self._by_size.setdefault((levels[0], len(levels)), []).append((index, levels))
        self.first_levels = tuple(dict.fromkeys(levels[0] for levels in known))
        """Of the filters, in their order, each once."""
        self._first = frozenset(self.first_levels)
        self._find = lru_cache(REMEMBERED)(self._look)

    def covers(self, topic: str) -> bool:
        """Whether a topic name, or a filter, begins with the first level of one of them."""
        return topic.partition("/")[0] in self._first

    def find(self, topic: str) -> Matched | None:
        """The filter that is true of a topic name; None where none is."""
        return self._find(topic) if self.covers(topic) else None

    def _look(self, topic: str) -> Matched | None:
        levels = topic.split("/")
        for index, wanted in self._by_size.get((levels[0], len(levels)), ()):
            if all(want in (_ONE, level) for want, level in zip(wanted, levels, strict=True)):
                taken = (level for want, level in zip(wanted, levels, strict=True) if want == _ONE)
                return Matched(index, "/".join(taken))
        return None


def _levels(text: str) -> list[str]:
    if not 1 <= len(text) <= MAX_FILTER_CHARACTERS or not text.isprintable():
        raise ValueError(f"a filter of topics has 1 to {MAX_FILTER_CHARACTERS} printed characters, not {text[:80]!r}")
    if "#" in text:
        raise ValueError(f"{text!r} has a #: write a + for each level")
    levels = text.split("/")
    if any(_ONE in level and level != _ONE for level in levels):
        raise ValueError(f"{text!r} has a + that is not a whole level")
    if levels[0] in {"", _ONE}:
        raise ValueError(f"{text!r} does not begin with a level that has a name, as owntracks/+/+ does")
    return levels


def _overlap(some: list[str], others: list[str]) -> bool:
    return len(some) == len(others) and all(
        one == other or _ONE in (one, other) for one, other in zip(some, others, strict=True)
    )
