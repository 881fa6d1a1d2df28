"""Counts so small that they could tell of one person: given as null, everywhere alike.

Only kinds that stand for people are withheld. What a withheld count could be computed from is withheld, too.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from core.kinds import KindId, Kinds


def least_of(kind: KindId, kinds: Kinds, least: int) -> int:
    """Under which number counts of a kind are withheld; `least` is PRIVACY_MIN_COUNT. 0 where none of them is."""
    return least if kinds[kind].person else 0


def shown_count(count: int, least: int) -> tuple[int | None, bool]:
    """A count as it may be shown, and whether it is suppressed; `least` is what `least_of` says of its kind.

    0 is under it like any other number: that nobody is there can be known of a zone, too.
    """
    return (None, True) if count < least else (count, False)


@dataclass(frozen=True, slots=True)
class ShownCounts:
    """The counts of one zone as they may be shown."""

    counts: Mapping[KindId, int | None]
    """By kind, in the order of the table; None where withheld."""
    total: int | None
    """None where a count is withheld: the others are known, so that the difference would tell."""
    used: int | None
    """How many take up the zone's capacity; None where one of their counts is withheld."""

    @property
    def suppressed(self) -> bool:
        """Whether any count is withheld."""
        return None in self.counts.values()


def shown_counts(counts: Mapping[KindId, int], kinds: Kinds, *, category: str | None, least: int) -> ShownCounts:
    """The counts of a zone of this category as they may be shown; `least` is PRIVACY_MIN_COUNT."""
    shown = {kind: shown_count(counts[kind], least_of(kind, kinds, least))[0] for kind in kinds.ids}
    total = _sum(shown.values())
    takers = [shown[kind.id] for kind in kinds if category in kind.capacity_of]
    return ShownCounts(counts=shown, total=total, used=_sum(takers) if takers else total)


def _sum(counts: Collection[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None
