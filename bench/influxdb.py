"""What the roll-up and the history take with InfluxDB itself, beside the least that InfluxDB takes for the same.

python -m bench.influxdb write     dirty windows a second of the roll-up, beside bare line protocol
python -m bench.influxdb history   one day of one zone at 5m from the store, and as an answer, beside the bare query

Who goes first changes from round to round, at random. The bare write is the same lines in batches of the same size,
made before and sent one after the other over one connection; the bare query is Flux that is read and not parsed. Needs
`make influxd`, or INFLUXD; without it, nothing is measured.
"""

import asyncio
import json
import random
import statistics
import tempfile
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from time import perf_counter
from typing import Annotated
from zoneinfo import ZoneInfo

import aiohttp
import typer
import uvloop

from api.history.body import HistoryQuery, histories, range_of
from bench.kinds import CAR
from bench.quick import Quick, ResultsFile
from bench.report import Report, rounds_of
from bench.rollup import DEVICES, TIMEZONE, mark, windows_of
from bench.servers import redis_server
from core.clock import format_rfc3339, system_clock
from core.kinds import DEFAULT_KINDS
from decoder.metrics import DecoderMetrics
from decoder.rollup import WRITERS, Rollup
from decoder.settings import DecoderSettings
from runtime.settings import CommonSettings
from state.client import open_redis
from tests.influxd.server import InfluxServer, influxd_executable
from timeseries import OccupancyPoint, Width, Window
from timeseries.influx import InfluxOccupancyStore

WRITE_RATIO = 0.9
HISTORY_RATIO = 1 / 1.3
DAY_MS = 86_400_000
STEP_MS = 300_000
ZONES = 23
QUESTIONS = 40
"""Of each kind in a round."""
Rounds = Annotated[int, typer.Option(min=1, max=100, help="Rounds.")]

app = typer.Typer(add_completion=False)


@app.command()
def write(
    *,
    windows: Annotated[int, typer.Option(min=1, max=1_000_000, help="Dirty windows in a round.")] = 20_000,
    rounds: Rounds = 7,
    quick: Quick = False,
    results: ResultsFile = None,
) -> None:
    """Measure the roll-up beside bare line protocol. Needs redis-server."""
    if quick:
        windows, rounds = 500, 1
    with tempfile.TemporaryDirectory(prefix="bench-influxdb-") as folder, _influxd(Path(folder)) as server:
        report = uvloop.run(_write(server, Path(folder), windows, rounds))
    report.show(quick=quick, results=results)


@app.command()
def history(*, rounds: Rounds = 7, quick: Quick = False, results: ResultsFile = None) -> None:
    """Measure one day of one zone beside the bare query."""
    if quick:
        rounds = 1
    with tempfile.TemporaryDirectory(prefix="bench-influxdb-") as folder, _influxd(Path(folder)) as server:
        reports = uvloop.run(_history(server, rounds, questions=2 if quick else QUESTIONS))
    for report in reports:
        report.show(quick=quick, results=results and results.with_stem(f"{results.stem}-{report.name}"))


@contextmanager
def _influxd(folder: Path) -> Iterator[InfluxServer]:
    executable = influxd_executable()
    if executable is None:
        typer.echo("InfluxDB is left out: make influxd builds it", err=True)
        raise typer.Exit
    (folder / "influxd").mkdir()
    server = InfluxServer(executable, folder / "influxd")
    server.start()
    try:
        yield server
    finally:
        server.kill()


@asynccontextmanager
async def _store(server: InfluxServer, prefix: str) -> AsyncIterator[InfluxOccupancyStore]:
    async with InfluxOccupancyStore(url=server.url, org=server.org, token=server.token, bucket_prefix=prefix) as store:
        await store.setup()
        yield store


async def _write(server: InfluxServer, folder: Path, count: int, rounds: int) -> Report:
    windows, batch = windows_of(count, system_clock()), DecoderSettings().rollup_batch
    requests = _requests(windows, batch)
    found: dict[str, list[float]] = defaultdict(list)
    with redis_server(folder) as address:
        # The first of all is not counted: InfluxDB makes files, and learns the series.
        for number in range(rounds + 1):
            sides: dict[str, Callable[[str], Awaitable[float]]] = {
                "stage": lambda prefix: _roll_up(server, prefix, address, windows, batch),
                "bare": lambda prefix: _bare_writes(server, prefix, requests, len(windows)),
            }
            for name in random.sample(sorted(sides), len(sides)):
                rate = await sides[name](f"{name}-{number}")
                if number:
                    found[name].append(rate)
    return Report(
        name="influxdb-write",
        title=f"{count:,} dirty windows into InfluxDB, {batch:,} to a batch",
        repeat="python -m bench.influxdb write",
        unit="windows/s",
        measured=(stage := "rollup stage, Redis beside it"),
        peer=(bare := "bare line protocol"),
        found=rounds_of("windows/s", {stage: found["stage"], bare: found["bare"]}),
        target_ratio=WRITE_RATIO,
    )


def _requests(windows: list[Window], batch: int) -> list[tuple[Width, bytes]]:
    """Line protocol in batches as the roll-up claims them, a request for each width."""
    requests = []
    for first in range(0, len(windows), batch):
        lines: dict[Width, list[str]] = defaultdict(list)
        for window in windows[first : first + batch]:
            lines[window.width].append(
                f"occupancy,kind={window.kind},zone={window.zone} devices={DEVICES}i {window.start}"
            )
        requests += [(width, "\n".join(of_width).encode()) for width, of_width in lines.items()]
    return requests


async def _bare_writes(server: InfluxServer, prefix: str, requests: list[tuple[Width, bytes]], windows: int) -> float:
    async with _store(server, prefix), _session(server) as session:
        began = perf_counter()
        for width, body in requests:
            parameters = {"org": server.org, "bucket": f"{prefix}_{width}", "precision": "ms"}
            async with session.post(f"{server.url}/api/v2/write", params=parameters, data=body) as answer:
                answer.raise_for_status()
        return windows / (perf_counter() - began)


async def _roll_up(server: InfluxServer, prefix: str, address: str, windows: list[Window], batch: int) -> float:
    async with open_redis(CommonSettings(redis_url=address)) as client, _store(server, prefix) as store:
        await mark(client, windows)
        rollup = Rollup(
            kinds=DEFAULT_KINDS,
            client=client,
            store=store,
            clock=system_clock,
            metrics=DecoderMetrics(),
            partitions=1,
            timezone=TIMEZONE,
            every_ms=0,
            batch_size=batch,
            dead_letters_max=1000,
        )

        async def work_off() -> int:
            written = 0
            while count := await rollup.step():
                written += count
            return written

        began = perf_counter()
        written = await asyncio.gather(*(work_off() for _ in range(WRITERS)))
        seconds = perf_counter() - began
        if sum(written) != len(windows):
            raise AssertionError(f"{written} windows were rolled up, of {len(windows)}")
        return len(windows) / seconds


def _session(server: InfluxServer) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(headers={"Authorization": f"Token {server.token}"})


class _Day:
    """The questions about one day of one zone."""

    def __init__(self, server: InfluxServer, store: InfluxOccupancyStore, session: aiohttp.ClientSession) -> None:
        self._server = server
        self._store = store
        self._session = session
        self._end = system_clock() // DAY_MS * DAY_MS
        self._start = self._end - DAY_MS
        query = HistoryQuery(
            kind=CAR,
            window=Width.FIVE_MINUTES,
            start=format_rfc3339(self._start),
            end=format_rfc3339(self._end),
        )
        self._asked = range_of(query, now=self._end, timezone=ZoneInfo("Europe/Dublin"), most=10_000)

    async def record(self) -> None:
        """A week of all zones."""
        for zone in range(ZONES):
            points = [
                OccupancyPoint(Window(Width.FIVE_MINUTES, at, f"zone-{zone}", kind), (at // STEP_MS + zone) % 500)
                for at in range(self._end - 7 * DAY_MS, self._end, STEP_MS)
                for kind in DEFAULT_KINDS.ids
            ]
            (await self._store.write(points)).check()

    async def bare(self, zone: str) -> None:
        start, end = format_rfc3339(self._start), format_rfc3339(self._end)
        flux = (
            f'from(bucket: "occupancy_5m") |> range(start: {start}, stop: {end})'
            ' |> filter(fn: (r) => r._measurement == "occupancy" and r._field == "devices"'
            f' and r.zone == "{zone}" and r.kind == "car") |> keep(columns: ["_time", "_value"])'
        )
        async with self._session.post(
            f"{self._server.url}/api/v2/query?org={self._server.org}",
            data=json.dumps({"query": flux}),
            headers={"Content-Type": "application/json"},
        ) as answer:
            answer.raise_for_status()
            if (await answer.read()).count(b"\r\n") < DAY_MS // STEP_MS:
                raise AssertionError("rows are missing")

    async def store(self, zone: str) -> None:
        found = await self._store.history(
            zone=zone, kind=CAR, width=Width.FIVE_MINUTES, start=self._start, end=self._end
        )
        if len(found) != DAY_MS // STEP_MS:
            raise AssertionError("points are missing")

    async def answer(self, zone: str) -> None:
        await histories(self._store, [zone], CAR, self._asked, encoded=True)


async def _history(server: InfluxServer, rounds: int, *, questions: int) -> list[Report]:
    rates: dict[str, list[float]] = defaultdict(list)
    async with _store(server, "occupancy") as store, _session(server) as session:
        day = _Day(server, store, session)
        await day.record()
        sides = {"bare": day.bare, "store": day.store, "answer": day.answer}
        for number in range(rounds + 1):
            seconds: dict[str, list[float]] = defaultdict(list)
            for question in range(questions):
                for name in random.sample(sorted(sides), len(sides)):
                    began = perf_counter()
                    await sides[name](f"zone-{question % ZONES}")
                    seconds[name].append(perf_counter() - began)
            if number:
                for name, found in seconds.items():
                    rates[name].append(1 / statistics.median(found))
    return [
        Report(
            name=f"influxdb-history-{name}",
            title="One day of one zone at 5m from InfluxDB",
            repeat="python -m bench.influxdb history",
            unit="questions/s",
            measured=what,
            peer="the bare query",
            found=rounds_of("questions/s", {what: rates[name], "the bare query": rates["bare"]}),
            target_ratio=HISTORY_RATIO,
        )
        for name, what in (("store", "history of the store"), ("answer", "answer of the API, with its extent"))
    ]


if __name__ == "__main__":
    app()
