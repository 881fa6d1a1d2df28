"""The one form of results: what was compared, how it was set up, and each round of it."""

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec

from bench.machine import machine, priority
from bench.rounds import Entry, Round, Rounds

SCHEMA = 1
ALL_CPU = "CPU s for a million messages"
"""A figure of each round that has the CPU of processes: that of all of them."""


class Compared(msgspec.Struct, frozen=True):
    """A figure in which the others are held beside ours."""

    figure: str
    better: Literal["more", "less"] = "more"


class Aim(msgspec.Struct, frozen=True, kw_only=True):
    """What the median of a figure of ours is to reach; with `over`, its ratio to the figure of that entry."""

    text: str
    figure: str
    over: str | None = None
    least: float | None = None
    most: float | None = None

    def is_reached(self, value: float) -> bool:
        """Whether a value is within the aim."""
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)


class Results(msgspec.Struct, kw_only=True):
    """One comparison."""

    schema: int = SCHEMA
    name: str
    """Of the file in bench/results."""
    title: str
    repeat: str
    """The command that measures it again."""
    notes: list[str]
    """What is to be known to read the figures, a sentence each."""
    entries: list[str]
    """Ours is the first."""
    compared: list[Compared]
    aims: list[Aim]
    machine: str
    seed: int
    """Of the order of turns."""
    versions: dict[str, str]
    """By entry, as the next."""
    configuration: dict[str, str]
    rounds: list[Round]
    """All turns, in the order in which they were taken."""
    reasons: dict[str, str]
    """Why an entry has no figures, or fewer rounds than the others."""

    @property
    def ours(self) -> str:
        """The entry that the others are held beside."""
        return self.entries[0]

    @property
    def measured(self) -> list[str]:
        """The entries that have figures."""
        return [name for name in self.entries if any(one.entry == name for one in self.rounds)]

    def series(self, entry: str, figure: str) -> list[float]:
        """One figure of one entry, of all its rounds that have it."""
        return list(self._by_round(entry, figure).values())

    def ratios(self, figure: str, other: str) -> list[float]:
        """How many times the figure of ours is that of another, in each round that both have."""
        theirs = self._by_round(other, figure)
        return [
            value / theirs[number] for number, value in self._by_round(self.ours, figure).items() if theirs.get(number)
        ]

    def reached(self, aim: Aim) -> float | None:
        """The median that an aim is for; None where it was not measured."""
        found = self.ratios(aim.figure, aim.over) if aim.over else self.series(self.ours, aim.figure)
        return statistics.median(found) if found else None

    def _by_round(self, entry: str, figure: str) -> dict[int, float]:
        return {
            one.number: value
            for one in self.rounds
            if one.entry == entry and (value := figure_of(one, figure)) is not None
        }


def figure_of(one: Round, figure: str) -> float | None:
    """A figure of a round, CPU as well; None where it has none of this name."""
    if figure == ALL_CPU and one.cpu:
        return sum(one.cpu.values())
    return one.figures.get(figure)


def results_of(
    found: Rounds,
    entries: Sequence[Entry],
    *,
    name: str,
    title: str,
    repeat: str,
    compared: Sequence[Compared],
    seed: int,
    aims: Sequence[Aim] = (),
    notes: Sequence[str] = (),
) -> Results:
    """The results of the rounds that `entries` took, of which the first is ours."""
    return Results(
        name=name,
        title=title,
        repeat=repeat,
        notes=[*notes, *([ahead] if (ahead := priority()) else [])],
        entries=[entry.name for entry in entries],
        compared=list(compared),
        aims=list(aims),
        machine=machine(),
        seed=seed,
        versions={entry.name: entry.version for entry in entries if entry.version},
        configuration={entry.name: entry.configuration for entry in entries if entry.configuration},
        rounds=found.taken,
        reasons=found.reasons,
    )


def write(results: Results, file: Path) -> None:
    """Keep results."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n")


def read(file: Path) -> Results | None:
    """Results that were kept; None where the file has another form. Raises ValueError where it is of another schema."""
    content = file.read_bytes()
    found = msgspec.json.decode(content)
    if "schema" not in found:
        return None
    if found["schema"] != SCHEMA:
        raise ValueError(f"{file} has schema {found['schema']}, and {SCHEMA} is what is known: measure it again")
    return msgspec.json.decode(content, type=Results)
