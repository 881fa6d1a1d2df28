"""The stage archive: which positions become documents, and what becomes of them while the store is away."""

import asyncio
import base64
import json
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest
import stamina.instrumentation
from aiohttp import web
from aiohttp.test_utils import TestServer
from redis.asyncio import Redis

import documents
import timeseries
from core.errors import Reason, UnavailableError
from core.kinds import DEFAULT_KINDS
from core.messages import Position, decode_positions, encode_positions
from decoder.archive import Archiver, part_positions
from decoder.metrics import DecoderMetrics
from decoder.samples import Samples
from decoder.settings import Archive, DecoderSettings
from decoder.stages import Assembly
from documents import DocumentSettings, DocumentStore, RejectedDocumentError, document_id, from_document, sample_id
from documents.cloudant import CloudantStore
from documents.document import Key
from documents.sqlite import SQLiteStore
from geofence import load_campus
from runtime.service import Stop
from state.dead_letters import DeadLetters
from state.dirty_windows import waiting
from state.group import Group
from state.presence import presence_key
from tests.conftest import NOON, POSITIONS, RAW, TOTALS, entries, eventually
from tests.decoder.conftest import HASHER, LIBRARY, TTL, HandClock, dead_letters, position, raw
from tests.kinds_of_tests import CAR
from timeseries import Width

ARCHIVE_GROUP = "archive"

STREAM = POSITIONS
MakeArchiver = Callable[..., Archiver]


class Recording:
    """A store in memory, which is away as often as it is told to be."""

    def __init__(self, *, away: int = 0, refuses: Callable[[str], bool] = lambda _: False) -> None:
        self.puts: list[list[str]] = []
        self.stored: set[str] = set()
        self._away = away
        self._refuses = refuses

    async def put(self, positions: Sequence[Position], *, key: Key) -> int:
        if self._away:
            self._away -= 1
            raise UnavailableError("a pause", retry_after=0.0)
        ids = list(map(key, positions))
        self.puts.append(ids)
        before = len(self.stored)
        refused = set(filter(self._refuses, ids))
        self.stored.update(set(ids) - refused)
        if refused:
            raise RejectedDocumentError(dict.fromkeys(refused, "forbidden: " + "no " * 1000))
        return len(self.stored) - before


@pytest.fixture
async def group(redis_client: Redis) -> Group:
    group = Group(client=redis_client, stream=STREAM, group=ARCHIVE_GROUP, consumer="a", claim_after_ms=0)
    await group.create()
    return group


@pytest.fixture
def archiver(redis_client: Redis, group: Group, metrics: DecoderMetrics) -> MakeArchiver:
    def make(store: object, archive: Archive = Archive.EVERY, **more: Any) -> Archiver:
        return Archiver(
            dead_letters=DeadLetters(redis_client, partitions=1),
            group=group,
            store=cast("DocumentStore", store),
            clock=HandClock(),
            metrics=metrics,
            dead_letters_max=10,
            archive=archive,
            partition=0,
            **more,
        )

    return make


async def observed(client: Redis, *batches: list[Position]) -> None:
    for batch in batches:
        await client.xadd(STREAM, {"d": encode_positions(batch)})


def counted(metrics: DecoderMetrics, reason: Reason) -> float | None:
    return metrics.registry.get_sample_value("decoder_dead_letters_total", {"reason": reason.value})


async def pending(client: Redis) -> int:
    return int((await client.xpending(STREAM, ARCHIVE_GROUP))["pending"])


async def test_a_batch_is_written_in_parts_and_each_is_acknowledged_after_it_is_written(
    redis_client: Redis, group: Group, archiver: MakeArchiver
) -> None:
    left: list[int] = []

    class Looking(Recording):
        async def put(self, positions: Sequence[Position], *, key: Key) -> int:
            left.append(await pending(redis_client))
            return await super().put(positions, key=key)

    sizes = [4, 4, 4, 25, 1]
    await observed(redis_client, *([position(f"{n}-{i}", NOON) for i in range(size)] for n, size in enumerate(sizes)))
    store = Looking()

    await archiver(store, part=10)(await group.read(10))

    assert [len(ids) for ids in store.puts] == [10, 2, 10, 10, 5, 1]
    assert left == [5, 5, 2, 2, 2, 1]
    assert await pending(redis_client) == 0
    assert len(store.stored) == sum(sizes)


async def test_nothing_is_acknowledged_that_was_not_written(
    redis_client: Redis, group: Group, archiver: MakeArchiver
) -> None:
    class Broken:
        async def put(self, positions: Sequence[Position], *, key: Key) -> int:
            raise RuntimeError(f"a defect, with {list(map(key, positions))}")

    await observed(redis_client, [position("a", NOON)])

    with pytest.raises(RuntimeError):
        await archiver(Broken())(await group.read(10))

    assert await pending(redis_client) == 1


@pytest.mark.parametrize(
    "fields",
    [
        {"d": encode_positions([position("a", NOON)]), "i": b"7"},
        {"d": encode_positions([position("a", NOON)]), "i": b"x"},
        {"d": b"nonsense"},
        {"e": b""},
    ],
)
async def test_an_entry_that_no_decoder_made_becomes_a_dead_letter_and_stops_nothing(
    redis_client: Redis, group: Group, archiver: MakeArchiver, metrics: DecoderMetrics, fields: dict[Any, Any]
) -> None:
    await observed(redis_client, [position("b", NOON)])
    await redis_client.xadd(STREAM, fields)
    await observed(redis_client, [position("c", NOON)])
    store = Recording()

    await archiver(store)(await group.read(10))

    assert store.stored == {document_id(position(device, NOON)) for device in ("b", "c")}
    assert await pending(redis_client) == 0
    assert [letter.reason for letter in await dead_letters(redis_client)] == [Reason.MALFORMED_ENTRY]
    assert counted(metrics, Reason.MALFORMED_ENTRY) == 1


async def test_documents_that_are_refused_become_dead_letters_once_and_all_others_are_stored(
    redis_client: Redis, group: Group, archiver: MakeArchiver, metrics: DecoderMetrics
) -> None:
    positions = [position(f"{number}", NOON) for number in range(25)]
    await observed(redis_client, positions)
    refused = {document_id(positions[number]) for number in (3, 7, 20)}
    store = Recording(refuses=refused.__contains__)

    await archiver(store, part=10)(await group.read(10))

    assert store.stored == {document_id(each) for each in positions} - refused
    assert [len(ids) for ids in store.puts] == [10, 10, 5]
    assert await pending(redis_client) == 0
    letters = await dead_letters(redis_client)
    assert [letter.reason for letter in letters] == [Reason.REJECTED_DOCUMENT] * 3
    assert all(any(name in letter.detail for letter in letters) for name in refused)
    assert all(letter.payload is None and len(letter.detail) < 350 for letter in letters)
    assert counted(metrics, Reason.REJECTED_DOCUMENT) == 3
    assert int(await redis_client.hget(TOTALS, "dead:rejected_document") or 0) == 3
    assert metrics.registry.get_sample_value("decoder_archived_positions_total") == 22


async def test_a_sample_that_is_refused_is_not_taken_for_stored(
    redis_client: Redis, group: Group, archiver: MakeArchiver
) -> None:
    store = Recording(refuses=lambda name: name.startswith("a") and len(store.puts) == 1)
    sampling = archiver(store, Archive.SAMPLED)
    for _ in range(2):
        await observed(redis_client, [position("a", NOON), position("b", NOON)])
        await sampling(await group.read(10))

    assert store.puts[1] == [sample_id(position("a", NOON))]
    assert store.stored == {sample_id(position(device, NOON)) for device in ("a", "b")}


def test_a_part_takes_no_more_than_ten_seconds_of_a_plan() -> None:
    assert [part_positions(writes) for writes in (None, 1, 10, 499, 501)] == [5000, 10, 100, 4990, 5000]


class LitePlan:
    """A server that stumbles: of so many documents, it takes them in hand and then does not answer."""

    def __init__(self, *, stumbles_every: int) -> None:
        self.stored: set[str] = set()
        self.written = 0
        self._stumbles_every = stumbles_every

    async def put(self, positions: Sequence[Position], *, key: Key) -> int:
        for each in positions:
            self.written += 1
            if self.written % self._stumbles_every == 0:
                raise UnavailableError("a timeout", retry_after=0.0)
            self.stored.add(key(each))
        return len(positions)


async def test_a_slow_plan_with_a_server_that_stumbles_still_gets_through_its_backlog(
    redis_client: Redis, group: Group, archiver: MakeArchiver
) -> None:
    positions = [position(f"{number}", NOON) for number in range(2000)]
    await observed(redis_client, positions)
    plan = LitePlan(stumbles_every=350)

    await archiver(plan, part=part_positions(10))(await group.read(10))

    assert len(plan.stored) == 2000
    assert plan.written < 3000


@pytest.mark.usefixtures("impatient")
async def test_a_wait_that_the_server_asks_for_is_waited_for(
    redis_client: Redis, group: Group, archiver: MakeArchiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setenv("CLOUDANT_AUTH_TYPE", "NOAUTH")
    given_up = asyncio.Event()

    def note(details: stamina.instrumentation.RetryDetails) -> None:
        waits.append(details.wait_for)
        given_up.set()

    async def too_many(_: web.Request) -> web.Response:
        return web.json_response({"error": "too_many_requests"}, status=429, headers={"Retry-After": "30"})

    stamina.instrumentation.set_on_retry_hooks([note])
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", too_many)
    try:
        async with TestServer(app) as server:
            store = CloudantStore(url=str(server.make_url("")), database="positions")
            await observed(redis_client, [position("a", NOON)])
            archiving = asyncio.ensure_future(archiver(store)(await group.read(10)))
            await asyncio.wait_for(given_up.wait(), 10)
            archiving.cancel()
            store.close()
    finally:
        stamina.instrumentation.set_on_retry_hooks(None)

    assert len(waits) == 1
    # Not less, whatever the longest of our own waits is; and not everybody at the same moment.
    assert 30 < waits[0] < 30.2
    assert await pending(redis_client) == 1


async def test_off_acknowledges_and_writes_nothing(redis_client: Redis, group: Group, archiver: MakeArchiver) -> None:
    await observed(redis_client, [position("a", NOON)], [position("b", NOON)])
    store = Recording()

    await archiver(store, Archive.OFF)(await group.read(10))

    assert store.puts == []
    assert await pending(redis_client) == 0


def drives() -> list[Position]:
    """Some devices for some minutes, every five seconds, on their way through zones."""
    dice = random.Random(7)  # noqa: S311 - the same traffic every time
    return [
        position(f"{device:032x}", NOON + 5000 * step, *dice.choice([(), ("a",), ("a", "b"), ("b",)]))
        for device in range(4)
        for step in range(60)
    ]


@pytest.mark.parametrize("seed", range(3))
async def test_samples_are_the_same_in_number_whatever_comes_twice_and_in_which_order(
    redis_client: Redis, group: Group, archiver: MakeArchiver, tmp_path: Path, seed: int
) -> None:
    dice = random.Random(seed)  # noqa: S311 - the same traffic every time
    traffic = drives() * 2
    dice.shuffle(traffic)
    store = SQLiteStore(tmp_path / "documents.sqlite3")
    decoders = [archiver(store, Archive.SAMPLED) for _ in range(3)]
    for start in range(0, len(traffic), 25):
        await observed(redis_client, traffic[start : start + 25])
        await dice.choice(decoders)(await group.read(10))

    samples = [from_document(document) async for document in store.scan()]
    await store.close()

    def windows(positions: list[Position]) -> set[tuple[str, int, str]]:
        return {(each.device, each.observed_at // 60_000, zone) for each in positions for zone in each.zones}

    minutes = {(each.device, each.observed_at // 60_000, each.zones) for each in drives()}
    assert len(samples) == len(minutes)
    assert {(each.device, each.observed_at // 60_000, each.zones) for each in samples} == minutes
    # So every window has the devices that it has with ARCHIVE=every.
    assert windows(samples) == windows(drives())


async def test_a_sample_that_was_written_is_not_sent_again(
    redis_client: Redis, group: Group, archiver: MakeArchiver
) -> None:
    store = Recording(away=2)
    sampling = archiver(store, Archive.SAMPLED)
    for seconds in range(0, 60, 5):
        await observed(redis_client, [position("a", NOON + 1000 * seconds)])
        await sampling(await group.read(10))

    assert store.puts == [[sample_id(position("a", NOON))]]
    assert await pending(redis_client) == 0


async def test_a_sample_that_is_forgotten_is_sent_again_and_memory_has_an_end(
    redis_client: Redis, group: Group, archiver: MakeArchiver
) -> None:
    store = Recording()
    samples = Samples(4)
    # Two partitions of one process.
    sampling = [archiver(store, Archive.SAMPLED, samples=samples) for _ in range(2)]
    for number, device in enumerate(["a", "b", "c", "d", "a", "e", "d", "a"]):
        await observed(redis_client, [position(device, NOON)])
        await sampling[number % 2](await group.read(10))
        assert len(samples) <= 4

    assert [ids[0][0] for ids in store.puts] == ["a", "b", "c", "d", "e", "a"]
    assert len(store.stored) == 5


async def test_months_that_were_over_are_dropped_while_the_stage_runs(redis_client: Redis, tmp_path: Path) -> None:
    stop = Stop()
    settings = DecoderSettings(data_dir=tmp_path, documents_keep="90d")
    async with documents.open_store(settings) as store:
        await store.setup()
        await store.put([position("old", NOON - 200 * 86_400_000), position("new", NOON)])
        assembly = Assembly(
            kinds=DEFAULT_KINDS, settings=settings, client=redis_client, clock=HandClock(), metrics=DecoderMetrics()
        )
        running = [asyncio.ensure_future(stage(stop)) for stage in assembly.archive(store).values()]

        async def dropped() -> bool:
            return [document["_id"] async for document in store.scan()] == [document_id(position("new", NOON))]

        await eventually(dropped)
        stop.set()
        await asyncio.wait_for(asyncio.gather(*running), 10)


# --- an outage --------------------------------------------------------------------------------------------------------


class Couch:
    """As much of a CouchDB as is written to, in memory; `away` as long as it says."""

    def __init__(self) -> None:
        self.away = False
        self.refused = 0
        self.no: dict[str, str] | None = None
        """What it says to every request that writes documents, while that is set."""
        self.status = 503
        self.databases: dict[str, dict[str, Any]] = {}

    async def answer(self, request: web.Request) -> web.Response:
        if self.away or (self.no is not None and request.path.endswith("/_bulk_docs")):
            self.refused += 1
            return web.json_response(self.no or {"error": "away"}, status=self.status, headers={"Retry-After": "0"})
        if request.path == "/_all_dbs":
            return web.json_response(sorted(self.databases))
        name, _, path = request.path.strip("/").partition("/")
        if request.method == "GET":
            # It keeps no indexes: they are made again each time.
            return web.json_response({"indexes": []}, status=200 if path == "_index" else 404)
        if request.method == "PUT" and not path:
            self.databases.setdefault(name, {})
        elif path == "_bulk_docs":
            return self._write(name, (await request.json())["docs"])
        return web.json_response({"ok": True}, status=201)

    def _write(self, name: str, docs: list[dict[str, Any]]) -> web.Response:
        if name not in self.databases:
            return web.json_response({"error": "not_found"}, status=404)
        rows = []
        for each in docs:
            known = each["_id"] in self.databases[name]
            self.databases[name].setdefault(each["_id"], each)
            rows.append({"id": each["_id"]} | ({"error": "conflict"} if known else {"ok": True}))
        return web.json_response(rows, status=201)


class Outage:
    """Makes a store unusable for a while; what has been stored, and what waits for it."""

    def __init__(self, settings: DecoderSettings, couch: Couch) -> None:
        self._file = settings.documents_file
        self._moved = self._file.with_suffix(".moved")
        self._couch = couch

    def begin(self) -> None:
        self._couch.away = True
        if self._file.exists():
            self._file.rename(self._moved)
        # A folder in its place keeps out even root, whom no file mode stops.
        self._file.mkdir()

    def end(self) -> None:
        self._couch.away = False
        self._file.rmdir()
        if self._moved.exists():
            self._moved.rename(self._file)

    async def stored(self, store: DocumentStore) -> set[str]:
        if isinstance(store, SQLiteStore):
            return {document["_id"] async for document in store.scan()}
        return {name for database in self._couch.databases.values() for name in database}


@asynccontextmanager
async def couch_server(couch: Couch) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", couch.answer)
    async with TestServer(app) as server:
        yield str(server.make_url(""))


def message(device: str, at: int) -> dict[Any, Any]:
    feature = {
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": list(LIBRARY)},
        "properties": {"device_id": device, "timestamp": at},
    }
    return raw(base64_of(feature)).encode()


def base64_of(feature: dict[str, Any]) -> bytes:
    return base64.b64encode(json.dumps(feature).encode())


@pytest.mark.parametrize("store_name", ["sqlite", "cloudant"])
@pytest.mark.usefixtures("impatient")
async def test_a_store_that_is_away_delays_no_counts_and_has_every_document_when_it_is_back(
    store_name: str, redis_client: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLOUDANT_AUTH_TYPE", "NOAUTH")
    couch, clock, metrics, stop = Couch(), HandClock(), DecoderMetrics(), Stop()
    devices = [f"device-{number}" for number in range(10)]
    expected: set[str] = set()

    async def traffic(minute: int) -> None:
        """A minute of it: everybody is in the library."""
        for device in devices:
            at = NOON + minute * 60_000
            await redis_client.xadd(RAW, message(device, at))
            expected.add(f"{HASHER.hash(CAR, device)}-{at:015d}")

    async with couch_server(couch) as url:
        settings = DecoderSettings.model_validate(
            {
                "data_dir": tmp_path,
                "presence_ttl": TTL,
                "document_store": store_name,
                "cloudant_url": url,
                "rollup_every": 0,
            }
        )
        outage = Outage(settings, couch)
        async with (
            documents.open_store(settings, clock=clock) as store,
            timeseries.open_store(settings) as series,
        ):
            assembly = Assembly(
                kinds=DEFAULT_KINDS, settings=settings, client=redis_client, clock=clock, metrics=metrics
            )
            stages = assembly.observe(load_campus(None), HASHER) | assembly.archive(store) | assembly.rollup(series)
            running = [asyncio.ensure_future(stage(stop)) for stage in stages.values()]

            async def counted() -> list[int]:
                points = await series.history(
                    zone="glucksman-library", kind=CAR, width=Width.MINUTE, start=NOON - 1, end=NOON + 600_000
                )
                return [point.devices for point in points]

            async def documents_are_complete() -> bool:
                return await outage.stored(store) == expected

            await traffic(0)
            await eventually(documents_are_complete)
            outage.begin()
            for minute in range(1, 4):
                clock.now += 60_000
                await traffic(minute)

                async def all_windows(minutes: int = minute + 1) -> bool:
                    return await counted() == [10] * minutes

                # The counts go on, each minute of it, and so does presence.
                await eventually(all_windows)
            assert await redis_client.zcard(presence_key("{0}", "glucksman-library", "car")) == 10

            async def waits() -> bool:
                return bool(metrics.waiting and "archive" in metrics.waiting)

            await eventually(waits)
            waiting = [each for fields in await entries(redis_client, STREAM) for each in decode_positions(fields)]
            assert {document_id(each) for each in waiting} == {name for name in expected if not _first(name)}

            outage.end()
            await eventually(documents_are_complete)
            await traffic(5)
            await eventually(documents_are_complete)
            stop.set()
            await asyncio.wait_for(asyncio.gather(*running), 10)
    assert metrics.waiting is None
    assert await redis_client.xlen(STREAM) == 0


def _first(name: str) -> bool:
    return name.endswith(f"-{NOON:015d}")


@pytest.mark.parametrize("archive", list(Archive))
async def test_counts_do_not_depend_on_what_is_archived(archive: Archive, redis_client: Redis, tmp_path: Path) -> None:
    stop = Stop()
    settings = DecoderSettings(data_dir=tmp_path, presence_ttl=TTL, archive=archive, rollup_every=0)
    async with documents.open_store(settings) as store, timeseries.open_store(settings) as series:
        assembly = Assembly(
            kinds=DEFAULT_KINDS, settings=settings, client=redis_client, clock=HandClock(), metrics=DecoderMetrics()
        )
        stages = assembly.observe(load_campus(None), HASHER) | assembly.archive(store) | assembly.rollup(series)
        running = [asyncio.ensure_future(stage(stop)) for stage in stages.values()]
        for seconds in range(0, 120, 10):
            for device in ("a", "b", "c"):
                await redis_client.xadd(RAW, message(device, NOON - 1000 * seconds))

        async def idle() -> bool:
            entries = [await redis_client.xlen(RAW), await redis_client.xlen(STREAM)]
            return not any(entries) and not await waiting(redis_client, 1)

        await eventually(idle)
        points = await series.history(
            zone="glucksman-library", kind=CAR, width=Width.MINUTE, start=NOON - 3_600_000, end=NOON + 1
        )
        assert [point.devices for point in points] == [3, 3, 3]
        assert await redis_client.zcard(presence_key("{0}", "glucksman-library", "car")) == 3
        stop.set()
        await asyncio.wait_for(asyncio.gather(*running), 10)
        if archive is Archive.OFF:
            assert not DocumentSettings(data_dir=tmp_path).documents_file.exists()
        else:
            assert await store.count() == {Archive.EVERY: 36, Archive.SAMPLED: 9}[archive]


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (400, "bad_request: invalid UTF-8 JSON"),
        (413, "document_too_large: a"),
        (412, "nodedown: progress not possible"),
        (500, "enospc: no space left on device"),
        (403, "forbidden: You may not"),
    ],
)
@pytest.mark.usefixtures("impatient")
async def test_a_server_that_says_no_to_all_documents_is_waited_for_and_readiness_has_its_words(
    status: int, words: str, redis_client: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLOUDANT_AUTH_TYPE", "NOAUTH")
    couch, clock, metrics, stop = Couch(), HandClock(), DecoderMetrics(), Stop()
    error, _, reason = words.partition(": ")
    positions = [position(f"device{number}", NOON) for number in range(50)]

    async with couch_server(couch) as url:
        settings = DecoderSettings.model_validate(
            {"data_dir": tmp_path, "document_store": "cloudant", "cloudant_url": url}
        )
        async with documents.open_store(settings, clock=clock) as store:
            await store.setup()
            couch.no, couch.status = {"error": error, "reason": reason}, status
            await observed(redis_client, positions)
            assembly = Assembly(
                kinds=DEFAULT_KINDS, settings=settings, client=redis_client, clock=clock, metrics=metrics
            )
            running = [asyncio.ensure_future(stage(stop)) for stage in assembly.archive(store).values()]

            async def waits() -> bool:
                return bool(metrics.waiting and words in metrics.waiting and couch.refused > 5)

            await eventually(waits)
            couch.no = None

            async def stored() -> bool:
                return {name for each in couch.databases.values() for name in each if "probe" not in name} == set(
                    map(document_id, positions)
                )

            await eventually(stored)
            stop.set()
            await asyncio.wait_for(asyncio.gather(*running), 10)

    assert metrics.waiting is None
    assert await dead_letters(redis_client) == []
