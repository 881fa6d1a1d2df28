"""How HAProxy shares connections and messages among 1, 2 and 4 broker nodes.

python -m bench.balance            bench/results/balance.json; some ten minutes
python -m bench.balance --quick    seconds, with 1 and 2 nodes: whether it still runs, not how fast it is

HAProxy has haproxy/haproxy.cfg as shipped. All nodes share the cores of this machine: with two cores, four nodes cannot
take four times what one takes, so look at the CPU for each message. Needs redis-server and haproxy.
"""

import asyncio
import itertools
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from multiprocessing import get_context
from typing import Annotated

import typer
from rich.console import Console

from bench.balance.measure import FIRST_RATE, LATE_MS, SLOW_MS, STEP, Round, Sizes, measure
from bench.quick import Quick, ResultsFile, place
from bench.results_file import ALL_CPU, Compared, results_of, write
from bench.rounds import Entry, Figures, compare
from bench.section import section

QUICK = Sizes(clients=40, rounds=2, every=0.2, seconds=0.4, steps=2, tries=1, connections=10)
MOST = f"messages/s with p99 below {SLOW_MS:.0f} ms"
LATE = "the generator was late"


def main(
    *,
    nodes: Annotated[list[int] | None, typer.Option(min=1, max=8, help="So many nodes; may be repeated.")] = None,
    rounds: Annotated[int, typer.Option(min=1, max=100, help="Rounds of each.")] = 5,
    seed: Annotated[int, typer.Option(help="Of the order of turns, and of when clients come back.")] = 1,
    quick: Quick = False,
    results: ResultsFile = None,
) -> None:
    """Measure how broker nodes behind HAProxy share the work."""
    sizes, seeds = QUICK if quick else Sizes(), itertools.count(seed)
    console = Console(highlight=False, soft_wrap=True, markup=False)
    with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as generator:
        entries = [_entry(count, seeds, sizes, generator) for count in nodes or ([1, 2] if quick else [1, 2, 4])]
        found = results_of(
            compare(entries, rounds=1 if quick else rounds, seed=seed, say=console.print),
            entries,
            name="balance",
            title="Load balancing: broker nodes behind HAProxy",
            repeat="python -m bench.balance",
            compared=[Compared(ALL_CPU, "less"), Compared(MOST)],
            seed=seed,
            notes=_notes(sizes),
        )
    console.print(section(found))
    if file := place("balance", quick=quick, results=results):
        write(found, file)


def _entry(count: int, seeds: Iterator[int], sizes: Sizes, generator: Executor) -> Entry:
    return Entry(
        name=f"{count} nodes" if count > 1 else "1 node",
        run=lambda: _figures(asyncio.run(measure(count, next(seeds), sizes, generator))),
    )


def _figures(found: Round) -> Figures:
    """Nodes have numbers from 1; the last one is the one that dies, and comes back."""
    values = {
        # What the generator did not send in time says nothing of nodes.
        **({} if found.limited_by_generator else {MOST: found.most}),
        LATE: float(found.limited_by_generator),
        **_by_node("connections", found.connections),
        "connections, Jain's index": found.fairness["connections"],
        "back at the same node, %": found.same_node * 100,
        **_by_node("messages", found.messages),
        "messages, Jain's index": found.fairness["messages"],
    }
    if len(found.connections) > 1:
        values |= {
            "a node dies: cut off": found.cut_off,
            "a node dies: all are back after, s": found.back_seconds,
            **_by_node("a node died: connections", found.after_death),
            "a node died: connections, Jain's index": found.fairness["after a node died"],
            **_by_node("it came back, and half more clients: connections", found.after_birth),
            "it came back, and half more clients: Jain's index": found.fairness["after one came"],
        }
    curve = [] if found.limited_by_generator else sorted(found.rates.items())
    return Figures(values=values, cpu=found.cpu, curve=curve)


def _by_node(what: str, shares: tuple[float, ...]) -> dict[str, float]:
    return {f"{what}, node {number}": share for number, share in enumerate(shares, 1)}


def _notes(sizes: Sizes) -> list[str]:
    return [
        "leastconn and sticky client ids, as haproxy/haproxy.cfg has them; nodes are found by DNS",
        f"{sizes.clients} clients with ids; a client that was cut off comes back after up to 1 s, by chance",
        "Jain's index says how even shares are: 1 is even, one of n where one node has all; of one node it is 1",
        "messages are counted, and their CPU, while each client sends one a second",
        f"messages/s: {sizes.connections} connections publish by the clock, {sizes.seconds:g} s at each rate",
        f"rates are 1.3 times apart, up to {FIRST_RATE * STEP ** (sizes.steps - 1):,.0f}/s",
        "one is too high when it is so twice",
        f"turns in which the generator itself was late by {LATE_MS:.0f} ms (p99) have no messages/s",
        "nodes, Redis, HAProxy and the load share the cores: where these are fewer, more nodes give no more messages/s",
        "so the CPU for a message is what can be compared",
    ]


if __name__ == "__main__":
    typer.run(main)
