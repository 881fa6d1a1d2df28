"""A chart as SVG: lines over an axis that counts by tens, written by hand, for one chart needs no library."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 460, 300, 60, 40, 44
_COLOURS = ("#1b6ca8", "#c8553d", "#3d8b5f", "#8a5aa8", "#b08900", "#555555")
Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Chart:
    """Lines by name, each of points (x, y) with x and y above 0."""

    title: str
    x: str
    y: str
    lines: Mapping[str, Sequence[Point]]


def svg(charts: Sequence[Chart]) -> str:
    """All charts side by side, two in a row."""
    rows = math.ceil(len(charts) / 2)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {2 * WIDTH} {rows * HEIGHT}" font-family="sans-serif">',
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
    left, right = math.floor(math.log10(min(x for x, _ in points))), math.ceil(math.log10(max(x for x, _ in points)))
    right = max(right, left + 1)
    low, high = math.floor(math.log10(min(y for _, y in points))), math.ceil(math.log10(max(y for _, y in points)))
    high = max(high, low + 1)

    def at(x: float, y: float) -> tuple[float, float]:
        across = (math.log10(x) - left) / (right - left)
        up = (math.log10(y) - low) / (high - low)
        return LEFT + across * (WIDTH - LEFT - 130), HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)

    parts = [f'<text x="{LEFT}" y="20" class="title">{escape(chart.title)}</text>']
    for power in range(low, high + 1):
        x, y = at(10.0**left, 10.0**power)
        end, _ = at(10.0**right, 10.0**power)
        parts.append(f'<path d="M{x:.0f} {y:.1f}H{end:.0f}" stroke="#ddd"/>')
        parts.append(f'<text x="{x - 5:.0f}" y="{y + 4:.1f}" text-anchor="end">{10.0**power:,g}</text>')
    for power in range(left, right + 1):
        x, y = at(10.0**power, 10.0**low)
        parts.append(f'<text x="{x:.0f}" y="{y + 15:.0f}" text-anchor="middle">{10.0**power:,.0f}</text>')
    parts.append(f'<text x="{LEFT}" y="{HEIGHT - 8}">{escape(chart.x)}; up: {escape(chart.y)}</text>')
    for number, (name, line) in enumerate(chart.lines.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        places = [at(x, y) for x, y in sorted(line)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in places]
        parts.append(f'<text x="{WIDTH - 122}" y="{TOP + 14 + 15 * number}" fill="{colour}">{escape(name)}</text>')
    return parts
