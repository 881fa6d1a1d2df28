import asyncio
import importlib
import pkgutil
import re
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

import state
from core.errors import Reason, UnavailableError
from core.messages import DeadLetter
from runtime.settings import CommonSettings
from state.client import open_redis
from state.codes import RedisUnavailableError
from state.key_types import TYPES, set_aside_wrong_types, type_of
from tests.conftest import entries

NAMES = {"sorted set": "zset", "integer": "string"}


@pytest.fixture
async def client(redis_client: Redis, redis_server: str) -> AsyncIterator[Redis]:
    del redis_client  # it empties Redis
    async with open_redis(CommonSettings(redis_url=redis_server)) as client:
        yield client


def test_every_key_of_the_map_has_its_type_in_the_table() -> None:
    maps = [
        importlib.import_module(f"state.{each.name}").__doc__ or "" for each in pkgutil.iter_modules(state.__path__)
    ]
    # A key, its type, and words about it, in columns.
    found = re.findall(
        r"^    ([a-z-]+\S*) +(stream|hash|string|set|sorted set|integer)  ", "\n".join(maps), flags=re.MULTILINE
    )
    assert len(found) > 35
    assert {key: NAMES.get(kind, kind) for key, kind in found} == {key: type_of(key) for key, _ in found}
    assert {_in_table(key) for key, _ in found} == set(TYPES)


def _in_table(key: str) -> str:
    if tagged := re.match(r"[^{]*:\{(?:p|mqtt|campus)\}:?", key):
        return tagged[0]
    return key if "{" not in key else f"{key.partition(':')[0]}:"


async def test_a_key_of_another_type_is_set_aside_with_a_letter_and_the_next_attempt_works(client: Redis) -> None:
    await client.set("raw:{0}", "not a stream")
    await client.set("foreign", "a")
    with pytest.raises(UnavailableError, match="set aside"):
        await client.xadd("raw:{0}", {"a": 1})
    await client.xadd("raw:{0}", {"a": 1})
    assert await client.get("aside:raw:{0}") == b"not a stream"
    assert 0 < await client.pttl("aside:raw:{0}") <= 86_400_000
    (letter,) = [DeadLetter.decode(fields) for fields in await entries(client, "dead:{0}")]
    assert letter.reason is Reason.MALFORMED_ENTRY
    assert letter.detail == "a key raw of the type string, which should be stream; it is set aside for a day"
    assert letter.payload is None
    assert await cast("Any", client.hgetall("totals:{0}")) == {b"dead:malformed_entry": b"1"}


@pytest.mark.parametrize("key", ["dead:{campus}", "totals:{campus}"])
async def test_also_where_it_is_what_is_counted_in(client: Redis, key: str) -> None:
    await client.set(key, "x")
    await client.set("raw:{0}", "x")
    with pytest.raises(UnavailableError, match="set aside"):
        await client.xadd("raw:{0}", {"a": 1})
    assert await client.exists(f"aside:{key}", "aside:raw:{0}") == 2


async def test_in_a_pipeline_a_script_and_among_answers_likewise(client: Redis) -> None:
    for way in ("raise", "answers", "script"):
        await client.delete("totals:{campus}", "aside:totals:{campus}")
        await client.set("totals:{campus}", "x")
        if way == "script":
            with pytest.raises(UnavailableError):
                await client.register_script("return redis.call('HGET', 'totals:{campus}', 'a')")()
            continue
        async with client.pipeline(transaction=False) as pipeline:
            pipeline.ping()
            pipeline.hgetall("totals:{campus}")
            if way == "answers":
                answers = await pipeline.execute(raise_on_error=False)
                assert isinstance(answers[1], UnavailableError)
            else:
                with pytest.raises(UnavailableError):
                    await pipeline.execute()
        assert await client.type("totals:{campus}") == b"hash"


async def test_many_that_meet_it_at_once_make_one_letter(client: Redis) -> None:
    await client.set("totals:{campus}", "x")
    answers = await asyncio.gather(
        *(cast("Any", client.hgetall("totals:{campus}")) for _ in range(50)), return_exceptions=True
    )
    assert all(answer == {b"dead:malformed_entry": b"1"} or isinstance(answer, UnavailableError) for answer in answers)
    assert len(await entries(client, "dead:{campus}")) == 1


def others_are_faster(monkeypatch: pytest.MonkeyPatch, other: Redis) -> None:
    """Whoever looks for what to set aside finds that another process has just done it."""

    async def late(own: Redis) -> tuple[int, frozenset[bytes]]:
        await set_aside_wrong_types(other)
        return await set_aside_wrong_types(own)

    monkeypatch.setattr("state.calls.set_aside_wrong_types", late)


async def test_a_whole_pipeline_that_met_what_another_process_has_set_aside_is_no_defect(
    client: Redis, redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    others_are_faster(monkeypatch, redis_client)
    await client.set("totals:{campus}", "x")
    async with client.pipeline(transaction=False) as pipeline:
        for _ in range(20):
            pipeline.hgetall("totals:{campus}")
        answers = await pipeline.execute(raise_on_error=False)
    assert [type(answer) for answer in answers] == [RedisUnavailableError] * 20


async def test_another_process_may_be_faster_with_any_number_of_keys(
    client: Redis, redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    others_are_faster(monkeypatch, redis_client)
    for number in range(12):
        key = f"presence:{{0}}:campus:{number}"
        await client.set(key, "x")
        with pytest.raises(UnavailableError, match="set aside"):
            await client.zcard(key)
        assert await client.zcard(key) == 0
    assert await client.get("aside:presence:{0}:campus:11") == b"x"


async def test_a_command_that_is_wrong_for_a_key_of_the_right_type_is_a_defect(client: Redis) -> None:
    await client.set("mirror:{campus}", "a")
    # It may be that another process was faster to set something aside; but not for ever.
    for _ in range(4):
        with pytest.raises(UnavailableError):
            await client.xadd("mirror:{campus}", {"a": 1})
    with pytest.raises(ResponseError):
        await client.xadd("mirror:{campus}", {"a": 1})
    assert await client.get("mirror:{campus}") == b"a"
