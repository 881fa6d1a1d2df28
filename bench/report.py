"""What a benchmark of one thing and its peer ends with: its rates beside those of the peer, and a file of results."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from bench.quick import place
from bench.results_file import Aim, Compared, results_of, write
from bench.rounds import Entry, Round, Rounds
from bench.section import number, section


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The rounds of one benchmark: what is measured and its peer, both as rates in `unit`."""

    name: str
    """Of the file of results."""
    title: str
    repeat: str
    """The command that measures it again."""
    unit: str
    """Of the rates, such as messages/s."""
    measured: str
    peer: str
    found: Rounds
    seed: int = 1
    """Of the order in which the two took turns."""
    target: float | None = None
    """Rate that the median is to reach."""
    target_ratio: float | None = None
    others: Mapping[str, float] = field(default_factory=dict)
    """Further figures, by name with unit."""

    def show(self, *, quick: bool = False, results: Path | None = None) -> None:
        """Print it, and write the results to bench/results/NAME.json, or as `bench.quick` says."""
        aims = [
            Aim(
                text=f"{target:,g} {self.unit if over is None else 'of the peer'}",
                figure=self.unit,
                over=over,
                least=target,
            )
            for over, target in ((None, self.target), (self.peer, self.target_ratio))
            if target is not None
        ]
        written = results_of(
            self.found,
            [Entry(name=self.measured), Entry(name=self.peer)],
            name=self.name,
            title=self.title,
            repeat=self.repeat,
            compared=[Compared(self.unit)],
            seed=self.seed,
            aims=aims,
            notes=[f"{name}: {number(value)}" for name, value in self.others.items()],
        )
        Console(highlight=False, soft_wrap=True, markup=False).print(section(written))
        if file := place(self.name, quick=quick, results=results):
            write(written, file)


def rounds_of(unit: str, rates: Mapping[str, Sequence[float]]) -> Rounds:
    """Rounds whose rates are known already, by entry; of benchmarks that take turns by themselves."""
    load = round(os.getloadavg()[0], 1)
    return Rounds(
        [
            Round(number=number, entry=entry, load=load, figures={unit: rate}, cpu={}, curve=[])
            for entry, series in rates.items()
            for number, rate in enumerate(series, 1)
        ]
    )
