"""Which windows the positions of a batch belong to: each list of devices once, though several windows get it."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple
from zoneinfo import ZoneInfo

from core.messages import Kind, Position
from timeseries import Width, nominal_ms, window_start

MOMENT_MS = 30_000
"""No window begins within half a minute that itself begins at a whole one: not even days of the oddest time zone."""
WINDOW_LIFE_MS = 48 * 3600 * 1000
"""How long after its last change a window's set is kept, beyond the width of the window."""

Devices = dict[tuple[tuple[str, ...], Kind], set[int]]
"""The numbers of the devices of a kind that were in the same zones."""


class Span(NamedTuple):
    """Windows that cover the same moments of a batch, and what each of them gets."""

    windows: list[tuple[str, int]]
    """How the names of the windows begin (width and start), and how long their sets live (ms)."""
    sets: list[tuple[str, list[int]]]
    """How the names end (zone and kind), and the numbers of the devices."""


def spans(positions: Sequence[Position], numbers: Mapping[str, int], zone: ZoneInfo) -> list[Span]:
    """The windows of all positions; `numbers` are those of the devices, `zone` is whose days the 1d windows are.

    A beginning and an end make the `member` of a `timeseries.Window`.
    """
    moments: dict[int, Devices] = {}
    for position in positions:
        here = moments.setdefault(position.observed_at - position.observed_at % MOMENT_MS, {})
        here.setdefault((position.zones, position.kind), set()).add(numbers[position.device])
    covered: dict[tuple[Width, int], list[int]] = {}
    for moment in moments:
        for width in Width:
            covered.setdefault((width, window_start(width, moment, zone)), []).append(moment)
    together: dict[tuple[int, ...], list[tuple[str, int]]] = {}
    for (width, start), covers in covered.items():
        together.setdefault(tuple(covers), []).append((f"{width}:{start}:", nominal_ms[width] + WINDOW_LIFE_MS))
    return [Span(windows, _sets([moments[moment] for moment in covers])) for covers, windows in together.items()]


def _sets(moments: Sequence[Devices]) -> list[tuple[str, list[int]]]:
    sets: dict[tuple[str, Kind], set[int]] = {}
    for seen in moments:
        for (zones, kind), devices in seen.items():
            for zone in zones:
                sets.setdefault((zone, kind), set()).update(devices)
    return [(f"{zone}:{kind}", list(devices)) for (zone, kind), devices in sets.items()]
