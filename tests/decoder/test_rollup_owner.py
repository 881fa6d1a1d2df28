"""A window has one owner: whatever several rollers do, and wherever they die, the newest sum is what stays."""

import asyncio
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from core.windows import Width
from state.dirty_windows import keys_of, owner_of
from tests.decoder.rollers import WINDOWS, Roller, World, until_nothing_waits

PARTITIONS = [1, 3, 16]
ROLLERS = 2
roller = st.integers(min_value=0, max_value=ROLLERS - 1)
changes = st.tuples(st.just("change"), st.integers(0, 1), st.integers(0, 2))
calls = st.tuples(st.just("calls"), roller, st.integers(1, 4))
to_write = st.tuples(st.just("to write"), roller, st.just(0))
finish = st.tuples(st.just("finish"), roller, st.just(0))
answers = st.tuples(st.just("answer"), roller, st.integers(0, 2))
deaths = st.tuples(st.just("die"), roller, st.integers(0, 1))
moments = st.tuples(st.just("time"), st.just(2000), st.just(0))
minutes = st.tuples(st.just("time"), st.just(61_000), st.integers(0, 1))
Steps = list[tuple[str, int, int]]


def _histories(*, lapsing: bool) -> st.SearchStrategy[Steps]:
    """One roller is about to write when the window changes, and another one goes on: that, and anything in between."""
    times = [moments, minutes] if lapsing else [moments]
    # Another answer and another life come seldom: else hardly any attempt would get far.
    seldom = [answers, deaths] if lapsing else []
    one = st.one_of(changes, calls, to_write, finish, *times)
    crossing = st.tuples(changes, moments, to_write, st.one_of(times), changes, *[st.one_of(finish, one)] * 3)
    blocks = [st.tuples(st.one_of(one, *seldom)), crossing, crossing]
    return st.lists(st.one_of(blocks), min_size=2, max_size=5).map(
        lambda found: [step for part in found for step in part]
    )


async def _play(url: str, partitions: int, steps: Steps) -> None:
    async with Redis.from_url(url) as client:
        await client.flushall()
        world = World(client, partitions)
        rollers = [Roller(world, url) for _ in range(ROLLERS)]
        for what, which, how in steps:
            if what == "change":
                await world.change(which, how)
            elif what == "time":
                world.pass_time(which, late=bool(how))
            elif what == "die":
                await rollers[which].die(after_writing=bool(how))
                rollers[which] = Roller(world, url)
            else:
                await _go_on(rollers[which], what, how)
        for each in rollers:
            await each.die(after_writing=True)
        world.pass_time(61_000, late=True)
        await until_nothing_waits(world, url)
        assert world.stored == {window: count for window, count in world.counted.items() if count}


async def _go_on(roller: Roller, what: str, how: int) -> None:
    if what == "calls":
        for _ in range(how):
            await roller.go_on()
    elif what == "to write":
        await roller.go_to_write()
    elif what == "finish":
        await roller.finish()
    else:
        roller.answer = ("ok", "away", "silent")[how]


@pytest.mark.parametrize("partitions", PARTITIONS)
def test_whatever_rollers_do_and_whoever_dies_the_store_holds_the_newest_sums_in_the_end(
    partitions: int, redis_server: str
) -> None:
    @settings(max_examples=50)
    @given(_histories(lapsing=True))
    def play(steps: Steps) -> None:
        asyncio.run(_play(redis_server, partitions, steps))

    play()


@pytest.mark.parametrize("partitions", PARTITIONS)
def test_while_claims_are_kept_no_write_ever_replaces_a_newer_sum(partitions: int, redis_server: str) -> None:
    """`World.write` asserts it, at each write."""

    @settings(max_examples=50)
    @given(_histories(lapsing=False))
    def play(steps: Steps) -> None:
        asyncio.run(_play(redis_server, partitions, steps))

    play()


async def test_a_handover_that_dies_half_way_is_done_again_and_the_window_is_written(
    redis_client: Redis, redis_server: str
) -> None:
    """For each call at which a roller can die, from the claim on."""
    series = "kemmy:car"
    owner = owner_of(series, 3)
    window = WINDOWS[0]
    other = keys_of((owner + 1) % 3, 3)
    for calls in range(1, 30):
        await redis_client.flushall()
        world = World(redis_client, 3)
        await world.change(0, (owner + 1) % 3)
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
        await world.change(0, other)
        world.pass_time(1000, late=False)
        roller = Roller(world, redis_server)
        for _ in range(calls):
            await roller.go_on()
        await world.change(0, other)
        await roller.finish()
        world.pass_time(61_000, late=False)
        await until_nothing_waits(world, redis_server)
        assert world.stored[WINDOWS[0]] == 2
        await roller.die(after_writing=False)


@pytest.mark.parametrize("partitions", PARTITIONS)
async def test_an_open_window_is_written_once_in_rollup_every_and_one_that_has_ended_at_once(
    redis_client: Redis, redis_server: str, partitions: int
) -> None:
    """Devices of all partitions come in all the time; a roller looks each half second."""
    await redis_client.flushall()
    world = World(redis_client, partitions)
    roller = Roller(world, redis_server)
    for turn in range(60):
        for window in range(2):
            await world.change(window, turn)
        while await roller.finish():
            pass
        world.pass_time(500, late=False)
    open_at = [at for window, at, _ in world.writes if window.width is Width.HOUR]
    ended_at = [at for window, at, _ in world.writes if window.width is Width.MINUTE]
    assert min(later - at for at, later in pairwise(open_at)) >= 2000
    assert len(open_at) >= 8
    assert len(ended_at) == 60
    await roller.die(after_writing=False)
