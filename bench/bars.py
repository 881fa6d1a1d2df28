"""Bars as SVG: a median each, and a line from the least to the most."""

import statistics
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

from bench.section import number

_WIDTH, _LEFT, _RIGHT, _ROW, _TOP, _BOTTOM = 760, 190, 110, 22, 36, 12
_OURS, _OTHERS = "#1b6ca8", "#9aa7b1"


def bars(title: str, series: Mapping[str, Sequence[float]], ours: str) -> str:
    """A chart of series by name, each of at least one figure of 0 or more; that of `ours` has a colour of its own."""
    most = max(max(values) for values in series.values()) or 1.0
    height = _TOP + _ROW * len(series) + _BOTTOM
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif">',
        "<style>text { font-size: 11px } .title { font-size: 13px }</style>",
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="8" y="20" class="title">{escape(title)}</text>',
    ]

    def at(value: float) -> float:
        return _LEFT + value / most * (_WIDTH - _LEFT - _RIGHT)

    for row, (name, values) in enumerate(series.items()):
        y, middle = _TOP + _ROW * row, statistics.median(values)
        colour = _OURS if name == ours else _OTHERS
        parts += [
            f'<text x="{_LEFT - 6}" y="{y + 13}" text-anchor="end">{escape(name)}</text>',
            f'<rect x="{_LEFT}" y="{y + 2}" width="{at(middle) - _LEFT:.1f}" height="{_ROW - 7}" fill="{colour}"/>',
            f'<path d="M{at(min(values)):.1f} {y + 9.5}H{at(max(values)):.1f}" stroke="#222" stroke-width="1.5"/>',
            f'<text x="{at(max(values)) + 5:.1f}" y="{y + 13}">{number(middle)}</text>',
        ]
    return "\n".join([*parts, "</svg>", ""])
