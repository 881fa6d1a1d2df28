"""How fast a broker node is, beside Aedes, Mosca and mochi-mqtt with Redis, Mosquitto, HiveMQ CE and rumqttd.

python -m bench.broker                          everything: bench/results/broker-SCENARIO.json; some 15 minutes
python -m bench.broker --scenario one-node      one of one-node, websocket, two-nodes, across, idle, latency
python -m bench.broker --profile node.prof      ours alone, one round of one-node under cProfile
python -m bench.broker --quick                  ours alone, a second of each: whether it still runs, not how fast it is

Needs redis-server; a peer that is not installed is left out, with the reason. Aedes and Mosca: npm ci --ignore-scripts
--prefix bench/node; Mosquitto: from Debian; the others: bench/peers/build.
"""

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from bench.broker.idle import affordable_connections
from bench.broker.peers import OURS, Peer, all_peers, profiled
from bench.broker.scenarios import NOTES, ONE_NODE, SCENARIOS, Scenario, Sizes
from bench.quick import Quick, ResultsFile, place
from bench.results_file import results_of, write
from bench.rounds import compare
from bench.section import section

QUICK = Sizes(seconds=0.5, warm_up=0.3, idle_connections=2000)


def main(
    *,
    rounds: Annotated[int, typer.Option(min=1, max=100, help="Rounds of each scenario.")] = 5,
    seconds: Annotated[float, typer.Option(min=0.1, max=600, help="Of each measurement, after its warm-up.")] = 2.0,
    window: Annotated[int, typer.Option(min=10, max=8000, help="Unacknowledged messages of each connection.")] = 500,
    scenario: Annotated[list[str] | None, typer.Option(help="Only these scenarios; may be repeated.")] = None,
    peer: Annotated[list[str] | None, typer.Option(help="Only these peers, by a part of their name.")] = None,
    quick: Quick = False,
    profile: Annotated[Path | None, typer.Option(help="Write a profile of our node here; see above.")] = None,
    seed: Annotated[int, typer.Option(help="Of the order in which the brokers take turns.")] = 1,
    results: ResultsFile = None,
) -> None:
    """Measure the broker node beside its peers; with --results, -SCENARIO is put behind the name of the file."""
    console = Console(highlight=False, soft_wrap=True, markup=False)
    scenarios = [ONE_NODE] if profile else _chosen(scenario)
    peers = [each for each in all_peers() if _is_wanted(each, peer)]
    if quick or profile:
        peers, rounds = [profiled(each, profile.absolute()) if profile else each for each in peers[:1]], 1
    sizes = _affordable(QUICK if quick else Sizes(seconds=seconds, warm_up=seconds / 2, window=window), console)
    # A fresh interpreter, which has nothing but the load in it.
    with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as generator:
        for each in scenarios:
            entries = each.entries(peers, sizes, generator)
            name = f"broker-{each.name}"
            found = results_of(
                compare(entries, rounds=rounds, seed=seed, say=console.print),
                entries,
                name=name,
                title=each.title(sizes),
                repeat=f"python -m bench.broker --scenario {each.name}",
                compared=each.compared,
                seed=seed,
                aims=each.aims,
                notes=[*NOTES, f"{sizes.seconds:g} s of each turn, after {sizes.warm_up:g} s to warm up"],
            )
            console.print(section(found))
            file = (
                results.with_stem(f"{results.stem}-{each.name}") if results else place(name, quick=quick, results=None)
            )
            if file and not profile:
                write(found, file)


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


if __name__ == "__main__":
    typer.run(main)
