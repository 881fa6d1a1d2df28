"""Rounds of what is compared: in each round each takes its turn, in an order that is shuffled anew.

What goes first warms the machine up, or finds it warm, and others on the machine come and go: so nobody always goes
first, and what is compared are ratios within one round.
"""

import os
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What one turn found."""

    values: Mapping[str, float]
    """By name, which has the unit."""
    cpu: Mapping[str, float] = field(default_factory=dict)
    """CPU seconds for a million messages, by process."""
    curve: Sequence[tuple[float, float]] = ()
    """p99 of an acknowledgement in ms by messages/s, where it was taken at several rates."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One of those that are compared."""

    name: str
    run: Callable[[], Figures] = lambda: Figures(values={})
    """One turn. What it cannot do it raises as OSError or RuntimeError."""
    version: str = ""
    configuration: str = ""
    """How it is set up, and by whose advice, in a sentence or two: for whoever reads the figures."""
    why_not: str | None = None
    """Why it cannot run here."""


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """One turn of one entry, as it is kept."""

    number: int
    """From 1; ratios are taken within a round."""
    entry: str
    load: float
    """Load average of the machine, of the minute before its turn."""
    figures: dict[str, float]
    cpu: dict[str, float]
    curve: list[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Rounds:
    """All turns, in the order in which they were taken."""

    taken: list[Round] = field(default_factory=list)
    reasons: dict[str, str] = field(default_factory=dict)
    """By entry: why it has no figures, or fewer rounds than the others."""

    def series(self, entry: str, figure: str) -> list[float]:
        """One figure of one entry, of all its rounds."""
        return [one.figures[figure] for one in self.taken if one.entry == entry and figure in one.figures]


def compare(
    entries: Sequence[Entry], *, rounds: int, seed: int, say: Callable[[str], object] = lambda _: None
) -> Rounds:
    """Let each entry that can take its turn in each round. One that fails has the reason told, and goes on."""
    found = Rounds(reasons={entry.name: entry.why_not for entry in entries if entry.why_not})
    able = [entry for entry in entries if not entry.why_not]
    shuffled = random.Random(seed)  # noqa: S311 - an order, and no secret
    for number in range(1, rounds + 1):
        for entry in shuffled.sample(able, len(able)):
            load = os.getloadavg()[0]
            say(f"round {number}: {entry.name}, load {load:.1f}")
            try:
                figures = entry.run()
            except (OSError, RuntimeError) as error:
                found.reasons[entry.name] = str(error) or type(error).__name__
                say(f"  {found.reasons[entry.name]}")
                continue
            found.taken.append(
                Round(
                    number=number,
                    entry=entry.name,
                    load=round(load, 1),
                    figures=dict(figures.values),
                    cpu=dict(figures.cpu),
                    curve=list(figures.curve),
                )
            )
    return found
