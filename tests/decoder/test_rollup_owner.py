"""A window has one owner: whatever several rollers do, and wherever they die, the newest sum is what stays."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from core.messages import Kind
from core.windows import Width, Window
from state.dirty_windows import keys_of, owner_of
from tests.conftest import NOON
from tests.decoder.rollers import Roller, World, until_nothing_waits

PARTITIONS = [1, 3, 16]
ROLLERS = 3
number = st.integers(min_value=0, max_value=15)
change = st.tuples(st.just("change"), number, number)
go_on = st.tuples(st.just("go on"), st.integers(min_value=0, max_value=ROLLERS - 1), st.integers(1, 8))
answer = st.tuples(st.just("answer"), st.integers(min_value=0, max_value=ROLLERS - 1), st.integers(0, 2))
death = st.tuples(st.just("die"), st.integers(min_value=0, max_value=ROLLERS - 1), st.integers(0, 1))
short = st.tuples(st.just("time"), st.sampled_from([500, 1000]), st.just(0))
long = st.tuples(st.just("time"), st.sampled_from([10_000, 30_000, 61_000]), st.integers(0, 1))
Steps = list[tuple[str, int, int]]


async def _play(url: str, partitions: int, steps: Steps) -> None:
    async with Redis.from_url(url) as client:
        await client.flushall()
        world = World(client, partitions)
        rollers = [Roller(world, url) for _ in range(ROLLERS)]
        for what, which, how in steps:
            if what == "change":
                await world.change(which, how)
            elif what == "go on":
                for _ in range(how):
                    await rollers[which].go_on()
            elif what == "answer":
                rollers[which].answer = ("ok", "away", "silent")[how]
            elif what == "die":
                await rollers[which].die(after_writing=bool(how))
                rollers[which] = Roller(world, url)
            else:
                world.pass_time(which, late=bool(how))
        for roller in rollers:
            await roller.die(after_writing=True)
        world.pass_time(61_000, late=True)
        await until_nothing_waits(world, url)
        assert world.stored == {window: count for window, count in world.counted.items() if count}


@pytest.mark.parametrize("partitions", PARTITIONS)
def test_whatever_rollers_do_and_whoever_dies_the_store_holds_the_newest_sums_in_the_end(
    partitions: int, redis_server: str
) -> None:
    @settings(max_examples=40)
    @given(st.lists(st.one_of(change, change, go_on, go_on, go_on, answer, death, short, long), max_size=60))
    def play(steps: Steps) -> None:
        asyncio.run(_play(redis_server, partitions, steps))

    play()


@pytest.mark.parametrize("partitions", PARTITIONS)
def test_while_claims_are_kept_no_write_ever_replaces_a_newer_sum(partitions: int, redis_server: str) -> None:
    """`World.write` asserts it, at each write."""

    @settings(max_examples=40)
    @given(st.lists(st.one_of(change, change, go_on, go_on, go_on, short), max_size=80))
    def play(steps: Steps) -> None:
        asyncio.run(_play(redis_server, partitions, steps))

    play()


async def test_a_handover_that_dies_half_way_is_done_again_and_the_window_is_written(
    redis_client: Redis, redis_server: str
) -> None:
    """For each call at which a roller can die, from the claim on."""
    series = "kemmy:car"
    owner = owner_of(series, 3)
    window = Window(Width.MINUTE, NOON, "kemmy", Kind.CAR)
    other = keys_of((owner + 1) % 3, 3)
    for calls in range(1, 30):
        await redis_client.flushall()
        world = World(redis_client, 3)
        await world.change(1, (owner + 1) % 3)
        world.pass_time(1000, late=False)
        dying = Roller(world, redis_server)
        for _ in range(calls):
            await dying.go_on()
        await dying.die(after_writing=False)
        world.pass_time(61_000, late=False)
        await until_nothing_waits(world, redis_server)
        assert world.stored == {window: 1}
        assert await redis_client.exists(*other) == 0


async def test_a_change_during_a_handover_is_handed_over_too(redis_client: Redis, redis_server: str) -> None:
    owner = owner_of("kemmy:car", 3)
    other = (owner + 1) % 3
    for calls in range(1, 12):
        await redis_client.flushall()
        world = World(redis_client, 3)
        await world.change(1, other)
        world.pass_time(1000, late=False)
        roller = Roller(world, redis_server)
        for _ in range(calls):
            await roller.go_on()
        await world.change(1, other)
        await roller.finish()
        world.pass_time(61_000, late=False)
        await until_nothing_waits(world, redis_server)
        assert world.stored[Window(Width.MINUTE, NOON, "kemmy", Kind.CAR)] == 2
        await roller.die(after_writing=False)


@pytest.mark.parametrize("partitions", PARTITIONS)
async def test_an_open_window_is_written_once_in_ten_seconds_and_one_that_has_ended_at_once(
    redis_client: Redis, redis_server: str, partitions: int
) -> None:
    """Devices of all partitions come in all the time; a roller looks each half second."""
    await redis_client.flushall()
    world = World(redis_client, partitions)
    roller = Roller(world, redis_server)
    for turn in range(140):
        await world.change(0, turn)
        while await roller.finish():
            pass
        world.pass_time(500, late=False)
    campus = [(at - NOON, count) for window, at, count in world.writes if window.width is Width.MINUTE]
    open_at = [at for at, _ in campus if at < 60_000]
    assert all(later - at >= 10_000 for at, later in zip(open_at, open_at[1:], strict=False))
    assert len(open_at) >= 4
    # From then on each change is written in the same turn: with one partition, or in the next where it is handed over.
    ended = [(at, count) for at, count in campus if at > 60_500]
    assert len(ended) >= 15
    assert campus[-1][1] >= 139
    await roller.die(after_writing=False)
