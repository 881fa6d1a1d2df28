"""What every benchmark ends with: a table of rates, ratio to the peer, spread, machine, and a file of JSON."""

import json
import os
import platform
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).parent / "results"
_STATISTICS: dict[str, Callable[[Sequence[float]], float]] = {"median": statistics.median, "least": min, "most": max}


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The rounds of one benchmark: what is measured and its peer, both as rates, in the same order."""

    name: str
    """Of the file of results."""
    title: str
    unit: str
    """Of the rates, such as messages/s."""
    measured: str
    rates: Sequence[float]
    peer: str
    peer_rates: Sequence[float]
    target: float | None = None
    """Rate that the median is to reach."""
    target_ratio: float | None = None
    others: Mapping[str, float] = field(default_factory=dict)
    """Further figures, by name with unit."""

    def show(self) -> None:
        """Print the table, and write the results to bench/results/NAME.json."""
        ratios = [rate / peer for rate, peer in zip(self.rates, self.peer_rates, strict=True)]
        table = Table(self.unit, *_STATISTICS, title=self.title)
        for column in table.columns[1:]:
            column.justify = "right"
        for name, rates in ((self.measured, self.rates), (self.peer, self.peer_rates)):
            table.add_row(name, *(f"{figure(rates):,.0f}" for figure in _STATISTICS.values()))
        table.add_row("ratio", *(f"{figure(ratios):.2f}" for figure in _STATISTICS.values()))
        console = Console()
        console.print(table)
        for name, value in self.others.items():
            console.print(f"{name}: {value:,.1f}", highlight=False)
        for what, target, reached in (
            (self.unit, self.target, statistics.median(self.rates)),
            ("of the peer", self.target_ratio, statistics.median(ratios)),
        ):
            if target is not None:
                verdict = "reached" if reached >= target else "MISSED"
                console.print(f"target {target:,g} {what}: {verdict}", highlight=False)
        console.print(machine(), highlight=False)
        self._write(ratios)

    def _write(self, ratios: list[float]) -> None:
        RESULTS.mkdir(exist_ok=True)
        found = {
            "title": self.title,
            "unit": self.unit,
            self.measured: list(self.rates),
            self.peer: list(self.peer_rates),
            "ratio": ratios,
            "target": self.target,
            "target_ratio": self.target_ratio,
            "others": dict(self.others),
            "machine": machine(),
        }
        (RESULTS / f"{self.name}.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


def machine() -> str:
    """The machine and the Python that the figures are of."""
    return f"{_processor()}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
