"""The rounds of all scenarios, and the targets that they are held against."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.broker.peers import AEDES, MOSCA, MOSQUITTO, OURS
from bench.broker.scenarios import (
    ACKNOWLEDGED,
    ACROSS,
    BYTES_EACH,
    CONNECTS,
    DELIVERED,
    IDLE,
    LATENCY,
    ONE_NODE,
    P99,
    TWO_NODES,
    Figures,
)


@dataclass(frozen=True, slots=True)
class Figure:
    """Which series of rounds is meant."""

    scenario: str
    peer: str
    name: str


@dataclass(slots=True)
class Results:
    """What was measured, and why the rest was not."""

    rounds: dict[tuple[str, str], list[Figures]] = field(default_factory=dict)
    """By names of scenario and peer."""
    reasons: dict[tuple[str, str], str] = field(default_factory=dict)
    """Why there are no figures, or fewer rounds than asked for."""

    def add(self, scenario: str, peer: str, figures: Figures) -> None:
        """Keep one round."""
        self.rounds.setdefault((scenario, peer), []).append(figures)

    def series(self, figure: Figure) -> list[float]:
        """One figure of all rounds; empty where it was not measured."""
        return [
            found[figure.name] for found in self.rounds.get((figure.scenario, figure.peer), []) if figure.name in found
        ]

    def ratios(self, figure: Figure, over: Figure) -> list[float]:
        """One figure over another, round by round."""
        return [one / other for one, other in zip(self.series(figure), self.series(over), strict=False) if other]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What the median is to reach."""

    text: str
    figure: Figure
    over: Figure | None = None
    """With it, the target is for the ratio."""
    least: float | None = None
    most: float | None = None

    def value(self, results: Results) -> float | None:
        """What was reached; None where it was not measured."""
        found = results.ratios(self.figure, self.over) if self.over else results.series(self.figure)
        return statistics.median(found) if found else None

    def reached(self, value: float) -> bool:
        """Whether a value is within the target."""
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)


def _ours(scenario: str, name: str) -> Figure:
    return Figure(scenario, OURS, name)


_ONE_NODE = _ours(ONE_NODE.name, ACKNOWLEDGED)
TARGETS: Sequence[Target] = (
    Target(
        text=f"one node, over {AEDES}: at least 2.5",
        figure=_ONE_NODE,
        over=Figure(ONE_NODE.name, AEDES, ACKNOWLEDGED),
        least=2.5,
    ),
    Target(
        text=f"one node, over {MOSCA}: at least 4",
        figure=_ONE_NODE,
        over=Figure(ONE_NODE.name, MOSCA, ACKNOWLEDGED),
        least=4,
    ),
    Target(
        text=f"one node, over {MOSQUITTO}, which keeps nothing: 1 is to be reached for",
        figure=_ONE_NODE,
        over=Figure(ONE_NODE.name, MOSQUITTO, ACKNOWLEDGED),
        least=1,
    ),
    Target(
        text="two nodes, over one node: more than 1, as far as there are cores",
        figure=_ours(TWO_NODES.name, ACKNOWLEDGED),
        over=_ONE_NODE,
        least=1,
    ),
    Target(
        text=f"one subscriber on the other node, over {AEDES}: at least 2",
        figure=_ours(ACROSS.name, DELIVERED),
        over=Figure(ACROSS.name, AEDES, DELIVERED),
        least=2,
    ),
    Target(text="idle connections, bytes each: at most 8,192", figure=_ours(IDLE.name, BYTES_EACH), most=8192),
    Target(text="idle connections, CONNECTs/s: at least 2,000", figure=_ours(IDLE.name, CONNECTS), least=2000),
    Target(text="acknowledgement, p99 ms: under 20", figure=_ours(LATENCY.name, P99), most=20),
)
