"""Charts as SVG: lines over axes that count by tens, or by equal steps. Written by hand, for that needs no library."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 460, 300, 60, 40, 44
_COLOURS = ("#1b6ca8", "#c8553d", "#3d8b5f", "#8a5aa8", "#b08900", "#555555")
_STEPS = 8
"""Of an axis, at the most."""
Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Chart:
    """Lines by name, each of points (x, y) with x and y above 0."""

    title: str
    x: str
    y: str
    lines: Mapping[str, Sequence[Point]]
    by_tens: bool = True
    """Otherwise both axes begin at 0, and have equal steps."""


@dataclass(frozen=True, slots=True)
class _Axis:
    """Where a value is on an axis, from 0 to 1, and which values are written beside it."""

    low: float
    high: float
    marks: Sequence[float]
    by_tens: bool

    def __call__(self, value: float) -> float:
        shown = math.log10(value) if self.by_tens else value
        return (shown - self.low) / (self.high - self.low)


def _axis(values: Sequence[float], *, by_tens: bool) -> _Axis:
    if by_tens:
        low = math.floor(math.log10(min(values)))
        high = max(math.ceil(math.log10(max(values))), low + 1)
        return _Axis(low, high, [10.0**power for power in range(low, high + 1)], by_tens)
    most = max(values)
    ten = 10.0 ** math.floor(math.log10(most))
    step = next(step for step in (ten / 5, ten / 2, ten, 2 * ten) if most / step <= _STEPS)
    count = math.ceil(most / step)
    return _Axis(0, count * step, [step * number for number in range(count + 1)], by_tens)


def svg(charts: Sequence[Chart]) -> str:
    """All charts side by side, two in a row."""
    rows, width = math.ceil(len(charts) / 2), min(len(charts), 2) * WIDTH
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {rows * HEIGHT}" font-family="sans-serif">',
        "<style>text { font-size: 11px } .title { font-size: 13px }</style>",
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for number, chart in enumerate(charts):
        row, column = divmod(number, 2)
        parts += [f'<g transform="translate({column * WIDTH},{row * HEIGHT})">', *_chart(chart), "</g>"]
    return "\n".join([*parts, "</svg>", ""])


def _chart(chart: Chart) -> list[str]:
    points = [point for line in chart.lines.values() for point in line]
    if not points:
        return []
    across = _axis([x for x, _ in points], by_tens=chart.by_tens)
    up = _axis([y for _, y in points], by_tens=chart.by_tens)
    end = WIDTH - 130

    def at(x: float, y: float) -> tuple[float, float]:
        return LEFT + across(x) * (end - LEFT), HEIGHT - BOTTOM - up(y) * (HEIGHT - TOP - BOTTOM)

    parts = [f'<text x="{LEFT}" y="20" class="title">{escape(chart.title)}</text>']
    for mark in up.marks:
        _, y = at(across.marks[0], mark)
        parts.append(f'<path d="M{LEFT} {y:.1f}H{end}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 5}" y="{y + 4:.1f}" text-anchor="end">{_number(mark)}</text>')
    for mark in across.marks:
        x, y = at(mark, up.marks[0])
        parts.append(f'<text x="{x:.0f}" y="{y + 15:.0f}" text-anchor="middle">{_number(mark)}</text>')
    parts.append(f'<text x="{LEFT}" y="{HEIGHT - 8}">{escape(chart.x)}; up: {escape(chart.y)}</text>')
    for number, (name, line) in enumerate(chart.lines.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        places = [at(x, y) for x, y in sorted(line)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        if chart.by_tens:
            parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in places]
        parts.append(f'<text x="{WIDTH - 122}" y="{TOP + 14 + 15 * number}" fill="{colour}">{escape(name)}</text>')
    return parts


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1 else f"{value:g}"
