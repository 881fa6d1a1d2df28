"""Counts beside the truth as SVG, zone by zone. Written by hand, for that needs no library."""

from collections.abc import Sequence
from datetime import datetime, tzinfo
from typing import NamedTuple
from xml.sax.saxutils import escape

WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 460, 220, 46, 34, 12, 30
_TRUTH, _COUNTED = "#1b6ca8", "#c8553d"
_LABELS = 6


class Drawn(NamedTuple):
    """One zone and kind."""

    title: str
    truth: Sequence[int]
    counted: Sequence[int | None]


def svg(drawn: Sequence[Drawn], windows: range, zone: tzinfo) -> str:
    """Two charts in a row; `windows` begin at milliseconds since the epoch, and `zone` is the campus's time zone."""
    rows, columns = -(-len(drawn) // 2), min(len(drawn), 2)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {columns * WIDTH} {rows * HEIGHT + 20}">',
        "<style>text { font: 11px sans-serif } .title { font-size: 13px }</style>",
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="{LEFT}" y="14" fill="{_TRUTH}">truth</text>',
        f'<text x="{LEFT + 40}" y="14" fill="{_COUNTED}">counted</text>',
    ]
    for number, one in enumerate(drawn):
        row, column = divmod(number, 2)
        parts += [
            f'<g transform="translate({column * WIDTH},{row * HEIGHT + 20})">',
            *_chart(one, windows, zone),
            "</g>",
        ]
    return "\n".join([*parts, "</svg>", ""])


def _chart(one: Drawn, windows: range, zone: tzinfo) -> list[str]:
    most = max(1, *one.truth, *(count for count in one.counted if count is not None))
    right, low = WIDTH - RIGHT, HEIGHT - BOTTOM
    parts = [
        f'<text x="{LEFT}" y="{TOP - 12}" class="title">{escape(one.title)}</text>',
        f'<path d="M{LEFT} {TOP}V{low}H{right}" fill="none" stroke="#888"/>',
        f'<text x="{LEFT - 6}" y="{TOP + 4}" text-anchor="end">{most}</text>',
        f'<text x="{LEFT - 6}" y="{low}" text-anchor="end">0</text>',
    ]
    for number in range(0, len(windows), max(1, len(windows) // _LABELS)):
        at = datetime.fromtimestamp(windows[number] / 1000, zone)
        parts.append(f'<text x="{_x(number, windows):.1f}" y="{low + 16}" text-anchor="middle">{at:%H:%M}</text>')
    for values, colour in ((one.truth, _TRUTH), (one.counted, _COUNTED)):
        path = ""
        pen = "M"
        for number, value in enumerate(values):
            if value is None:
                pen = "M"
                continue
            path += f"{pen}{_x(number, windows):.1f} {low - (low - TOP) * value / most:.1f}"
            pen = "L"
        parts.append(f'<path d="{path}" fill="none" stroke="{colour}"/>')
    return parts


def _x(number: int, windows: range) -> float:
    return LEFT + (WIDTH - RIGHT - LEFT) * number / max(1, len(windows) - 1)
