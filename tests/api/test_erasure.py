"""DELETE /v1/devices/{device_id}/positions, over a real Redis and a store in a file."""

import asyncio
import base64
import dataclasses
import gzip
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any, cast
from unittest.mock import Mock
from urllib.parse import quote

import httpx
import msgspec
import pytest
from pydantic import TypeAdapter
from redis.asyncio import Redis

from api.http import problems
from api.positions.erasure import Erased
from api.settings import ApiSettings
from core.errors import Reason, UnavailableError
from core.kinds import DEFAULT_KINDS, KindId, load_kinds
from core.marks import Mark
from core.messages import DeadLetter, Position
from decoder.batch import Batch
from documents import DocumentStore
from state.devices import away_key, away_keys, newest_key, newest_value
from state.judging import HoursToJudge
from state.marks import marks_of
from state.nodes import node_key
from state.presence import presence_key
from state.queued import Message
from state.rewriting import note_rewriting, rewritings
from state.sessions import brief
from tests.api.conftest import Parts, assert_problem, client_over, key_for, record
from tests.conftest import DEAD, NOON, POSITIONS, RAW, TOTALS, entries, eventually
from tests.decoder.conftest import effects_of
from tests.decoder.conftest import position as sighting
from tests.decoder.counters import counted_windows
from tests.documents.positions import position
from tests.kinds_of_tests import CAR, MOBILE
from tests.raw_streams import raw_key
from tests.redis_servers.clients import calls
from timeseries import TimeseriesStore, Width

ARCHIVE_GROUP = "archive"
OBSERVE_GROUP = "observe"
BRIEF = "brief:{mqtt}"

DEVICE = "bus-304"
HOUR_MS = 3_600_000
DAY_MS = 86_400_000
MONTH = 31 * DAY_MS
NOTHING = {
    "documents": 0,
    "present": 0,
    "dead_letters": 0,
    "queued": 0,
    "marks": 0,
    "lake": 0,
    "cannot_reach": [],
}


def address(device: str = DEVICE) -> str:
    return f"/v1/devices/{quote(device, safe='')}/positions"


@pytest.fixture
async def admin(client: httpx.AsyncClient, redis_client: Redis, documents: DocumentStore) -> httpx.AsyncClient:
    """The client, with the key of an administrator."""
    await documents.setup()
    client.headers.update(await key_for(redis_client, "admin"))
    return client


async def erased(client: httpx.AsyncClient, device: str = DEVICE, **query: str) -> dict[str, Any]:
    answer = await client.delete(address(device), params=query)
    assert answer.status_code == 200, answer.text
    TypeAdapter(Erased).validate_json(answer.content)
    body: dict[str, Any] = answer.json()
    return body


def track(hashed: str, kind: KindId = CAR, *, months: int = 15, each: int = 3) -> list[Position]:
    return [
        position(kind=kind, device=hashed, observed_at=NOON - month * MONTH - number)
        for month in range(months)
        for number in range(each)
    ]


async def letters(redis: Redis, *found: DeadLetter) -> list[Any]:
    return [await redis.xadd(DEAD, found_one.encode()) for found_one in found]  # type: ignore[arg-type] # redis-py's dict is invariant


def letter(payload: object = None, **changes: Any) -> DeadLetter:
    fields: dict[str, Any] = {
        "reason": Reason.BAD_PROPERTY,
        "detail": "speed: not a number",
        "topic": "car-iotp",
        "received_at": NOON,
        "payload": payload if isinstance(payload, bytes | None) else base64.b64encode(json.dumps(payload).encode()),
        "user": "gate",
        "role": "gateway",
    }
    return DeadLetter(**fields | changes)


async def test_the_documents_of_all_months_are_gone_and_those_of_others_are_not(
    admin: httpx.AsyncClient, parts: Parts, documents: DocumentStore
) -> None:
    mine, same_name = (
        track(parts.hasher.hash(CAR, DEVICE)),
        track(parts.hasher.hash(MOBILE, DEVICE), MOBILE),
    )
    other = track(parts.hasher.hash(CAR, "bus-305"))
    await documents.put([*mine, *same_name, *other])

    assert await erased(admin, kind="car") == {**NOTHING, "documents": 45}

    left = {document["properties"]["device"] async for document in documents.scan()}
    assert left == {same_name[0].device, other[0].device}
    assert await documents.count() == 90


async def test_without_a_kind_a_car_and_a_phone_of_that_id_are_forgotten(
    admin: httpx.AsyncClient, parts: Parts, documents: DocumentStore
) -> None:
    for kind in DEFAULT_KINDS.ids:
        await documents.put(track(parts.hasher.hash(kind, DEVICE), kind, months=1))

    assert (await erased(admin))["documents"] == 6
    assert await documents.count() == 0


async def test_to_ask_again_finds_nothing_and_is_no_error(
    admin: httpx.AsyncClient, parts: Parts, documents: DocumentStore
) -> None:
    await documents.put(track(parts.hasher.hash(CAR, DEVICE), months=1))
    await erased(admin)

    assert await erased(admin) == NOTHING
    assert await erased(admin, "never-seen") == NOTHING


async def test_it_is_not_present_any_more_and_others_are(
    admin: httpx.AsyncClient, parts: Parts, redis_client: Redis
) -> None:
    mine, other = parts.hasher.hash(CAR, DEVICE), parts.hasher.hash(CAR, "bus-305")
    # `cellar` is a zone that this process does not know of yet.
    for zone in ("campus", "kemmy", "cellar"):
        await redis_client.zadd(presence_key("{0}", zone, CAR), {mine: NOON, other: NOON})
    for device in (mine, other):
        newest = newest_value(NOON, -8.57, 52.67, "campus,kemmy,cellar")
        await redis_client.set(newest_key("{0}", device), newest)

    assert await erased(admin, kind="car") == {**NOTHING, "present": 3}

    for zone in ("campus", "kemmy", "cellar"):
        assert await redis_client.zrange(presence_key("{0}", zone, CAR), 0, -1) == [other.encode()]
    assert not await redis_client.exists(newest_key("{0}", mine))
    assert await redis_client.exists(newest_key("{0}", other))
    assert (await admin.get("/v1/zones/kemmy/occupancy")).json()["car"] == 1


async def test_when_it_was_outside_is_forgotten_too(
    admin: httpx.AsyncClient, parts: Parts, redis_client: Redis
) -> None:
    mine = parts.hasher.away(parts.hasher.hash(CAR, DEVICE))
    other = parts.hasher.away(parts.hasher.hash(CAR, "bus-305"))
    for device in (mine, other):
        await redis_client.zadd(away_key("{0}", device), {device: NOON})
    await erased(admin)
    left = [await redis_client.zrange(key, 0, -1) for key in away_keys("{0}")]
    assert [name for names in left for name in names] == [other.encode()]


async def test_a_newest_position_that_another_version_wrote_is_forgotten_too(
    admin: httpx.AsyncClient, parts: Parts, redis_client: Redis
) -> None:
    mine = parts.hasher.hash(CAR, DEVICE)
    await redis_client.set(newest_key("{0}", mine), f"{NOON},-8.57,52.67,campus")
    await redis_client.zadd(presence_key("{0}", "kemmy", CAR), {mine: NOON})

    assert (await erased(admin))["present"] == 1
    assert not await redis_client.exists(newest_key("{0}", mine))


async def test_what_it_was_seen_in_goes_and_the_counts_stay(
    admin: httpx.AsyncClient, parts: Parts, redis_client: Redis, store: TimeseriesStore
) -> None:
    mine, other = (parts.hasher.hash(CAR, name) for name in (DEVICE, "bus-305"))
    effects = effects_of(redis_client)
    batch = Batch(positions=[sighting(each, at, "kemmy") for each in (mine, other) for at in (NOON, NOON - DAY_MS)])
    await effects.apply(batch, now=NOON)
    counts = await counted_windows(redis_client)
    await record(store, "kemmy", CAR, Width.MINUTE, {NOON - 60_000: 2})

    await erased(admin)

    assert await counted_windows(redis_client) == counts
    assert not [key for key in cast("list[bytes]", await redis_client.keys("*")) if mine.encode() in key]
    assert len(await redis_client.keys("seen:*")) == 2
    assert [
        point.devices for point in await store.history(zone="kemmy", kind=CAR, width=Width.MINUTE, start=0, end=NOON)
    ] == [2]


async def test_a_device_that_goes_on_sending_is_counted_as_a_new_one_once(
    admin: httpx.AsyncClient, parts: Parts, redis_client: Redis
) -> None:
    batch = Batch(positions=[sighting(parts.hasher.hash(CAR, DEVICE), NOON)])
    effects = effects_of(redis_client)
    await effects.apply(batch, now=NOON)
    await erased(admin)
    for _ in range(2):
        await effects.apply(batch, now=NOON)
    assert set((await counted_windows(redis_client)).values()) == {2}


async def test_dead_letters_that_hold_something_of_it_are_dropped_and_counted_as_dropped(
    admin: httpx.AsyncClient, parts: Parts, redis_client: Redis
) -> None:
    feature = {"type": "Feature", "properties": {"device_id": DEVICE, "speed": "fast"}}
    gone = await letters(
        redis_client,
        letter(feature),
        letter({"type": "FeatureCollection", "features": [feature]}, reason=Reason.TOO_MANY_FEATURES),
        # A device of its own that names nobody.
        letter({"type": "Point"}, user=DEVICE, role="car"),
        # Neither base64 nor JSON can be read, and it is there.
        letter(b'{"device_id":"bus-304","speed":NaN}'),
        letter(base64.b64encode(b'{"device_id":"bus-304","speed":NaN}')),
        letter(base64.b64encode(b'{"device_id":"bus-304","speed":1,"head')[:-3]),
        letter(base64.b64encode(b'{"device_id":"bus\\u002d304"}')),
        letter(b"bus-304;52.6;-8.5", reason=Reason.NOT_BASE64),
        letter(None, topic=f"car-iotp/{DEVICE}"),
        letter(
            None,
            reason=Reason.REJECTED_DOCUMENT,
            topic="",
            detail=f"the document store refused {parts.hasher.hash(CAR, DEVICE)}-001772366400000: too large",
        ),
    )
    kept = await letters(
        redis_client,
        letter({"type": "Feature", "properties": {"device_id": "bus-3045"}}),
        letter({"type": "Feature", "properties": {"device_id": "x-bus-304"}}),
        letter(feature, topic="mobile-iotp"),
        letter({"type": "Point"}, user=DEVICE, role="gateway"),
        letter(b"bus-3045;52.6;-8.5"),
        letter(None),
    )

    assert await erased(admin, kind="car") == {**NOTHING, "dead_letters": len(gone)}

    assert [entry_id for entry_id, _ in cast("list[Any]", await redis_client.xrange(DEAD))] == kept
    assert await redis_client.hget(TOTALS, "dropped") == str(len(gone)).encode()


async def test_dead_letters_of_an_app_are_found_by_the_topic_and_by_what_the_app_calls_the_device(
    parts: Parts, redis_client: Redis, documents: DocumentStore
) -> None:
    await documents.setup()
    plain = b'{"_type":"location","lat":52.67,"lon":-8.57,"tid":"an","topic":"owntracks/ann/phone","tst":"soon"}'
    of_topic = letter(None, topic="owntracks/ann/phone")
    of_payload = [
        letter(each, topic="owntracks/bob/phone") for each in (plain, gzip.compress(plain), base64.encodebytes(plain))
    ]
    other = await letters(redis_client, letter(None, topic="owntracks/ann/tablet"), letter(None, topic="owntracks"))
    async with client_over(dataclasses.replace(parts, kinds=load_kinds(None, "owntracks/+/+=mobile"))) as client:
        client.headers.update(await key_for(redis_client, "admin"))
        for device, found in (
            ("ann/phone", [of_topic]),
            ("owntracks/ann/phone", of_payload),
            ("an", of_payload),
        ):
            await letters(redis_client, *found)
            assert (await erased(client, device, kind="car"))["dead_letters"] == 0
            assert (await erased(client, device, kind="mobile"))["dead_letters"] == len(found)
    assert [entry_id for entry_id, _ in cast("list[Any]", await redis_client.xrange(DEAD))] == other


async def test_all_pages_of_dead_letters_are_looked_at(admin: httpx.AsyncClient, redis_client: Redis) -> None:
    feature = {"type": "Feature", "properties": {"device_id": DEVICE}}
    await letters(redis_client, *(letter(feature if number % 3 else {}) for number in range(170)))

    assert (await erased(admin))["dead_letters"] == 113
    assert await redis_client.xlen(DEAD) == 57


async def enter(redis: Redis, stream: str, group: str) -> bytes:
    """An entry that the stage has in hand."""
    entry_id = cast("bytes", await redis.xadd(stream, {"p": "x"}))
    await redis.xgroup_create(stream, group, id="0")
    await redis.xreadgroup(group, "decoder", {stream: ">"})
    return entry_id


async def somebody_waits(redis: Redis) -> bool:
    """Whether somebody has looked at the groups of a stream since the statistics were reset."""
    return any(name.startswith("xinfo") for name in await calls(redis))


@pytest.mark.parametrize(("stream", "group"), [(RAW, OBSERVE_GROUP), (POSITIONS, ARCHIVE_GROUP)])
async def test_what_is_on_its_way_is_waited_for(
    admin: httpx.AsyncClient, parts: Parts, redis_client: Redis, documents: DocumentStore, stream: str, group: str
) -> None:
    entry_id = await enter(redis_client, stream, group)

    async def decode() -> None:
        await eventually(lambda: somebody_waits(redis_client))
        await documents.put(track(parts.hasher.hash(CAR, DEVICE), months=1))
        await redis_client.xack(stream, group, entry_id)

    await redis_client.config_resetstat()
    found, _ = await asyncio.gather(erased(admin), decode())

    assert found["documents"] == 3
    assert await documents.count() == 0


@pytest.mark.parametrize("delivered", [False, True])
async def test_what_is_not_decoded_in_time_is_a_503_after_all_else_is_gone(
    admin: httpx.AsyncClient,
    parts: Parts,
    redis_client: Redis,
    documents: DocumentStore,
    monkeypatch: pytest.MonkeyPatch,
    *,
    delivered: bool,
) -> None:
    monkeypatch.setattr("api.positions.erasure.PASS_SECONDS", 0.2)
    await documents.put(track(parts.hasher.hash(CAR, DEVICE), months=1))
    if delivered:
        entry_id = await enter(redis_client, RAW, OBSERVE_GROUP)
    else:
        entry_id = cast("bytes", await redis_client.xadd(RAW, {"p": "x"}))

    answer = await admin.delete(address())

    assert "wait to be decoded" in str(assert_problem(answer, 503)["detail"])
    assert answer.headers["retry-after"] == "1"
    assert await documents.count() == 0
    if delivered:
        await redis_client.xack(RAW, OBSERVE_GROUP, entry_id)
        # What came after the request is no part of it.
        assert await erased(admin) == NOTHING


async def test_what_comes_later_is_not_waited_for(admin: httpx.AsyncClient, redis_client: Redis) -> None:
    stream, group = RAW, OBSERVE_GROUP
    first = await enter(redis_client, stream, group)
    await redis_client.config_resetstat()

    async def go_on() -> None:
        await eventually(lambda: somebody_waits(redis_client))
        await redis_client.xadd(stream, {"p": "later"})
        await redis_client.xreadgroup(group, "decoder", {stream: ">"})
        await redis_client.xack(stream, group, first)

    found, _ = await asyncio.gather(erased(admin), go_on())

    assert found == NOTHING
    assert (await redis_client.xpending(stream, group))["pending"] == 1


async def test_many_documents_take_several_requests(
    admin: httpx.AsyncClient, parts: Parts, documents: DocumentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.positions.erasure.ERASE_DOCUMENTS", 10)
    monkeypatch.setattr("api.positions.erasure.ERASE_SECONDS", 0)
    await documents.put(track(parts.hasher.hash(CAR, DEVICE), months=5, each=5))

    answers = [await admin.delete(address(), params={"kind": "car"}) for _ in range(4)]

    assert [answer.status_code for answer in answers] == [503, 503, 200, 200]
    assert "10 documents are deleted, and there are more" in answers[0].text
    assert await documents.count() == 0


async def test_a_store_that_is_away_is_a_503_and_the_id_is_in_no_log(
    parts: Parts, redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Away:
        async def erase(self, *_: object, **__: object) -> int:
            raise UnavailableError("the database is away")

    log = Mock()
    monkeypatch.setattr(problems, "_log", log)
    away = dataclasses.replace(parts, documents=Away())  # type: ignore[arg-type] # it has what is asked of it
    async with client_over(away) as client:
        answer = await client.delete(address(), headers=await key_for(redis_client, "admin"))

    assert_problem(answer, 503)
    assert log.warning.called
    assert DEVICE not in str(log.mock_calls)


@pytest.mark.parametrize("device", ["a/b", "a/positions", "a\nb", "é 図", "%2F", "a b?c#d", "x" * 128])
async def test_an_id_may_be_any_text(
    admin: httpx.AsyncClient, parts: Parts, documents: DocumentStore, device: str
) -> None:
    await documents.put(track(parts.hasher.hash(CAR, device), months=1))

    assert (await erased(admin, device))["documents"] == 3


@pytest.mark.parametrize(
    ("device", "query", "parameter"),
    [("x" * 129, {}, "device_id"), (DEVICE, {"kind": "bus"}, "kind"), (DEVICE, {"zone": "kemmy"}, "zone")],
)
async def test_a_parameter_that_cannot_be_used_is_named(
    admin: httpx.AsyncClient, device: str, query: dict[str, str], parameter: str
) -> None:
    problem = assert_problem(await admin.delete(address(device), params=query), 422)

    assert [error["parameter"] for error in problem["errors"]] == [parameter]


async def test_only_an_administrator_may(
    client: httpx.AsyncClient, parts: Parts, redis_client: Redis, documents: DocumentStore
) -> None:
    await documents.setup()
    await documents.put(track(parts.hasher.hash(CAR, DEVICE), months=1))
    scopes: Sequence[str] = ("positions:read", "positions:write")

    assert_problem(await client.delete(address()), 401)
    assert_problem(await client.delete(address(), headers=await key_for(redis_client, *scopes)), 403)
    assert await documents.count() == 3


async def test_every_partition_is_waited_for(
    parts: Parts, redis_client: Redis, documents: DocumentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await documents.setup()
    monkeypatch.setattr("api.positions.erasure.PASS_SECONDS", 0.2)
    await redis_client.xadd(raw_key(0, 3), {"p": "x"})
    headers = await key_for(redis_client, "admin")
    for partitions, status in ((2, 200), (3, 503)):
        settings = ApiSettings(data_dir=parts.settings.data_dir, partitions=partitions)
        async with client_over(dataclasses.replace(parts, settings=settings)) as client:
            assert (await client.delete(address(), headers=headers)).status_code == status


async def queue(redis_client: Redis, client_id: str, *messages: Message) -> None:
    """Positions that wait for a client, as a broker has put them there."""
    size = 0
    for number, message in enumerate(messages, 7):
        blob = msgspec.msgpack.encode(message)
        size += len(blob) + 32
        await redis_client.xadd(brief(client_id), {"b": blob, "a": str(NOON)}, id=f"{number}-0")
    session: dict[Any, Any] = {"owner": "u:report", "clean": "0", "bytes": str(size)}
    await redis_client.hset(f"session:{{mqtt}}:{client_id}", mapping=session)
    await redis_client.hincrby("sessions:bytes:{mqtt}", "u:report", size)
    await redis_client.hincrby("sessions:bytes:{mqtt}", "all", size)
    await redis_client.zadd(BRIEF, {client_id: NOON})


async def left_in(redis_client: Redis, client_id: str) -> list[bytes]:
    found = await entries(redis_client, brief(client_id))
    return [msgspec.msgpack.decode(fields[b"b"])[1] for fields in found]


async def test_what_waits_for_subscribers_who_are_away_is_erased(admin: httpx.AsyncClient, redis_client: Redis) -> None:
    named = base64.b64encode(json.dumps({"type": "Feature", "properties": {"device_id": DEVICE}}).encode())
    other = base64.b64encode(json.dumps({"type": "Feature", "properties": {"device_id": "bus-305"}}).encode())
    messages = (
        Message("car-iotp", named, 1, user="demo-gateway"),
        Message("car-iotp", other, 1, user="demo-gateway"),
        Message("car-iotp", b"by its user", 1, user=DEVICE),
        Message(f"car-iotp/{DEVICE}", b"by its topic", 1, user="demo-gateway"),
        Message("mobile-iotp", b"of a phone of the same name", 1, user=DEVICE),
    )
    await queue(redis_client, "c", *messages)
    await queue(redis_client, "d", *messages * 30)
    await redis_client.xadd(brief("c"), {"of another version": "1"})

    assert await erased(admin, kind="car") == {**NOTHING, "queued": 3 + 90 + 1}

    assert await left_in(redis_client, "c") == [other, b"of a phone of the same name"]
    assert await left_in(redis_client, "d") == [other, b"of a phone of the same name"] * 30
    counted = [int(await redis_client.hget(f"session:{{mqtt}}:{name}", "bytes") or 0) for name in "cd"]
    assert counted[1] == sum(len(msgspec.msgpack.encode(messages[number])) + 32 for number in (1, 4)) * 30
    assert await redis_client.hget("sessions:bytes:{mqtt}", "u:report") == str(sum(counted)).encode()
    assert await redis_client.hget("sessions:bytes:{mqtt}", "all") == str(sum(counted)).encode()
    assert await erased(admin, kind="car") == NOTHING


async def test_marks_of_all_hours_are_erased_and_those_of_others_are_not(
    admin: httpx.AsyncClient, parts: Parts, redis_client: Redis
) -> None:
    mine, other = (parts.hasher.hash(CAR, name) for name in (DEVICE, "bus-305"))
    hours = HoursToJudge(redis_client, keep_ms=DAY_MS)
    for hour in (NOON - 2 * HOUR_MS, NOON - HOUR_MS):
        await hours.note({hour: hour}, now=NOON)
        claim = await hours.claim(now=NOON, until=NOON + 1)
        assert claim
        await hours.settle(claim, dict.fromkeys((mine, other), frozenset({Mark.FROZEN})), now=NOON)

    assert await erased(admin, kind="car") == {**NOTHING, "marks": 2}

    for hour in (NOON - 2 * HOUR_MS, NOON - HOUR_MS):
        assert await marks_of(redis_client, hour) == {other: {Mark.FROZEN}}
    assert mine.encode() not in b"".join([await redis_client.dump(key) or b"" for key in await redis_client.keys("*")])
    assert await erased(admin, kind="car") == NOTHING


async def test_marks_are_erased_also_where_there_are_more_documents_than_one_request_deletes(
    admin: httpx.AsyncClient,
    parts: Parts,
    redis_client: Redis,
    documents: DocumentStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("api.positions.erasure.ERASE_SECONDS", 0.0)
    monkeypatch.setattr("api.positions.erasure.ERASE_DOCUMENTS", 10)
    hashed = parts.hasher.hash(CAR, DEVICE)
    await documents.put(track(hashed))
    hour = NOON - HOUR_MS
    hours = HoursToJudge(redis_client, keep_ms=DAY_MS)
    await hours.note({hour: hour}, now=NOON)
    claim = await hours.claim(now=NOON, until=NOON + 1)
    assert claim
    await hours.settle(claim, {hashed: frozenset({Mark.PERFECT})}, now=NOON)

    assert_problem(await admin.delete(address(), params={"kind": "car"}), 503)

    assert await marks_of(redis_client, hour) == {}


async def test_what_brokers_have_for_each_other_is_waited_for(
    admin: httpx.AsyncClient, redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.positions.erasure.PASS_SECONDS", 0.2)
    await redis_client.hset("nodes:{mqtt}", mapping={"node:1": "7", "node:2": "7"})
    waiting: dict[Any, Any] = {"sent": "900", "taken": "800"}
    await redis_client.hset(node_key("node:1"), mapping=waiting)

    assert_problem(await admin.delete(address()), 503)
    await redis_client.hset(node_key("node:1"), "taken", "900")
    assert await erased(admin) == NOTHING
    await redis_client.hset(node_key("node:1"), "sent", "1000")
    assert_problem(await admin.delete(address()), 503)
    await redis_client.hdel("nodes:{mqtt}", "node:1")
    assert await erased(admin) == NOTHING


@pytest.fixture
async def append_only(redis_client: Redis) -> AsyncIterator[Redis]:
    """A Redis that keeps an append-only file."""

    async def idle() -> bool:
        told = await redis_client.info("persistence")
        return not told["aof_rewrite_in_progress"] and not told["aof_rewrite_scheduled"]

    await redis_client.config_set("appendonly", "yes")
    await eventually(idle)
    yield redis_client
    await redis_client.config_set("appendonly", "no")


async def asked(redis: Redis, count: int) -> bool:
    return (await rewritings(redis)).asked == count


@pytest.mark.usefixtures("append_only")
async def test_it_is_done_once_the_file_of_redis_is_written_anew(
    admin: httpx.AsyncClient, parts: Parts, redis_client: Redis, documents: DocumentStore
) -> None:
    await documents.put(track(parts.hasher.hash(CAR, DEVICE), months=1))
    erasing = asyncio.create_task(erased(admin))
    await eventually(lambda: asked(redis_client, 1))
    assert await documents.count() == 0
    assert not erasing.done()
    await note_rewriting(redis_client, 1)
    assert await erasing == {**NOTHING, "documents": 3}


@pytest.mark.usefixtures("append_only")
async def test_a_file_that_may_not_be_written_anew_is_said_to_be_out_of_reach(
    admin: httpx.AsyncClient, parts: Parts, redis_client: Redis, documents: DocumentStore
) -> None:
    await documents.put(track(parts.hasher.hash(CAR, DEVICE), months=1))
    erasing = asyncio.create_task(erased(admin))
    await eventually(lambda: asked(redis_client, 1))
    await note_rewriting(redis_client, 1, refused=True)
    (told,) = (await erasing)["cannot_reach"]
    assert told == (
        "Redis's append-only file holds what was deleted until it is rewritten, "
        "which the decoder's user may not have done."
    )


@pytest.mark.usefixtures("append_only")
async def test_a_file_that_is_not_written_anew_in_time_is_a_503_and_who_repeats_waits_for_the_same(
    admin: httpx.AsyncClient,
    parts: Parts,
    redis_client: Redis,
    documents: DocumentStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("api.positions.erasure.REWRITE_SECONDS", 0.1)
    await documents.put(track(parts.hasher.hash(CAR, DEVICE), months=1))
    for _ in range(2):
        answer = await admin.delete(address())
        told = (
            "Not all of it is gone yet: Redis's append-only file is still to be rewritten. Repeat the request in 5 s."
        )
        assert (answer.status_code, answer.json()["detail"]) == (503, told)
    assert await rewritings(redis_client) == (1, 0, 0)
    await note_rewriting(redis_client, 1)
    assert await erased(admin) == NOTHING


@pytest.mark.usefixtures("append_only")
async def test_what_went_of_redis_alone_is_written_away_too(
    admin: httpx.AsyncClient, parts: Parts, redis_client: Redis
) -> None:
    """A device that was outside, or seen some hours ago, and of which there is no document (ARCHIVE=off)."""
    away = parts.hasher.away(parts.hasher.hash(CAR, DEVICE))
    await redis_client.zadd(away_key("{0}", away), {away: NOON})
    erasing = asyncio.create_task(erased(admin))
    await eventually(lambda: asked(redis_client, 1))
    assert not erasing.done()
    await note_rewriting(redis_client, 1)
    assert await erasing == NOTHING


@pytest.mark.usefixtures("append_only")
async def test_where_a_store_is_away_what_went_of_redis_is_written_away_all_the_same(
    admin: httpx.AsyncClient, parts: Parts, redis_client: Redis, documents: DocumentStore
) -> None:
    class Away:
        async def erase(self, *_: object, **__: object) -> int:
            raise UnavailableError("the database is away")

    mine = parts.hasher.hash(CAR, DEVICE)
    await redis_client.zadd(presence_key("{0}", "kemmy", CAR), {mine: NOON})
    away = dataclasses.replace(parts, documents=Away())  # type: ignore[arg-type] # it has what is asked of it
    async with client_over(away) as client:
        assert_problem(await client.delete(address(), headers=dict(admin.headers)), 503)
    assert await asked(redis_client, 1)
    assert await documents.count() == 0
    erasing = asyncio.create_task(erased(admin))
    await asyncio.sleep(0)
    await note_rewriting(redis_client, 1)
    assert await erasing == NOTHING
    assert await asked(redis_client, 1)
