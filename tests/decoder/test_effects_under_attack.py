"""What Redis holds is full, or not what it should be: no effect is lost, and what is done once is done once."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

import pytest
from redis.asyncio import Redis

from core.errors import Reason, UnavailableError
from core.messages import DeadLetter
from decoder.batch import Batch
from state.group import Group
from tests.conftest import NOON, POSITIONS, RAW, entries, eventually
from tests.decoder.conftest import dead_letters, effects_of, finish, position
from tests.decoder.counters import counted_windows
from tests.state.test_codes import connected, real

ARCHIVE_GROUP = "archive"
OBSERVE_GROUP = "observe"

__all__ = ["real"]  # a fixture
LETTER = DeadLetter(Reason.POISON, "detail", "", NOON, payload=None)


def group_of(client: Redis, stream: str = RAW, name: str = OBSERVE_GROUP) -> Group:
    return Group(client=client, stream=stream, group=name, consumer="a", claim_after_ms=0)


def a_batch(devices: int = 1) -> Batch:
    batch = Batch(fence="", dead=[LETTER])
    batch.positions = [position(f"{number:032x}", NOON, "main") for number in range(devices)]
    batch.totals["messages"] = 1
    return batch


async def in_hand(client: Redis) -> list[bytes]:
    group = group_of(client)
    await group.create()
    await client.xadd(RAW, {"n": 1})
    return [entry_id for entry_id, _ in await group.read(1)]


async def test_at_maxmemory_a_decoder_still_works_off_what_there_is(real: Callable[..., str]) -> None:
    async with connected(real()) as client:
        entry_ids = await in_hand(client)
        # Several parts: each is a script of its own, and begins with what needs memory.
        batch = a_batch(devices=6000)
        await client.config_set("maxmemory", 1)
        with pytest.raises(UnavailableError):
            await client.set("a", 1)
        await finish(client, effects_of(client), batch, entry_ids)
        assert await client.xlen(RAW) == 0
        assert await client.zcard("presence:{0}:main:car") == 6000
        archive = group_of(client, POSITIONS, ARCHIVE_GROUP)
        await client.config_set("maxmemory", 0)
        await archive.create()
        found = await archive.read(10)
        await client.config_set("maxmemory", 1)
        assert await archive.dead_letter(found[0][0], LETTER, 10)
        await archive.acknowledge([entry_id for entry_id, _ in found])
        assert await client.xlen(POSITIONS) == 0


@pytest.mark.parametrize(
    "key",
    [
        "presence:{0}:main:car",
        "touched:{0}",
        "touched:{0}:at",
        "count:{0}:m82054:main:car",
        "count:{0}:d20513:main:car",
        f"seen:{{0}}:20513:{0:032x}",
        "life:{0}:20513",
        "lives:{0}",
        "dirty:{0}",
        "fence:{0}",
        "away:{0}:0",
        "positions:{0}",
        "dead:{0}",
        "totals:{0}",
        f"newest:{{0}}:{0:032x}",
        "campus:{campus}",
    ],
)
async def test_a_key_of_another_type_costs_nothing_of_a_batch(real: Callable[..., str], key: str) -> None:
    async with connected(real()) as client:
        entry_ids = await in_hand(client)
        if key.startswith(("newest:", "life:", "touched:{0}:at")):
            await cast("Any", client.hset(key, "a", "b"))
        else:
            await client.set(key, "x")
        effects = effects_of(client)

        async def applied() -> bool:
            with suppress(UnavailableError):
                await finish(client, effects, a_batch(), entry_ids)
                return True
            return False

        await eventually(applied)
        assert await client.xlen(RAW) == 0
        assert await client.zcard("presence:{0}:main:car") == 1
        assert await client.zscore("dirty:{0}", "1m:1772366400000:main:car") == NOON
        assert set((await counted_windows(client)).values()) == {1}
        assert len(await counted_windows(client)) == 8
        assert len(await entries(client, POSITIONS)) == 1
        totals = await cast("Any", client.hgetall("totals:{0}"))
        assert (totals[b"messages"], totals[b"dead:poison"]) == (b"1", b"1")
        letters = await dead_letters(client)
        assert len([letter for letter in letters if letter.reason is Reason.POISON]) == 1


async def test_a_total_that_is_no_number_begins_anew(real: Callable[..., str]) -> None:
    async with connected(real()) as client:
        entry_ids = await in_hand(client)
        await cast("Any", client.hset("totals:{0}", "messages", "many"))
        await finish(client, effects_of(client), a_batch(), entry_ids)
        assert (await cast("Any", client.hgetall("totals:{0}")))[b"messages"] == b"1"
        assert await client.xlen(RAW) == 0
