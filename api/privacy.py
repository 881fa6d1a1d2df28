"""Counts so small that they could tell of one person: given as null, everywhere alike.

Only phones are withheld: they stand for people. What a withheld count could be computed from is withheld, too.
"""

from dataclasses import dataclass


def shown_count(mobile: int, least: int) -> tuple[int | None, bool]:
    """A count of phones as it may be shown, and whether it is suppressed; `least` is PRIVACY_MIN_COUNT.

    0 is under it like any other number: that nobody is there can be known of a zone, too.
    """
    return (None, True) if mobile < least else (mobile, False)


@dataclass(frozen=True, slots=True)
class ShownCounts:
    """The counts of one zone as they may be shown."""

    mobile: int | None
    total: int | None
    """None where cars are known, so that the difference would tell."""
    suppressed: bool


def shown_counts(*, car: int, mobile: int, least: int) -> ShownCounts:
    """The counts of a zone as they may be shown; `least` is PRIVACY_MIN_COUNT."""
    shown, suppressed = shown_count(mobile, least)
    return ShownCounts(mobile=shown, total=None if suppressed else car + mobile, suppressed=suppressed)
