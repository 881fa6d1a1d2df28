"""Who is there now, as the system says it: looks at it, kept to be scored beside the truth."""

import time
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from core.clock import parse_rfc3339
from core.kinds import KindId
from core.unreadable import UNREADABLE
from simulator.campus.counted import Counts, NoCountsError
from simulator.campus.score import Series
from simulator.campus.truth import About, BadTruthError, Visit


class Look(msgspec.Struct, frozen=True):
    """One answer about now: a line of JSON."""

    at: int
    """When it was true by the system's own clock, milliseconds since the epoch, UTC."""
    zones: dict[str, dict[str, int | None]]
    """By zone and kind how many are there; None where that is withheld."""


def looks(
    counts: Counts,
    kinds: Sequence[KindId],
    *,
    seconds: float,
    every: float,
    elapsed: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Look]:
    """Look so often, for so long. Raises NoCountsError."""
    begun = elapsed()
    number = 0
    while (due := number * every) <= seconds:
        if (early := begun + due - elapsed()) > 0:
            sleep(early)
        number += 1
        now = counts.now()
        try:
            yield Look(
                at=parse_rfc3339(now.last_updated),
                zones={str(zone["zone"]): {kind: _count(zone.get(kind)) for kind in kinds} for zone in now.zones},
            )
        except (KeyError, ValueError) as error:
            raise NoCountsError(f"what the API answers about now is no occupancy: {error}") from error


def read_looks(path: Path) -> list[Look]:
    """What was kept, a look a line. Raises BadTruthError, which names the file."""
    decoder = msgspec.json.Decoder(Look)
    try:
        return [decoder.decode(line) for line in path.read_bytes().splitlines()]
    except (OSError, *UNREADABLE) as error:
        raise BadTruthError(f"{path}: {error}") from error


def seen(found: Iterable[Look], about: About) -> tuple[list[int], dict[Series, list[int | None]]]:
    """The times of the looks within the truth, and for each zone and kind what was said then."""
    inside = [look for look in found if about.start <= look.at < about.end]
    said: dict[Series, list[int | None]] = {}
    for number, look in enumerate(inside):
        for zone, by_kind in look.zones.items():
            for kind, count in by_kind.items():
                said.setdefault(Series(zone, KindId(kind)), [None] * len(inside))[number] = count
    return [look.at for look in inside], said


def truly_there(visits: Iterable[Visit], times: Sequence[int]) -> dict[Series, list[int]]:
    """How many devices were in a zone at each of these times, which are in order."""
    changes: dict[Series, list[int]] = defaultdict(lambda: [0] * (len(times) + 1))
    for visit in visits:
        # Of the looks from the visit's beginning on one is more, from its end on one less.
        row = changes[Series(visit.zone, visit.kind)]
        row[bisect_right(times, visit.start - 1)] += 1
        row[bisect_right(times, visit.end - 1)] -= 1
    counts: dict[Series, list[int]] = {}
    for series, row in changes.items():
        here = 0
        counts[series] = [here := here + change for change in row[:-1]]
    return counts


def _count(value: object) -> int | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise ValueError(f"{str(value)[:40]!r} is no count")
