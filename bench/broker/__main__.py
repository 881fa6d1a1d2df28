"""How fast a broker node is, beside Aedes and Mosca with Redis, and Mosquitto.

python -m bench.broker                          everything: tables, and bench/results/broker.json; some 20 minutes
python -m bench.broker --scenario one-node      one of one-node, websocket, two-nodes, across, idle, latency
python -m bench.broker --profile node.prof      ours alone, one round of one-node under cProfile
python -m bench.broker --quick                  ours alone, a second of each: whether it still runs, not how fast it is

Rounds are interleaved, and who goes first changes from round to round. Needs redis-server; a peer that is not installed
is left out, with the reason. Aedes and Mosca: npm ci --ignore-scripts --prefix bench/node; Mosquitto: from Debian.
"""

from collections.abc import Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from bench.broker.connection import BrokenError
from bench.broker.idle import affordable_connections
from bench.broker.peers import OURS, Peer, all_peers, profiled
from bench.broker.results import Results
from bench.broker.scenarios import ONE_NODE, SCENARIOS, Scenario, Sizes
from bench.broker.tables import show, show_circumstances, show_targets, write
from bench.report import RESULTS

QUICK = Sizes(seconds=0.5, warm_up=0.3, idle_connections=2000)


def main(
    *,
    rounds: Annotated[int, typer.Option(min=1, max=100, help="Rounds of each scenario.")] = 5,
    seconds: Annotated[float, typer.Option(min=0.1, max=600, help="Of each measurement, after its warm-up.")] = 4.0,
    window: Annotated[int, typer.Option(min=10, max=8000, help="Unacknowledged messages of each connection.")] = 500,
    scenario: Annotated[list[str] | None, typer.Option(help="Only these scenarios; may be repeated.")] = None,
    peer: Annotated[list[str] | None, typer.Option(help="Only these peers, by a part of their name.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="One short round of our node alone.")] = False,
    profile: Annotated[Path | None, typer.Option(help="Write a profile of our node here; see above.")] = None,
    results: Annotated[Path | None, typer.Option(help="Write the results here.")] = None,
) -> None:
    """Measure the broker node beside its peers."""
    console = Console()
    scenarios = [ONE_NODE] if profile else _chosen(scenario)
    peers = [each for each in all_peers() if _is_wanted(each, peer)]
    if quick or profile:
        peers, rounds = [profiled(each, profile.absolute()) if profile else each for each in peers[:1]], 1
    sizes = _affordable(QUICK if quick else Sizes(seconds=seconds, warm_up=2.0, window=window), console)
    found = Results()
    # A fresh interpreter, which has nothing but the load in it.
    with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as generator:
        for each in scenarios:
            _measure(found, each, peers, rounds=rounds, sizes=sizes, generator=generator)
            show(found, each, [one.name for one in peers], sizes, console)
    if profile:
        return
    show_targets(found, console)
    show_circumstances(found, console)
    write(found, sizes, results or RESULTS / ("broker-quick.json" if quick else "broker.json"))


def _chosen(names: Sequence[str] | None) -> list[Scenario]:
    known = {each.name: each for each in SCENARIOS}
    unknown = [name for name in names or () if name not in known]
    if unknown:
        raise typer.BadParameter(f"{', '.join(unknown)}: the scenarios are {', '.join(known)}")
    return [known[name] for name in names or known]


def _is_wanted(peer: Peer, parts: Sequence[str] | None) -> bool:
    return not parts or peer.name == OURS or any(part.lower() in peer.name.lower() for part in parts)


def _affordable(sizes: Sizes, console: Console) -> Sizes:
    most = affordable_connections()
    if sizes.idle_connections <= most:
        return sizes
    console.print(
        f"only {most:,} idle connections: the limit on open files (ulimit -Hn) allows no more", highlight=False
    )
    return replace(sizes, idle_connections=most)


def _measure(
    found: Results, scenario: Scenario, peers: Sequence[Peer], *, rounds: int, sizes: Sizes, generator: Executor
) -> None:
    able = []
    for peer in peers:
        reason = scenario.cannot(peer)
        if reason:
            found.reasons[scenario.name, peer.name] = reason
        else:
            able.append(peer)
    for number in range(rounds):
        first = number % max(1, len(able))
        for peer in able[first:] + able[:first]:
            try:
                figures = scenario.measure(peer, sizes, generator)
            except (BrokenError, OSError) as error:
                found.reasons[scenario.name, peer.name] = str(error) or type(error).__name__
            else:
                found.add(scenario.name, peer.name, figures)


if __name__ == "__main__":
    typer.run(main)
