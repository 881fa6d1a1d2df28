"""Marks that the system has made of a crowd, beside who makes positions up: how many are right, how many are found."""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import msgspec

from core.kinds import KindId
from core.marks import Mark
from simulator.campus.counted import Counts
from simulator.campus.truth import About, Visit

HOUR_MS = 3_600_000
Hashed = Callable[[KindId, str], str]
"""The hash by which a system knows a device."""


class MarkScore(msgspec.Struct, frozen=True):
    """How well one mark tells those who make positions up in its way from all others."""

    mark: Mark
    spoofers: int
    """Devices that do, and of which the system has positions."""
    marked: int
    """Devices that have the mark, in whichever hour."""
    right: int
    """Those of them who do what it says."""
    precision: float | None
    """Of the devices that are marked, the share that is right; None where none is marked."""
    recall: float | None
    """Of the spoofers, the share that is marked; None where there are none."""


class Scored(NamedTuple):
    """All of it."""

    marks: list[MarkScore]
    honest: int
    """Devices that make nothing up, and were on the campus."""
    wronged: int
    """Those of them that are marked, with whichever mark."""


def judged_range(about: About) -> tuple[int, int] | None:
    """The hours of a truth that are over, from and to, milliseconds since the epoch; None where there is none."""
    end = about.end // HOUR_MS * HOUR_MS
    return (about.start, end) if end > about.start else None


def seen_marks(counts: Counts, start_ms: int, end_ms: int) -> dict[str, set[Mark]]:
    """The marks of devices in a range, by their hashes. Raises NoCountsError."""
    found: dict[str, set[Mark]] = {}
    for properties in counts.positions(start_ms, end_ms, plausible="false"):
        if properties.marks:
            found.setdefault(properties.device, set()).update(properties.marks)
    return found


def seen_devices(counts: Counts, devices: Iterable[str], start_ms: int, end_ms: int) -> set[str]:
    """Those of these devices, by their hashes, of which there are positions in a range. Raises NoCountsError."""
    return {
        device
        for device in devices
        if next(iter(counts.positions(start_ms, end_ms, device=device, limit="1")), None) is not None
    }


def score_marks(marks: Mapping[str, Iterable[Mark]], spoofers: Mapping[str, Mark], honest: Iterable[str]) -> Scored:
    """Compare marks with the truth, all by hashes of devices. `spoofers` are those of which there are positions."""
    scores = []
    for mark in Mark:
        marked = {device for device, found in marks.items() if mark in found}
        guilty = {device for device, way in spoofers.items() if way is mark}
        right = len(marked & guilty)
        scores.append(
            MarkScore(
                mark=mark,
                spoofers=len(guilty),
                marked=len(marked),
                right=right,
                precision=right / len(marked) if marked else None,
                recall=right / len(guilty) if guilty else None,
            )
        )
    innocent = set(honest) - spoofers.keys()
    return Scored(scores, len(innocent), len(innocent & marks.keys()))


def honest_devices(visits: Iterable[Visit], start_ms: int, end_ms: int) -> set[tuple[KindId, str]]:
    """The honest devices of a range, with their kinds."""
    return {(visit.kind, visit.device) for visit in visits if visit.start < end_ms and visit.end > start_ms}
