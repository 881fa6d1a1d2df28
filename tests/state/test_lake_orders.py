"""Orders to erase devices from the lake: what whoever asks, and whoever carries them out, find."""

import pytest
from redis.asyncio import Redis

from state.lake import DONE_MS, LAPSES_MS, LakeOrders, Order, Outcome, State
from tests.conftest import NOON

ANN, BOB = "a" * 32, "b" * 32


@pytest.fixture
def orders(redis_client: Redis) -> LakeOrders:
    return LakeOrders(redis_client)


async def test_there_is_no_lake_until_a_keeper_was_there_and_again_once_it_is_said_to_be_gone(
    orders: LakeOrders,
) -> None:
    assert await orders.keeper_seen() is None
    await orders.keep(now=NOON)
    assert await orders.keeper_seen() == NOON
    await orders.ask([ANN], now=NOON)
    await orders.lake_gone()
    assert await orders.keeper_seen() is None
    assert await orders.keep(now=NOON) == {}


async def test_an_order_is_asked_then_ready_then_done_and_then_forgotten(orders: LakeOrders) -> None:
    await orders.ask([ANN, BOB], now=NOON)
    assert await orders.keep(now=NOON) == {ANN: Order(State.ASKED, NOON), BOB: Order(State.ASKED, NOON)}
    await orders.ready([ANN, BOB], now=NOON + 1)
    found = await orders.keep(now=NOON)
    assert found == {ANN: Order(State.READY, NOON + 1), BOB: Order(State.READY, NOON + 1)}
    await orders.done(ANN, 3, since=NOON, now=NOON + 2, order=found[ANN])
    assert await orders.outcome([ANN, BOB], now=NOON) is None
    await orders.done(BOB, 4, since=NOON, now=NOON + 2, order=found[BOB])
    assert await orders.outcome([ANN, BOB], now=NOON) == Outcome(7)
    await orders.forget([ANN, BOB])
    assert await orders.keep(now=NOON) == {}


async def test_who_asks_again_has_what_went_before_and_only_new_files_are_looked_at(orders: LakeOrders) -> None:
    await orders.ready([ANN], now=NOON)
    found = await orders.keep(now=NOON)
    await orders.done(ANN, 3, since=NOON - 5, now=NOON, order=found[ANN])
    await orders.ask([ANN], now=NOON + 10)
    await orders.ready([ANN], now=NOON + 11)
    again = (await orders.keep(now=NOON + 11))[ANN]
    assert again == Order(State.READY, NOON + 11, rows=3, since=NOON - 5)
    await orders.done(ANN, 1, since=NOON + 11, now=NOON + 12, order=again)
    assert await orders.outcome([ANN], now=NOON) == Outcome(4)


async def test_an_order_that_is_given_anew_while_it_is_carried_out_is_carried_out_once_more(orders: LakeOrders) -> None:
    await orders.ready([ANN], now=NOON)
    taken = (await orders.keep(now=NOON))[ANN]
    await orders.ask([ANN], now=NOON + 1)
    await orders.ready([ANN], now=NOON + 2)
    await orders.done(ANN, 3, since=NOON, now=NOON + 3, order=taken)
    assert await orders.outcome([ANN], now=NOON) is None
    assert await orders.keep(now=NOON + 3) == {ANN: Order(State.READY, NOON + 2, rows=3, since=NOON)}


async def test_an_erasure_that_takes_longer_than_its_requests_looks_at_new_files_alone_the_next_time(
    orders: LakeOrders,
) -> None:
    damaged = "positions/date=2026-11-23/hour=14/a.parquet"
    for number in range(3):
        await orders.ready([ANN], now=NOON + 10 * number)
        taken = (await orders.keep(now=NOON + 10 * number))[ANN]
        assert (taken.since, taken.unreadable) == ((NOON + 10 * (number - 1), 1) if number else (0, 0))
        await orders.ask([ANN], now=NOON + 10 * number + 1)
        found = [damaged] if number == 0 else []
        await orders.done(ANN, 1, since=NOON + 10 * number, now=NOON + 10 * number + 2, order=taken, unreadable=found)
    await orders.ready([ANN], now=NOON + 30)
    taken = (await orders.keep(now=NOON + 30))[ANN]
    await orders.done(ANN, 1, since=NOON + 30, now=NOON + 31, order=taken)
    assert await orders.outcome([ANN], now=NOON + 31) == Outcome(4, 1, damaged)
    # All of them for whoever asks now, for somebody may have repaired it.
    await orders.ready([ANN], now=NOON + 40)
    assert (await orders.keep(now=NOON + 40))[ANN].since == 0


async def test_two_keepers_who_carry_out_one_order_leave_nothing_of_it(orders: LakeOrders) -> None:
    await orders.ready([ANN], now=NOON)
    taken = (await orders.keep(now=NOON))[ANN]
    await orders.done(ANN, 3, since=NOON, now=NOON + 1, order=taken)
    assert await orders.outcome([ANN], now=NOON) == Outcome(3)
    await orders.forget([ANN])
    for rows in (0, 1):
        await orders.done(ANN, rows, since=NOON, now=NOON + 2, order=taken)
    assert await orders.keep(now=NOON + 2) == {}


async def test_an_order_that_is_not_there_any_more_is_given_again_for_nobody_knows_whether_it_was_done(
    orders: LakeOrders, redis_client: Redis
) -> None:
    """Somebody else may have seen what came of it; or Redis has lost it, as one that takes over may."""
    await orders.keep(now=NOON)
    await orders.ready([ANN], now=NOON)
    await redis_client.delete("lake:{campus}:orders")
    assert await orders.outcome([ANN], now=NOON + 1) is None
    found = await orders.keep(now=NOON + 1)
    assert found == {ANN: Order(State.READY, NOON + 1)}
    await orders.done(ANN, 3, since=0, now=NOON + 2, order=found[ANN])
    assert await orders.outcome([ANN], now=NOON + 2) == Outcome(3)
    await orders.lake_gone()
    assert await orders.outcome([ANN], now=NOON + 3) == Outcome(0)


async def test_files_that_could_not_be_read_are_told_and_all_are_looked_at_the_next_time(orders: LakeOrders) -> None:
    await orders.ready([ANN, BOB], now=NOON)
    found = await orders.keep(now=NOON)
    damaged = ["positions/date=2026-11-23/hour=14/a:b.parquet", "positions/date=2026-11-23/hour=15/c.parquet"]
    await orders.done(ANN, 3, since=NOON, now=NOON, order=found[ANN], unreadable=damaged)
    await orders.done(BOB, 1, since=NOON, now=NOON, order=found[BOB])
    assert await orders.outcome([ANN, BOB], now=NOON) == Outcome(4, 2, damaged[0])
    await orders.ready([ANN], now=NOON + 1)
    again = (await orders.keep(now=NOON + 1))[ANN]
    assert again.since == 0
    await orders.done(ANN, 1, since=NOON + 1, now=NOON + 2, order=again)
    assert await orders.outcome([ANN], now=NOON + 2) == Outcome(4)


async def test_an_order_that_is_not_done_is_not_forgotten(orders: LakeOrders) -> None:
    await orders.ready([ANN], now=NOON)
    await orders.forget([ANN])
    assert await orders.keep(now=NOON) == {ANN: Order(State.READY, NOON)}


async def test_what_nobody_follows_up_lapses_and_what_is_ready_never_does(orders: LakeOrders) -> None:
    await orders.ask([ANN], now=NOON)
    await orders.ready([BOB], now=NOON)
    assert set(await orders.keep(now=NOON + LAPSES_MS)) == {ANN, BOB}
    assert set(await orders.keep(now=NOON + LAPSES_MS + 1)) == {BOB}
    found = (await orders.keep(now=NOON + 10 * DONE_MS))[BOB]
    await orders.done(BOB, 1, since=0, now=NOON, order=found)
    assert set(await orders.keep(now=NOON + DONE_MS)) == {BOB}
    assert set(await orders.keep(now=NOON + DONE_MS + 1)) == set()


async def test_what_none_of_ours_wrote_is_no_order(orders: LakeOrders, redis_client: Redis) -> None:
    await redis_client.hset("lake:{campus}:orders", mapping={ANN: "soon", BOB: "ready:1:2"})
    assert await orders.keep(now=NOON) == {}
    assert await redis_client.exists("lake:{campus}:orders") == 0
    await redis_client.set("lake:{campus}", "yesterday")
    assert await orders.keeper_seen() == 0
