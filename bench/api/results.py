"""What was measured, beside what was to be reached: a table, and bench/results/api.json."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.machine import machine
from bench.quick import keep

_WIDTH = 120
_FINE = 100
"""Figures below it are shown with decimals."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One figure, round by round."""

    name: str
    unit: str
    rounds: Sequence[float]
    least: float | None = None
    """What the median is to reach."""
    most: float | None = None
    """What it is to stay under."""
    all_rounds: bool = False
    """Whether the worst round counts, instead of the median."""

    @property
    def median(self) -> float:
        """Of the rounds."""
        return statistics.median(self.rounds)

    @property
    def verdict(self) -> str:
        """Whether the target was reached; nothing where there is none."""
        if self.least is None and self.most is None:
            return ""
        low, high = (min(self.rounds), max(self.rounds)) if self.all_rounds else (self.median, self.median)
        reached = (self.least is None or low >= self.least) and (self.most is None or high < self.most)
        return "reached" if reached else "MISSED"

    @property
    def target(self) -> str:
        """The target in words."""
        if self.least is not None:
            return f"at least {self.least:g}"
        return "" if self.most is None else f"under {self.most:g}"


def ratios(ones: Sequence[float], others: Sequence[float]) -> list[float]:
    """One over the other, round by round."""
    return [one / other for one, other in zip(ones, others, strict=True)]


def show(found: Sequence[Series], circumstances: Mapping[str, object], file: Path | None) -> None:
    """Print the table, and write the file, if there is to be one."""
    table = Table("", "unit", "median", "least", "most", "target", "", title="The API", title_justify="left")
    for column in table.columns[2:5]:
        column.justify = "right"
    for series in found:
        figures = (series.median, min(series.rounds), max(series.rounds))
        table.add_row(series.name, series.unit, *map(_number, figures), series.target, series.verdict)
    # Also where nobody watches, and the width is not known.
    console = Console(width=_WIDTH)
    console.print(table)
    for name, value in circumstances.items():
        console.print(f"{name}: {value}", highlight=False, soft_wrap=True)
    console.print(machine(), highlight=False)
    written = {
        "series": [{**asdict(series), "median": series.median, "verdict": series.verdict} for series in found],
        "circumstances": dict(circumstances),
        "machine": machine(),
    }
    keep(written, file)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= _FINE else f"{value:.2f}"
