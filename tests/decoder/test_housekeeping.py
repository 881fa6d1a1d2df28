import asyncio
from typing import Any, cast

import pytest
from redis.asyncio import Redis
from redis.exceptions import NoPermissionError, ResponseError

from core.errors import Reason
from core.kinds import DEFAULT_KINDS
from core.messages import DeadLetter
from decoder.housekeeping import Housekeeping
from runtime.service import Stop
from runtime.settings import CommonSettings
from state.client import open_redis
from state.dead_letters import DeadLetters
from state.presence import presence_key
from state.raw_redis import keep_raw_in
from state.rewriting import ask_for_rewriting, rewritings
from state.sealing import Sealing, seal_with
from state.slots import tag
from tests.conftest import DEAD, NOON, TOTALS, eventually, free_port
from tests.decoder.conftest import TTL, HandClock
from tests.kinds_of_tests import CAR
from tests.raw_streams import add_dead_letters
from tests.redis_servers.clients import calls


class Unwilling:
    """A Redis that keeps an append-only file, and does not rewrite it at first."""

    def __init__(self, client: Redis, refusals: list[Exception]) -> None:
        self._client = client
        self._refusals = refusals
        self.asked = 0
        self.persistence: dict[str, object] = {"aof_enabled": 1}

    def register_script(self, text: str) -> object:
        return self._client.register_script(text)

    async def info(self, _: str) -> dict[str, object]:
        return self.persistence

    async def bgrewriteaof(self) -> None:
        self.asked += 1
        if self._refusals:
            raise self._refusals.pop(0)

    def pipeline(self, **options: Any) -> object:
        return self._client.pipeline(**options)

    async def get(self, name: str) -> object:
        return await self._client.get(name)

    async def hset(self, name: str, field: str, value: str) -> object:
        return await self._client.hset(name, field, value)

    async def hmget(self, name: str, fields: list[str]) -> object:
        return await self._client.hmget(name, fields)


def housekeeping_of(client: object, clock: HandClock, **changed: Any) -> Housekeeping:
    """Of one partition, with nothing to tidy, unless `changed` says otherwise."""
    usual: dict[str, Any] = {
        "partitions": 1,
        "zones": list,
        "presence_ttl": TTL,
        "forget_after": 60,
        "dead_letters_keep": 1000,
    }
    return Housekeeping(kinds=DEFAULT_KINDS, client=cast("Redis", client), clock=clock, **(usual | changed))


@pytest.mark.parametrize(
    "refusal",
    [ResponseError("Background append only file rewriting already in progress"), NoPermissionError("no")],
)
async def test_a_rewrite_that_was_refused_is_asked_for_again_although_no_message_came_since(
    redis_client: Redis, refusal: Exception
) -> None:
    """A rewrite that is under way began before the last message was cut off: it holds that message still."""
    unwilling = Unwilling(redis_client, [refusal])
    housekeeping = housekeeping_of(unwilling, HandClock())
    await redis_client.hincrby(TOTALS, "messages", 1)
    for asked in (1, 2, 2):
        await housekeeping.forget()
        assert unwilling.asked == asked


async def test_dead_letters_go_after_their_time_although_nothing_arrives(redis_client: Redis) -> None:
    """All of them in steps, and they are counted: none of them was pushed out."""
    keep = 7 * 86_400_000
    clock = HandClock()
    letters = [DeadLetter(Reason.NOT_JSON, "", "car-iotp", NOON, b"personal")] * 1200
    await add_dead_letters(redis_client, *letters, maximum=10_000)
    ((newest, _),) = cast("Any", await redis_client.xrevrange(DEAD, count=1))
    clock.now = int(newest.split(b"-")[0]) + keep
    dead_letters = DeadLetters(redis_client, partitions=1)
    assert await dead_letters.expire(clock.now - keep - 3_600_000) == 0
    stop = Stop()
    housekeeping = housekeeping_of(redis_client, clock, dead_letters_keep=keep - 1)

    async def gone() -> bool:
        return await redis_client.xlen(DEAD) == 0

    async with asyncio.TaskGroup() as group:
        group.create_task(housekeeping.run(stop))
        await eventually(gone)
        stop.set()
    numbers = await dead_letters.kept()
    assert (numbers.expired, numbers.capped, numbers.ever) == (1200, 0, {"not_json": 1200})


async def test_where_raw_has_a_redis_of_its_own_the_other_is_rewritten_only_for_positions_in_queues(
    redis_client: Redis,
) -> None:
    """So what that costs does not grow with the state."""
    state, raw = Unwilling(redis_client, []), Unwilling(redis_client, [])
    keep_raw_in(cast("Redis", state), cast("Redis", raw))
    housekeeping = housekeeping_of(state, HandClock())
    asked = []
    for done, carried in ((0, 0), (1, 0), (0, 0), (1, 1), (0, 1), (0, 0), (7, 0)):
        await redis_client.hincrby(TOTALS, "finished", done)
        await redis_client.incrby("carried:{mqtt}", carried)
        await housekeeping.forget()
        asked.append((raw.asked, state.asked))
    assert asked == [(1, 1), (2, 1), (2, 1), (3, 2), (3, 3), (3, 3), (4, 3)]


async def test_what_is_sealed_is_forgotten_with_its_keys_and_the_file_is_rewritten_for_what_was_there_before(
    redis_client: Redis,
) -> None:
    redis = Unwilling(redis_client, [])
    seal_with(cast("Redis", redis), Sealing(redis_client))
    housekeeping = housekeeping_of(redis, HandClock())
    for done, carried, asked in ((1, 0, 1), (1, 0, 1), (7, 0, 1), (0, 1, 2)):
        await redis_client.hincrby(TOTALS, "finished", done)
        await redis_client.incrby("carried:{mqtt}", carried)
        await housekeeping.forget()
        assert redis.asked == asked


async def test_keys_of_what_is_kept_no_more_are_destroyed_while_it_tidies(redis_client: Redis) -> None:
    minute = int((await redis_client.time())[0]) // 60
    seal_with(redis_client, Sealing(redis_client))
    await redis_client.hset("raw-keys:{campus}", mapping={f"m{minute - 60}": b"k" * 32, f"m{minute}": b"k" * 32})
    stop = Stop()
    housekeeping = housekeeping_of(redis_client, HandClock())

    async def destroyed() -> bool:
        return await redis_client.hkeys("raw-keys:{campus}") == [f"m{minute}".encode()]

    async with asyncio.TaskGroup() as group:
        group.create_task(housekeeping.run(stop))
        await eventually(destroyed)
        stop.set()


async def test_what_is_to_be_forgotten_does_not_wait_for_a_redis_of_keys_that_is_away(redis_client: Redis) -> None:
    redis, stop = Unwilling(redis_client, []), Stop()
    async with open_redis(CommonSettings(redis_url=f"redis://127.0.0.1:{free_port()}")) as away:
        seal_with(cast("Redis", redis), Sealing(away, seals=False))
        await redis_client.hincrby(TOTALS, "finished", 1)
        housekeeping = housekeeping_of(redis, HandClock(), forget_after=0)

        async def asked() -> bool:
            return redis.asked > 0

        async with asyncio.TaskGroup() as group:
            group.create_task(housekeeping.run(stop))
            await eventually(asked)
            stop.set()


async def test_presence_that_has_lapsed_is_removed_in_steps_and_nothing_else(redis_client: Redis) -> None:
    clock = HandClock()
    lapsed = clock.now - TTL * 1000
    key = presence_key("{0}", "main", CAR)
    for first in range(0, 12_000, 1000):
        await redis_client.zadd(key, {f"car-{number}": lapsed for number in range(first, first + 1000)})
    await redis_client.zadd(key, {"here": lapsed + 1})
    await redis_client.config_resetstat()
    housekeeping = housekeeping_of(redis_client, clock, zones=lambda: ["main", "schuman"])
    await housekeeping.tidy()
    assert await redis_client.zrange(key, 0, -1) == [b"here"]
    assert (await calls(redis_client))["zremrangebyrank"] == 3


async def test_a_disk_with_little_room_has_the_file_rewritten_at_once_and_again(redis_client: Redis) -> None:
    clock, problem = HandClock(), [None, "the disk is nearly full"]
    unwilling = Unwilling(redis_client, [])
    housekeeping = housekeeping_of(unwilling, clock, forget_after=100_000, disk_problem=lambda: problem[0])
    await redis_client.hincrby(TOTALS, "messages", 1)
    stop = Stop()

    async def asked(count: int) -> bool:
        return unwilling.asked >= count

    async def tidied(_: object = None) -> None:
        pass

    housekeeping.tidy = tidied  # type: ignore[method-assign, assignment]
    running = asyncio.create_task(housekeeping.run(stop))
    clock.now += 6000
    await asyncio.sleep(0)
    assert unwilling.asked == 0
    problem.pop(0)
    await eventually(lambda: asked(1))
    clock.now += 6000
    await eventually(lambda: asked(2))
    stop.set()
    await running


async def test_each_partition_is_tidied_and_says_what_has_changed(redis_client: Redis) -> None:
    clock = HandClock()
    tags = [tag(partition, 3) for partition in range(3)]
    for hash_tag in tags:
        await redis_client.zadd(presence_key(hash_tag, "main", CAR), {"gone": clock.now - TTL * 1000, "b": clock.now})
        await redis_client.zadd(presence_key(hash_tag, "schuman", CAR), {"here": clock.now})
        await redis_client.zadd(f"lives:{hash_tag}", {"1": 1, "20513": 2**45})
    housekeeping = housekeeping_of(redis_client, clock, partitions=3, zones=lambda: ["main", "schuman"])
    await housekeeping.tidy()
    for hash_tag in tags:
        assert await redis_client.zrange(presence_key(hash_tag, "main", CAR), 0, -1) == [b"b"]
        assert await redis_client.zrange(f"touched:{hash_tag}", 0, -1) == [b"main:car"]
        assert await redis_client.get(f"touched:{hash_tag}:at") == b"1"
        assert await redis_client.zrange(f"lives:{hash_tag}", 0, -1) == [b"20513"]


async def test_times_outside_are_tidied_each_time_and_many_zones_seldom(redis_client: Redis) -> None:
    clock = HandClock()
    zones = [f"zone-{number}" for number in range(5000)]
    housekeeping = housekeeping_of(redis_client, clock, zones=lambda: zones)
    asked: list[int] = []

    async def tidied(zones: list[str]) -> None:
        asked.append(len(zones))

    housekeeping.tidy = tidied  # type: ignore[method-assign, assignment]
    for _ in range(4):
        await housekeeping._tidy_what_is_due()
        clock.now += 5000
    assert asked == [5000, 0, 5000, 0]


async def test_files_are_rewritten_for_who_has_erased_and_it_is_noted_once_that_is_done(redis_client: Redis) -> None:
    unwilling = Unwilling(redis_client, [ResponseError("Background append only file rewriting already in progress")])
    housekeeping = housekeeping_of(unwilling, HandClock())
    await housekeeping.forget_what_was_erased()
    assert unwilling.asked == 0

    assert await ask_for_rewriting(redis_client) == 1
    # One is under way that began before the erasure, and then its own.
    for asked in (1, 2):
        await housekeeping.forget_what_was_erased()
        assert (unwilling.asked, (await rewritings(redis_client)).done) == (asked, 0)
    assert await ask_for_rewriting(redis_client) == 2
    unwilling.persistence |= {"aof_rewrite_in_progress": 1}
    await housekeeping.forget_what_was_erased()
    assert (await rewritings(redis_client)).done == 0
    unwilling.persistence |= {"aof_rewrite_in_progress": 0}
    await housekeeping.forget_what_was_erased()
    # The second was asked for after that one had begun.
    assert await rewritings(redis_client) == (2, 1, 0)
    for _ in range(3):
        await housekeeping.forget_what_was_erased()
    assert await rewritings(redis_client) == (2, 2, 0)
    assert unwilling.asked == 3


async def test_a_rewriting_that_failed_is_begun_again(redis_client: Redis) -> None:
    unwilling = Unwilling(redis_client, [])
    housekeeping = housekeeping_of(unwilling, HandClock())
    await ask_for_rewriting(redis_client)
    await housekeeping.forget_what_was_erased()
    unwilling.persistence |= {"aof_last_bgrewrite_status": "err"}
    await housekeeping.forget_what_was_erased()
    assert (await rewritings(redis_client)).done == 0
    unwilling.persistence |= {"aof_last_bgrewrite_status": "ok"}
    for _ in range(2):
        await housekeeping.forget_what_was_erased()
    assert ((await rewritings(redis_client)).done, unwilling.asked) == (1, 2)


async def test_a_rewriting_that_was_under_way_when_redis_was_started_anew_is_begun_again(redis_client: Redis) -> None:
    unwilling = Unwilling(redis_client, [])
    unwilling.persistence |= {"run_id": "a", "aof_last_bgrewrite_status": "ok"}
    housekeeping = housekeeping_of(unwilling, HandClock())
    await ask_for_rewriting(redis_client)
    await housekeeping.forget_what_was_erased()
    unwilling.persistence |= {"run_id": "b"}
    await housekeeping.forget_what_was_erased()
    assert ((await rewritings(redis_client)).done, unwilling.asked) == (0, 1)
    for _ in range(2):
        await housekeeping.forget_what_was_erased()
    assert ((await rewritings(redis_client)).done, unwilling.asked) == (1, 2)


@pytest.mark.parametrize(
    "refusal", [NoPermissionError("no"), ResponseError("unknown command 'BGREWRITEAOF', with args beginning with: ")]
)
async def test_where_no_file_may_be_rewritten_that_is_noted(redis_client: Redis, refusal: Exception) -> None:
    housekeeping = housekeeping_of(Unwilling(redis_client, [refusal]), HandClock())
    await ask_for_rewriting(redis_client)
    await housekeeping.forget_what_was_erased()
    assert await rewritings(redis_client) == (1, 0, 1)


async def test_both_redis_are_rewritten_where_raw_has_one_of_its_own(redis_client: Redis) -> None:
    state, raw = Unwilling(redis_client, []), Unwilling(redis_client, [])
    keep_raw_in(cast("Redis", state), cast("Redis", raw))
    housekeeping = housekeeping_of(state, HandClock())
    await ask_for_rewriting(redis_client)
    await housekeeping.forget_what_was_erased()
    raw.persistence |= {"aof_rewrite_scheduled": 1}
    await housekeeping.forget_what_was_erased()
    assert (state.asked, raw.asked, (await rewritings(redis_client)).done) == (1, 1, 0)
    raw.persistence |= {"aof_rewrite_scheduled": 0}
    await housekeeping.forget_what_was_erased()
    assert (await rewritings(redis_client)).done == 1
