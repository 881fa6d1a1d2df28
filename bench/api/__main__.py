"""How fast the API is, beside the least that it could do.

python -m bench.api                       everything: a table, and bench/results/api.json; some three minutes
python -m bench.api --quick               whether it still runs, not how fast it is

GET /v1/occupancy, with 22 zones and 20,000 devices present and a change a second in every zone, is measured beside a
FastAPI endpoint that gives a constant of the same size: each alone in a process of its own, with the same uvicorn,
HTTP parser and event loop. The API has all its middlewares; the constant that counts has none, and a second one has
the same. History is measured beside the store's own query. Rounds are interleaved, and who goes first changes from
round to round. Needs redis-server.
"""

import asyncio
import statistics
import tempfile
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import ExitStack
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated

import typer
import uvloop
from redis.asyncio import Redis

from bench.api import servers
from bench.api.data import DEVICES, arrive, come_and_go, record
from bench.api.history import STORE, STORE_BOTH, day_start, history_job, store_seconds
from bench.api.load import Answers, Job, load
from bench.api.results import Series, ratios, show
from bench.api.servers import Served
from bench.events import measure as follow
from bench.quick import Quick, ResultsFile, place
from bench.servers import redis_server

OCCUPANCY, CONDITIONAL, CONSTANT, WRAPPED = "occupancy", "304", "constant", "constant with middlewares"
HISTORY = "history"
AT_A_RATE = 200.0
BOTTLENECK = 0.9
"""Share of a core from which the load generator itself may be what is measured."""
STREAM_ROUNDS = 20


def main(
    *,
    rounds: Annotated[int, typer.Option(min=1, max=100, help="Rounds of each.")] = 5,
    seconds: Annotated[float, typer.Option(min=0.2, max=600, help="Of each measurement, after its warm-up.")] = 3.0,
    connections: Annotated[int, typer.Option(min=1, max=1000, help="Connections of the load.")] = 16,
    readers: Annotated[int, typer.Option(min=0, max=2000, help="Streams of events; 0: none are measured.")] = 1000,
    quick: Quick = False,
    results: ResultsFile = None,
) -> None:
    """Measure the API."""
    stream_rounds = STREAM_ROUNDS
    if quick:
        rounds, seconds, readers, stream_rounds = 1, 0.3, 20, 2
    bench = Bench(seconds=seconds, connections=connections)
    uvloop.run(bench.run(rounds))
    delays, megabytes = uvloop.run(follow(readers, stream_rounds)) if readers else ([], 0.0)
    found = [*_throughput(bench), *_latency(bench), *_history(bench)]
    if readers:
        found += [
            Series(
                name=f"{readers:,} event streams, slowest reader",
                unit="s",
                rounds=[*map(max, delays)],
                most=1.0,
                all_rounds=True,
            ),
            Series(name="API with them, at its peak", unit="MB", rounds=[megabytes], most=256.0),
        ]
    show(
        found,
        {
            "devices present": DEVICES,
            "connections": connections,
            "bytes of the body": bench.size,
            "load generator, most of a core": round(max(bench.generator), 2),
            "load generator": "perhaps the bottleneck" if max(bench.generator) > BOTTLENECK else "not the bottleneck",
            "304 of the conditional answers, least": round(min(bench.not_modified), 3),
        },
        place("api", quick=quick, results=results),
    )


class Bench:
    """The rounds of everything that is asked with requests."""

    def __init__(self, *, seconds: float, connections: int) -> None:
        self._seconds = seconds
        self._connections = connections
        self.rates: dict[str, list[float]] = {}
        """Answers a second."""
        self.costs: dict[str, list[float]] = {}
        """Microseconds of the server's CPU for each answer."""
        self.p95: list[float] = []
        """Milliseconds at `AT_A_RATE`."""
        self.medians: dict[str, list[float]] = {}
        """Milliseconds of one question about history."""
        self.generator: list[float] = []
        self.not_modified: list[float] = []
        self.size = 0

    async def run(self, rounds: int) -> None:
        """Start everything, and measure."""
        with ExitStack() as resources:
            folder = Path(resources.enter_context(tempfile.TemporaryDirectory(prefix="bench-api-")))
            redis_url = resources.enter_context(redis_server(folder))
            generator = resources.enter_context(ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")))
            start = day_start()
            await record(folder, start)
            async with Redis.from_url(redis_url) as client:
                await arrive(client)
                api = resources.enter_context(servers.api(redis_url, folder))
                self.size = servers.body_size(api)
                peers = {
                    CONSTANT: resources.enter_context(servers.constant(self.size, middlewares=False)),
                    WRAPPED: resources.enter_context(servers.constant(self.size, middlewares=True)),
                }
                moving = asyncio.create_task(come_and_go(client))
                for number in range(rounds):
                    await self._round(number, api, peers, generator)
                    await self._history_round(number, api, folder, start, generator)
                moving.cancel()

    async def _round(self, number: int, api: Served, peers: dict[str, Served], generator: Executor) -> None:
        turns: list[tuple[str, Served]] = [(OCCUPANCY, api), (CONDITIONAL, api), *peers.items()]
        first = number % len(turns)
        for name, served in turns[first:] + turns[:first]:
            found = await self._load(generator, served, conditional=name == CONDITIONAL)
            self.rates.setdefault(name, []).append(found.per_second)
            self.costs.setdefault(name, []).append(found.server_microseconds)
            if name == CONDITIONAL:
                self.not_modified.append(found.not_modified)
        paced = await self._load(generator, api, rate=AT_A_RATE)
        self.p95.append(1000 * statistics.quantiles(paced.seconds, n=20)[-1])

    async def _load(
        self, generator: Executor, served: Served, *, conditional: bool = False, rate: float | None = None
    ) -> Answers:
        job = Job(
            port=served.port,
            pid=served.pid,
            path=served.path,
            connections=self._connections,
            warm_up=min(0.5, self._seconds),
            seconds=self._seconds,
            rate=rate,
            conditional=conditional,
        )
        found = await self._submit(generator, job)
        self.generator.append(found.generator_busy)
        return found

    async def _submit(self, generator: Executor, job: Job) -> Answers:
        return await asyncio.get_running_loop().run_in_executor(generator, load, job)

    async def _history_round(self, number: int, api: Served, folder: Path, start: int, generator: Executor) -> None:
        async def over_http() -> None:
            found = await self._submit(generator, history_job(api, start, self._seconds / 2))
            self.medians.setdefault(HISTORY, []).append(1000 * statistics.median(found.seconds))

        async def by_itself() -> None:
            # In a process that has nothing else to do, as the API's has.
            job: Callable[[Path, int, float], dict[str, float]] = store_seconds
            loop = asyncio.get_running_loop()
            for name, median in (await loop.run_in_executor(generator, job, folder, start, self._seconds / 4)).items():
                self.medians.setdefault(name, []).append(1000 * median)

        turns = [over_http, by_itself]
        for turn in turns[number % 2 :] + turns[: number % 2]:
            await turn()


def _throughput(bench: Bench) -> list[Series]:
    found = [Series(name=f"GET: {name}", unit="requests/s", rounds=rates) for name, rates in bench.rates.items()]
    found.sort(key=lambda series: series.name)
    occupancy, conditional = bench.rates[OCCUPANCY], bench.rates[CONDITIONAL]
    for peer, least, least_304 in ((CONSTANT, 0.6, 1.0), (WRAPPED, None, None)):
        found += [
            Series(name=f"occupancy / {peer}", unit="ratio", rounds=ratios(occupancy, bench.rates[peer]), least=least),
            Series(name=f"304 / {peer}", unit="ratio", rounds=ratios(conditional, bench.rates[peer]), least=least_304),
        ]
    return [
        *found,
        *(Series(name=f"server's CPU: {name}", unit="µs", rounds=costs) for name, costs in sorted(bench.costs.items())),
    ]


def _latency(bench: Bench) -> list[Series]:
    return [Series(name=f"occupancy, p95 at {AT_A_RATE:g} requests/s", unit="ms", rounds=bench.p95, most=50.0)]


def _history(bench: Bench) -> list[Series]:
    asked, store, both = (bench.medians[name] for name in (HISTORY, STORE, STORE_BOTH))
    return [
        Series(name="history of a day at 5m", unit="ms", rounds=asked),
        Series(name="the store's own query", unit="ms", rounds=store),
        Series(name="the store's own queries, with the extent", unit="ms", rounds=both),
        Series(name="history / the store's own query", unit="ratio", rounds=ratios(asked, store), most=1.5),
        Series(name="history / the store's own queries", unit="ratio", rounds=ratios(asked, both)),
    ]


if __name__ == "__main__":
    typer.run(main)
