"""What may be told of counts, everywhere alike.

Under PRIVACY=open counts are true, and those so small that they could tell of one person are given as null: only of
kinds that stand for people, and what a withheld count could be computed from is withheld, too.

Otherwise there are none but released counts (`disclosure.walk`), of which nothing has to be protected: a small one is
null for it would be taken for the true one, of all kinds alike. What is made of single positions is withheld.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from core.kinds import KindId, Kinds
from disclosure.policy import Policy
from disclosure.walk import slack_of


def least_of(kind: KindId, kinds: Kinds, least: int, *, released: bool = False) -> int:
    """Under which number counts of a kind are withheld; `least` is PRIVACY_MIN_COUNT. 0 where none of them is.

    Of released counts the kind decides nothing.
    """
    return least if released or kinds[kind].person else 0


def furthest(width: int) -> int:
    """How many are present is nearer to a released count than this, but while that follows a crowd step by step."""
    return slack_of(width) + width


def steps_of(policy: Policy) -> dict[str, int] | None:
    """How released counts of a zone go, and how near to the true ones they and those of the campus are; None: open."""
    if policy.is_open:
        return None
    return {"step": policy.width, "edge": furthest(policy.width), "campus_edge": furthest(policy.campus_width)}


def released_basis(policy: Policy) -> list[str]:
    """What released counts are, and what they do not say, in sentences for people; none where counts are true."""
    if policy.is_open:
        return []
    zone, campus = furthest(policy.width), furthest(policy.campus_width)
    seconds = policy.slot_ms // 1000
    steps = (
        f"Counts are released counts: they follow how many are present in steps of {policy.width}, on the campus as a"
        f" whole of {policy.campus_width}, and seldom, so that one device hardly ever moves one."
    )
    error = (
        f"The true count of a zone is nearer to the released one than {zone}, on the campus as a whole than {campus};"
        f" a crowd that comes at once is followed by one step in {seconds} s."
    )
    means = (
        "A window is the mean of what was released in it: it tells no devices apart, and late positions change nothing."
    )
    null = f"What is null is a released count under {policy.least}: fewer than {zone} may be there."
    return [steps, error, means, null]


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


def shown_released_counts(
    counts: Mapping[KindId, int], kinds: Kinds, *, category: str | None, least: int
) -> ShownCounts:
    """The released counts of a zone of this category as they may be shown; `least` is PRIVACY_MIN_COUNT.

    They tell nothing that is not told already, so no sum has to be withheld with a part of it.
    """

    def shown(count: int) -> int | None:
        return shown_count(count, least)[0]

    takers = [counts[kind.id] for kind in kinds if category in kind.capacity_of]
    total = sum(counts[kind] for kind in kinds.ids)
    return ShownCounts(
        counts={kind: shown(counts[kind]) for kind in kinds.ids},
        total=shown(total),
        used=shown(sum(takers) if takers else total),
    )


def _sum(counts: Collection[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None


Pair = tuple[str, str]
"""The zones that devices went from and to: origin, destination."""


@dataclass(frozen=True, slots=True)
class Cell:
    """How often devices of a kind went from one zone to another in an hour."""

    count: int
    devices: int
    """How many different ones they were: at most `count`."""


def shown_cells(cells: Mapping[Pair, Cell], least: int) -> dict[Pair, Cell]:
    """The flows of one hour and kind that may be shown; whichever pair is left out is withheld.

    That nobody went from one zone to another is withheld as well, so a pair that is left out tells nothing: it may be
    any number under `least`. No sum of all that come to a zone, or leave it, is shown beside them: the counts that they
    could be subtracted from are those of `shown_visits`.
    """
    return {pair: cell for pair, cell in cells.items() if cell.devices >= least}


Quartiles = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Visits:
    """The visits of a zone by devices of a kind in an hour."""

    entries: int
    exits: int
    devices: int
    """Different ones that came or left."""
    visits: int
    dwell: Quartiles | None
    """Of the visits that ended in it, how long they were, in seconds; None where that is not known."""
    dwell_devices: int
    """How many devices' visits that is made of."""


@dataclass(frozen=True, slots=True)
class ShownVisits:
    """The same as they may be shown."""

    entries: int
    exits: int
    devices: int | None
    """None where it is withheld, with `visits`: where nobody comes twice they are the same."""
    visits: int | None
    dwell: tuple[int, int, int] | None
    """In whole minutes; None where it is withheld."""

    @property
    def suppressed(self) -> bool:
        """Whether any of it is withheld."""
        return None in (self.devices, self.visits, self.dwell)


DWELL_TIMES = 4
"""A quartile says where a quarter of the visits are: so that a quarter is enough devices, there must be so many times
as many."""


def shown_visits(visits: Visits, *, flowed_in: int, flowed_out: int, left: int, least: int) -> ShownVisits | None:
    """The visits of a zone in an hour as they may be shown; None where they are withheld.

    Entries and exits are shown both or none: they differ by the change of presence, which is known. How many visits
    began or ended says, beside them, how many only began, only ended, or did both: it is shown where each is `least`.

    `flowed_in` and `flowed_out` are what the flows into the zone and out of it sum up to that are shown of the hour
    (`shown_cells`), `left` the exits of the time in which those that flowed out may have left. What is left of entries
    and exits when these are subtracted must be `least` as well. So each flow that is withheld may still be any number
    under `least`.
    """
    rest = min(
        visits.devices, visits.entries, visits.exits, visits.visits, visits.entries - flowed_in, left - flowed_out
    )
    if rest < least:
        return None
    both = visits.entries + visits.exits - visits.visits
    whole = min(visits.entries - both, visits.exits - both, both) >= least
    dwell = visits.dwell if visits.dwell_devices >= DWELL_TIMES * least else None
    return ShownVisits(
        entries=visits.entries,
        exits=visits.exits,
        devices=visits.devices if whole else None,
        visits=visits.visits if whole else None,
        dwell=(_minutes(dwell[0]), _minutes(dwell[1]), _minutes(dwell[2])) if dwell else None,
    )


def _minutes(seconds: float) -> int:
    return round(seconds / 60)


@dataclass(frozen=True, slots=True)
class ShownForecast:
    """A forecast of a count as it may be shown: each part by itself, None where it is withheld."""

    value: float | None
    low: float | None
    high: float | None

    @property
    def suppressed(self) -> bool:
        """Whether any part is withheld."""
        return None in (self.value, self.low, self.high)


def shown_forecast(value: float, low: float, high: float, least: int) -> ShownForecast:
    """A forecast and its interval as they may be shown; `least` is what `least_of` says of its kind.

    Each is a count that is thought likely, and may be as near to the true one as that: so it is withheld like one.
    """
    return ShownForecast(*(None if part < least else round(part, 1) for part in (value, low, high)))


def shown_after(counts: Iterable[int], least: int) -> bool:
    """Whether what was corrected by these counts may be shown; `least` is what `least_of` says of their kind.

    Where one of them is withheld it may not: how it was corrected says what they add up to, and the others are known.
    """
    return not any(shown_count(count, least)[1] for count in counts)
