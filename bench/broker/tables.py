"""The tables that are printed, and the file of results."""

import json
import os
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.table import Table

from bench.broker.peers import OURS
from bench.broker.results import TARGETS, Figure, Results
from bench.broker.running import KEPT_ENTRIES
from bench.broker.scenarios import GENERATOR, LOST, ORDERED, Scenario, Sizes
from bench.report import machine

BOTTLENECK = 0.9
"""Share of a core from which the load generator itself may be what is measured."""
Value = TypeVar("Value")
_FINE = 100
"""Figures below it are shown with two decimals."""


def show(results: Results, scenario: Scenario, peers: Sequence[str], sizes: Sizes, console: Console) -> None:
    """Print the table of one scenario, and what is to be known about it."""
    table = Table(
        "broker", "", "median", "least", "most", "ours / this", title=scenario.title(sizes), title_justify="left"
    )
    for column in table.columns[2:]:
        column.justify = "right"
    notes = []
    for peer in peers:
        reason = results.reasons.get((scenario.name, peer))
        rounds = results.rounds.get((scenario.name, peer), [])
        if not rounds:
            table.add_row(peer, "not measured")
            notes.append(f"{peer}: not measured: {reason}")
        for number, name in enumerate(scenario.figures if rounds else ()):
            figure = Figure(scenario.name, peer, name)
            series = results.series(figure)
            ratios = results.ratios(Figure(scenario.name, OURS, name), figure) if peer != OURS else []
            table.add_row(
                peer if not number else "",
                name,
                *(_number(cut(series)) for cut in (statistics.median, min, max)),
                _spread(ratios),
                end_section=name == scenario.figures[-1],
            )
        if rounds and reason:
            notes.append(f"{peer}: {len(rounds)} rounds only: {reason}")
        notes += [f"{peer}: {note}" for note in _notes(results, scenario.name, peer)]
    console.print(table)
    for note in notes:
        console.print(note, highlight=False, soft_wrap=True)
    console.print()


def _notes(results: Results, scenario: str, peer: str) -> list[str]:
    notes = []
    ordered, lost, busy = (results.series(Figure(scenario, peer, name)) for name in (ORDERED, LOST, GENERATOR))
    if min(ordered, default=1) < 1:
        notes.append("not in the order of the messages")
    if max(lost, default=0):
        notes.append(f"up to {max(lost):,.0f} messages were not delivered")
    if max(busy, default=0) > BOTTLENECK:
        notes.append(f"the load generator used up to {max(busy):.0%} of a core: this is perhaps its figure")
    return notes


def show_targets(results: Results, console: Console) -> None:
    """Print what was to be reached, and what was."""
    for target in TARGETS:
        value = target.value(results)
        if value is None:
            verdict = "not measured"
        else:
            verdict = f"{_number(value)}, {'reached' if target.reached(value) else 'MISSED'}"
        console.print(f"target: {target.text}: {verdict}", highlight=False, soft_wrap=True)


def show_circumstances(results: Results, console: Console) -> None:
    """Print what the figures depend on."""
    busy = [found[GENERATOR] for rounds in results.rounds.values() for found in rounds if GENERATOR in found]
    if busy:
        console.print(f"load generator: used {max(busy):.0%} of a core at the most", highlight=False, soft_wrap=True)
    for line in circumstances():
        console.print(line, highlight=False, soft_wrap=True)


def circumstances() -> list[str]:
    """What the figures depend on, a sentence each."""
    return [
        "every round starts its broker and its Redis afresh",
        "every Redis has appendonly yes and appendfsync everysec; that of fsynced has appendfsync always",
        f"the stream raw is cut to {KEPT_ENTRIES:,} entries ten times a second, as by a decoder; nothing reads it",
        f"brokers, their Redis and the load share the machine: {machine()}; load average {os.getloadavg()[0]:.1f}",
    ]


def write(results: Results, sizes: Sizes, path: Path) -> None:
    """Write everything as JSON."""
    found = {
        "sizes": asdict(sizes),
        "rounds": _nested({key: [dict(figures) for figures in rounds] for key, rounds in results.rounds.items()}),
        "ratios of ours": _nested(
            {
                (scenario, peer): {
                    name: results.ratios(Figure(scenario, OURS, name), Figure(scenario, peer, name))
                    for name in rounds[0]
                }
                for (scenario, peer), rounds in results.rounds.items()
                if peer != OURS and (scenario, OURS) in results.rounds
            }
        ),
        "not measured": _nested(results.reasons),
        "targets": [
            {"target": target.text, "value": value, "reached": None if value is None else target.reached(value)}
            for target in TARGETS
            for value in [target.value(results)]
        ],
        "circumstances": circumstances(),
        "machine": machine(),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


def _nested(flat: Mapping[tuple[str, str], Value]) -> dict[str, dict[str, Value]]:
    nested: dict[str, dict[str, Value]] = {}
    for (scenario, peer), value in flat.items():
        nested.setdefault(scenario, {})[peer] = value
    return nested


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= _FINE else f"{value:,.2f}"


def _spread(ratios: Sequence[float]) -> str:
    if not ratios:
        return ""
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
