"""Whole pipelines beside one another, with the same traffic, from a PUBLISH to a document.

python -m bench.pipelines             bench/results/pipelines.json, pipelines-losses.json; a quarter of an hour
python -m bench.pipelines --quick     ours alone, seconds: whether it still runs, not how fast it is
python -m bench.pipelines --peer aedes --rounds 1

(a) this system; (b) Mosca with Redis and Node-RED, as in the original; (c) Aedes with Redis and a subscriber in
Node.js; (d) Mosquitto and a subscriber with paho and shapely; (e) Mosquitto, paho, and PostGIS that fences. (a) to
(d) write to the same double of CouchDB, in a process of its own, and (a) once more to its SQLite. For each:
messages/s until the backlog grows; ms from a PUBLISH until its document is stored; CPU seconds for a million
messages, and memory; and, once, all at the same time and at a calm rate, what is lost when its consumer is killed for
ten seconds, and when the store does not answer for a minute. A peer that is not installed is left out, with the
reason.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer
from rich.console import Console

from bench.pipelines.measure import GROWS_SECONDS, Round, Sizes, losses, speed
from bench.pipelines.ours import Ours
from bench.pipelines.peers import Aedes, Mosquitto, NodeRed
from bench.pipelines.pipeline import Pipeline
from bench.pipelines.postgis import PostGis
from bench.quick import Quick, ResultsFile, place
from bench.results_file import ALL_CPU, Aim, Compared, Results, results_of, write
from bench.rounds import Entry, Figures, compare
from bench.section import section

QUICK = Sizes(first_rate=50, seconds=1, steps=1, probes=3, calm_rate=20, away=1, store_away=1)
RATE, SOON = "messages/s", "document after, ms"
AIMS = {"(b) Mosca + Node-RED": 5, "(c) Aedes + Node.js": 2, "(d) Mosquitto + paho": 2}
"""Times the messages/s of each that ours is to keep up with."""
NO_CONSUMER, NO_STORE = "lost, consumer killed for {:g} s", "lost, store away for {:g} s"


def main(
    *,
    rounds: Annotated[int, typer.Option(min=0, max=100, help="Rounds of each; 0: only what is lost.")] = 5,
    lost: Annotated[bool, typer.Option("--lost/--not-lost", help="Measure what is lost, too.")] = True,
    peer: Annotated[list[str] | None, typer.Option(help="Only these beside ours, by a part of their name.")] = None,
    seed: Annotated[int, typer.Option(help="Of the order of turns.")] = 1,
    quick: Quick = False,
    results: ResultsFile = None,
) -> None:
    """Measure whole pipelines; with --results, -losses is put behind the name of the file of what is lost."""
    every: list[Pipeline] = [Ours(sqlite=False), Ours(sqlite=True), NodeRed(), Aedes(), Mosquitto(), PostGis()]
    wanted = every[:1] if quick and not peer else [one for one in every if _is_wanted(one, peer)]
    sizes, rounds = (QUICK, 1) if quick else (Sizes(), rounds)
    if rounds:
        file = place("pipelines", quick=quick, results=results)
        _finish(_speeds(wanted, sizes, rounds, seed), file)
    if lost:
        beside = results and results.with_stem(f"{results.stem}-losses")
        _finish(_losses(wanted, sizes, seed), place("pipelines-losses", quick=quick, results=beside))


def _finish(found: Results, file: Path | None) -> None:
    _console().print(section(found))
    if file:
        write(found, file)


def _console() -> Console:
    return Console(highlight=False, soft_wrap=True, markup=False)


def _speeds(wanted: Sequence[Pipeline], sizes: Sizes, rounds: int, seed: int) -> Results:
    last: dict[str, float] = {}

    def turn(one: Pipeline) -> Figures:
        found = _run(speed(one, sizes, last.get(one.name)))
        last[one.name] = found.most
        values = {
            RATE: found.most,
            SOON: found.visible,
            f"{SOON}: p95": found.visible_p95,
            "memory, MB": sum(found.memory.values()) / 1e6,
        }
        return Figures(values=values, cpu=found.cpu)

    entries = _entries(wanted, lambda one: lambda: turn(one))
    return results_of(
        compare(entries, rounds=rounds, seed=seed, say=_console().print),
        entries,
        name="pipelines",
        title="Pipelines: from PUBLISH to a document",
        repeat="python -m bench.pipelines",
        compared=[Compared(RATE), Compared(SOON, "less"), Compared(ALL_CPU, "less"), Compared("memory, MB", "less")],
        seed=seed,
        aims=[
            Aim(text=f"at least {least} times {name}", figure=RATE, over=name, least=least)
            for name, least in AIMS.items()
            if any(one.name == name for one in wanted)
        ],
        notes=[
            _STORE,
            f"a rate counts where after {sizes.seconds:g} s of it no more waits than comes in {GROWS_SECONDS:g} s",
            "rates are 1.3 times apart, so what is less than that apart is not told apart",
            f"a document is waited for {sizes.probes} times a turn; the median of each, at no other load",
            "CPU and memory are those of all processes of a pipeline, at the rate that it keeps up with",
            "the double of CouchDB is not among its processes; PostGIS, which fences, is, and SQLite is in the decoder",
            "(a) also counts devices by zone and time, holds who is where, and rolls up, which no other does",
        ],
    )


def _losses(wanted: Sequence[Pipeline], sizes: Sizes, seed: int) -> Results:
    no_consumer, no_store = NO_CONSUMER.format(sizes.away), NO_STORE.format(sizes.store_away)

    def figures(one: Pipeline, found: Round) -> Figures:
        values = {no_consumer: found.lost_consumer, f"{no_consumer}: of so many": found.sent_consumer}
        if one.has_store_apart:
            values |= {no_store: found.lost_store, f"{no_store}: of so many": found.sent_store}
        return Figures(values=values)

    able = [one for one in wanted if not one.missing()]
    with ThreadPoolExecutor(max(1, len(able))) as threads:
        found = {one.name: threads.submit(_run, losses(one, sizes)) for one in able}
        entries = _entries(wanted, lambda one: lambda: figures(one, found[one.name].result()))
        taken = compare(entries, rounds=1, seed=seed, say=_console().print)
    return results_of(
        taken,
        entries,
        name="pipelines-losses",
        title="Pipelines: what is lost",
        repeat="python -m bench.pipelines --rounds 0",
        compared=[],
        seed=seed,
        aims=[Aim(text=f"{what}: nothing", figure=what, most=0) for what in (no_consumer, no_store)],
        notes=[
            _STORE,
            "lost is what was acknowledged and never became a document",
            f"{sizes.calm_rate:g} messages/s, all pipelines at the same time, once",
            "the consumer is what decodes: it gets SIGKILL, and is started again",
            "the store is stopped (SIGSTOP), and goes on",
            "the store of (a) with SQLite is a file of its decoder, so it cannot be away alone",
        ],
    )


_STORE = (
    "the store of (a) to (d) is the tests' double of CouchDB, in memory, in a process of its own; not CouchDB itself"
)


def _entries(wanted: Sequence[Pipeline], run: Callable[[Pipeline], Callable[[], Figures]]) -> list[Entry]:
    return [
        Entry(
            name=one.name,
            run=run(one),
            version="" if one.missing() else ", ".join(f"{name} {version}" for name, version in one.versions().items()),
            configuration=one.configuration,
            why_not=one.missing(),
        )
        for one in wanted
    ]


def _run(trial: Coroutine[Any, Any, Round]) -> Round:
    """The end of a trial; what ended it is a RuntimeError or an OSError."""
    try:
        return asyncio.run(trial)
    except httpx.HTTPError as error:
        raise RuntimeError(f"its store does not answer: {error or type(error).__name__}") from error


def _is_wanted(one: Pipeline, parts: Sequence[str] | None) -> bool:
    return not parts or isinstance(one, Ours) or any(part.lower() in one.name.lower() for part in parts)


if __name__ == "__main__":
    typer.run(main)
