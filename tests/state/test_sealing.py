"""What waits is sealed, on real servers: one of everything, and one of keys."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from core.clock import system_clock
from core.errors import Reason, UnavailableError
from core.messages import DeadLetter, RawMessage
from runtime.settings import CommonSettings
from state.client import open_redis
from state.dead_letters import DeadLetters, Which
from state.entries import Entry, decode_entry, encode_entry, group_of
from state.group import Leftover
from state.raw import Raw
from state.raw_group import RawGroup
from state.sealing import Sealing, SealingSettings, is_sealed, opened_by, seal_with
from tests.conftest import NOON
from tests.redis_servers.executables import redis_executable
from tests.redis_servers.process import RedisProcess, free_ports

DEVICE = b"ann-s-phone"
MESSAGE = RawMessage("mobile-iotp", "ann", "mobile", NOON, b'{"device_id": "ann-s-phone"}')
KEYS = "raw-keys:{campus}"


class Time:
    """A monotonic clock that goes as a test says."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture(scope="module")
def keys_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisProcess]:
    folder = tmp_path_factory.mktemp("keys")
    process = RedisProcess(
        redis_executable(), folder, free_ports(1)[0], "--appendonly", "yes", "--appendfsync", "always"
    )
    process.start()
    yield process
    process.stop()


@pytest.fixture
async def keys(keys_server: RedisProcess) -> AsyncIterator[Redis]:
    if not keys_server.is_running:
        keys_server.start()
    async with open_redis(CommonSettings(redis_url=f"redis://{keys_server.address}")) as client:
        await client.flushall()
        yield client


@pytest.fixture
async def client(service_redis: Redis, keys: Redis, time: Time) -> Redis:
    seal_with(service_redis, Sealing(keys, monotonic=time))
    return service_redis


def entry(*messages: RawMessage) -> Entry:
    return encode_entry([group_of(message) for message in messages or (MESSAGE,)])


async def appended(client: Redis, *messages: RawMessage) -> list[tuple[bytes, dict[bytes, bytes]]]:
    raw = Raw(client=client, partitions=1)
    await raw.append(0, [entry(*messages)], most=1000)
    found: Any = await client.xrange("raw:{0}")
    return list(found)


def group(client: Redis) -> RawGroup:
    return RawGroup(client=client, partition=0, partitions=1, consumer="one", claim_after_ms=0)


async def minute(keys: Redis) -> int:
    return int((await keys.time())[0]) // 60


async def test_what_waits_says_nothing_and_is_opened_as_it_was(client: Redis, keys: Redis) -> None:
    found = await appended(client, MESSAGE, MESSAGE)

    (_, fields) = found[0]
    assert is_sealed(fields)
    assert fields[b"n"] == b"2"
    assert DEVICE not in fields[b"b"]
    assert b"mobile" not in fields[b"b"]
    ((_, opened),) = await group(client).opened(found)
    assert decode_entry(opened) == [MESSAGE, MESSAGE]
    names: Any = await keys.hkeys(KEYS)
    assert [name[:1] for name in names] == [b"m"]


async def test_another_process_has_the_same_key_and_opens_what_this_one_has_sealed(client: Redis, keys: Redis) -> None:
    found = await appended(client)
    other = Sealing(keys)
    ((_, opened),) = await other.opened(found)
    assert decode_entry(opened) == [MESSAGE]
    await other.sealed([entry()])
    assert await minute(keys) - int((await keys.hkeys(KEYS))[0][1:]) in {0, 1}
    assert len(await keys.hkeys(KEYS)) <= 2, "two processes, and at the most two minutes"


async def test_an_entry_that_says_another_number_of_messages_is_not_opened(client: Redis) -> None:
    ((entry_id, fields),) = await appended(client)
    ((_, opened),) = await group(client).opened([(entry_id, fields | {b"n": b"2"})])
    with pytest.raises(ValueError, match="no broker wrote"):
        decode_entry(opened)


async def test_what_is_sealed_with_a_key_that_was_destroyed_is_what_nobody_can_read(client: Redis, keys: Redis) -> None:
    found = await appended(client)
    await keys.delete(KEYS)
    ((_, opened),) = await Sealing(keys).opened(found)
    with pytest.raises(ValueError, match="no broker wrote"):
        decode_entry(opened)


async def test_what_is_not_sealed_is_read_beside_what_is(client: Redis, keys: Redis) -> None:
    seal_with(client, Sealing(keys, seals=False))
    ((_, before),) = await appended(client)
    assert not is_sealed(before)
    seal_with(client, Sealing(keys))
    both = await appended(client)
    assert [decode_entry(fields) for _, fields in await group(client).opened(both)] == [[MESSAGE], [MESSAGE]]


async def test_who_knows_no_keys_waits_with_what_is_sealed(client: Redis, redis_client: Redis) -> None:
    found = await appended(client)
    with pytest.raises(UnavailableError, match="KEYS_REDIS_URL is not set"):
        await opened_by(redis_client, found)


async def test_while_the_keys_are_away_the_last_one_is_used_for_some_minutes_and_then_nothing_is_taken(
    client: Redis, keys: Redis, keys_server: RedisProcess, time: Time
) -> None:
    raw = Raw(client=client, partitions=1)
    await raw.append(0, [entry()], most=1000)
    keys_server.kill()
    time.now += 239  # at the most 60 s of its minute were left, and for 240 more it may be used
    await raw.append(0, [entry()], most=1000)
    time.now += 62
    with pytest.raises(UnavailableError, match="the Redis of keys"):
        await raw.append(0, [entry()], most=1000)
    assert await client.xlen("raw:{0}") == 2

    keys_server.start()
    assert await keys.ping()
    await raw.append(0, [entry()], most=1000)
    found: Any = await client.xrange("raw:{0}")
    assert [decode_entry(fields) for _, fields in await group(client).opened(found)] == [[MESSAGE]] * 3


async def test_a_machine_that_has_slept_uses_no_key_of_before(client: Redis, keys: Redis, time: Time) -> None:
    wall = NOON
    seal_with(client, Sealing(keys, monotonic=time, clock=lambda: wall))
    await appended(client)
    await client.delete("raw:{0}")
    # Nothing waited, so the key was destroyed as soon as it woke; the monotonic clock had stood still.
    await keys.delete(KEYS)
    wall += 3_600_000
    found = await appended(client)
    assert [decode_entry(fields) for _, fields in await Sealing(keys).opened(found)] == [[MESSAGE]]


async def test_a_key_is_destroyed_only_when_the_clock_of_who_destroys_says_so_too(client: Redis, keys: Redis) -> None:
    now = await minute(keys)
    await keys.hset(KEYS, mapping=dict.fromkeys([f"m{now - each}" for each in (9, 69)], b"k" * 32))
    # The clock of the keys' Redis is an hour ahead, and so others still seal with the first one.
    await Sealing(keys, clock=lambda: system_clock() - 3_600_000).destroy(client, 1, letters_keep_s=86_400)
    assert await keys.hkeys(KEYS) == [f"m{now - 9}".encode()]


async def test_who_knows_another_key_of_the_same_name_learns_the_new_one(client: Redis, keys: Redis) -> None:
    first = await appended(client)
    reader = group(client)
    assert [decode_entry(fields) for _, fields in await reader.opened(first)] == [[MESSAGE]]
    # The Redis of keys was lost, and came back empty within the minute; somebody else sealed with the key that it made.
    names: Any = await keys.hkeys(KEYS)
    (name,) = names
    await keys.delete(KEYS)
    other = Sealing(keys)
    await other.sealed([entry()])
    (secret,) = await keys.hvals(KEYS)
    await keys.delete(KEYS)
    await keys.hset(KEYS, name, secret)
    key = other._minutes._key
    assert key is not None
    found = [(b"2-0", {b"n": b"1", b"b": replace(key, name=name).seal(entry().batch, b"1")})]

    assert [decode_entry(fields) for _, fields in await reader.opened(found)] == [[MESSAGE]]
    with pytest.raises(ValueError, match="no broker wrote"):
        decode_entry((await reader.opened(first))[0][1])


async def test_what_arrives_when_its_key_may_be_gone_does_not_count(client: Redis, time: Time) -> None:
    raw = Raw(client=client, partitions=1)
    sealing = raw._sealing
    assert sealing is not None
    seal = sealing.sealed

    async def slow(entries: Any) -> Any:  # noqa: ANN401
        answer = await seal(entries)
        time.now += 60 + 240 + 60
        return answer

    sealing.sealed = slow  # type: ignore[method-assign]
    with pytest.raises(UnavailableError, match="its key may be gone"):
        await raw.append(0, [entry()], most=1000)


async def test_keys_go_once_nothing_can_wait_that_was_sealed_with_them(client: Redis, keys: Redis) -> None:
    now = await minute(keys)
    day = now // 1440
    names = [f"m{now - each}" for each in (0, 6, 9, 30, 40)] + [f"d{day - each}" for each in (0, 7, 9)]
    await keys.hset(KEYS, mapping=dict.fromkeys(names, b"k" * 32))
    sealing = Sealing(keys)

    async def left() -> set[str]:
        await sealing.destroy(client, 1, letters_keep_s=7 * 86_400)
        names: Any = await keys.hkeys(KEYS)
        return {name.decode() for name in names}

    days = {f"d{day}", f"d{day - 7}"}
    # A decoder was away for half an hour: the first entry was sealed then.
    await client.xadd("raw:{0}", {"n": 1, "b": _sealed_with(f"m{now - 30}")})
    assert await left() - days == {f"m{now - each}" for each in (0, 6, 9, 30)}
    # What is not sealed may have anything behind it.
    await client.delete("raw:{0}")
    await client.xadd("raw:{0}", {"n": 1, "b": entry().batch})
    assert f"m{now - 30}" in await left()
    await client.delete("raw:{0}")
    assert (await left()) & {f"m{now - each}" for each in (9, 30, 40)} == set()
    assert f"m{now}" in await left()
    assert days <= await left()
    assert f"d{day - 9}" not in await left()


def _sealed_with(name: str) -> bytes:
    return msgspec.msgpack.encode((2, name.encode(), b"n" * 12, b"anything"))


async def test_an_entry_that_is_taken_apart_is_sealed_again(client: Redis) -> None:
    other = RawMessage("mobile-iotp", "ben", "mobile", NOON, b"{}")
    own = group(client)
    await own.create()
    await appended(client, MESSAGE, other)
    ((entry_id, _),) = await own.read(10)
    assert await own.split(Leftover(entry_id, 2, 0))
    found: Any = await client.xrange("raw:{0}")
    assert [is_sealed(fields) for _, fields in found] == [True, True]
    assert [decode_entry(fields) for _, fields in await own.opened(found)] == [[MESSAGE], [other]]


LETTER = DeadLetter(
    Reason.NOT_GEOJSON, "it is no object", "owntracks/ann/phone", NOON, payload=DEVICE, user="ann", role="mobile"
)


async def test_of_a_dead_letter_topic_user_and_payload_are_sealed_and_whoever_reads_it_has_them(client: Redis) -> None:
    letters = DeadLetters(client, partitions=1)
    await letters.add([LETTER], 10, partition=0)
    kept: Any = await client.xrange("dead:{0}")
    ((_, fields),) = kept
    assert fields.keys() == {b"reason", b"detail", b"topic", b"received_at", b"role", b"sealed"}
    assert not [name for name, value in fields.items() if b"ann" in value]

    assert [letter async for _, letter in letters.newest(Which())] == [LETTER]
    assert [letter async for page in letters.batches(Which()) for _, letter in page] == [LETTER]
    ((letter_id, opened),) = [each async for page in letters.raw_fields() for each in page]
    assert opened[b"payload"] == DEVICE
    found = await letters.named([letter_id])
    assert await letters.replay(found) == 1
    waiting: Any = await client.xrange("raw:{0}")
    assert is_sealed(waiting[0][1])
    ((_, again),) = await group(client).opened(waiting)
    assert [message.payload for message in decode_entry(again)] == [DEVICE]


async def test_of_a_dead_letter_whose_key_was_destroyed_the_reason_is_left(client: Redis, keys: Redis) -> None:
    letters = DeadLetters(client, partitions=1)
    await letters.add([LETTER], 10, partition=0)
    await keys.delete(KEYS)
    seal_with(client, Sealing(keys))
    (letter,) = [letter async for _, letter in DeadLetters(client, partitions=1).newest(Which())]
    assert (letter.reason, letter.detail, letter.payload, letter.user) == (LETTER.reason, LETTER.detail, None, "")


@pytest.mark.parametrize(
    ("raw_encryption", "url", "is_open", "seals"),
    [
        (None, "", False, False),
        (None, "redis://redis-keys", False, True),
        (None, "redis://redis-keys", True, False),
        (False, "redis://redis-keys", False, False),
        (True, "redis://redis-keys", True, True),
    ],
)
def test_it_is_sealed_where_counts_are_protected_and_there_is_a_redis_of_keys(
    tmp_path: Path, *, raw_encryption: bool | None, url: str, is_open: bool, seals: bool
) -> None:
    settings = SealingSettings(raw_encryption=raw_encryption, keys_redis_url=url, data_dir=tmp_path)
    assert settings.seals(is_open=is_open) is seals
