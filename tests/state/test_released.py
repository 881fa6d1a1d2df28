"""What is told of counts where PRIVACY is not open: all of a slot at once, or nothing, whoever looked."""

from core.kinds import KindId
from core.windows import Width
from state import released as module
from state.client import Redis
from state.released import HELD_MOST, Held, Released, ReleasedWindow, ReleasedWriter, read_released, released_at
from tests.conftest import NOON

CAR, MOBILE = KindId("car"), KindId("mobile")
FIRST = Released(NOON, "one", {"campus": {MOBILE: 390}, "library": {CAR: 0, MOBILE: 130}})


async def test_where_nothing_was_released_nothing_is_told(redis_client: Redis) -> None:
    assert await read_released(redis_client) is None
    assert await released_at(redis_client) is None
    assert await ReleasedWriter(redis_client).held() == Held(None, None, b"")


async def test_what_is_told_is_read_without_what_is_zero(redis_client: Redis) -> None:
    writer = ReleasedWriter(redis_client)
    assert await writer.tell(FIRST, after=b"", walks=b"secret", over=[])
    told = await read_released(redis_client)
    assert told == Released(NOON, "one", {"campus": {MOBILE: 390}, "library": {MOBILE: 130}})
    assert told is not None
    assert (told.of("library", MOBILE), told.of("library", CAR), told.of("elsewhere", CAR)) == (130, 0, 0)
    assert await released_at(redis_client) == (NOON, "one")
    assert await writer.held() == Held(b"secret", told, str(NOON).encode())


async def test_what_is_told_takes_the_place_of_what_was(redis_client: Redis) -> None:
    writer = ReleasedWriter(redis_client)
    assert await writer.tell(FIRST, after=b"", walks=b"secret", over=[])
    second = Released(NOON + 30_000, "two", {"gym": {CAR: 260}})
    assert await writer.tell(second, after=(await writer.held()).mark, walks=b"other", over=[])
    assert await read_released(redis_client) == second


async def test_of_two_that_have_seen_the_same_slot_the_first_tells_the_next(redis_client: Redis) -> None:
    one, other = ReleasedWriter(redis_client), ReleasedWriter(redis_client)
    assert await one.held() == await other.held() == Held(None, None, b"")
    assert await one.tell(FIRST, after=b"", walks=b"one", over=[])
    over = [ReleasedWindow(Width.MINUTE, NOON, recorded=True, counts={})]
    assert not await other.tell(Released(NOON, "one", {}), after=b"", walks=b"other", over=over)
    assert not await other.tell(Released(NOON + 30_000, "one", {}), after=b"", walks=b"other", over=over)
    assert (await one.held()).walks == b"one"
    assert await one.over(10) == []


async def test_a_slot_that_nobody_can_read_is_replaced(redis_client: Redis) -> None:
    writer = ReleasedWriter(redis_client)
    await redis_client.hset("released:{campus}", mapping={"at": b"\xff", "version": b"\xff", b"\xff": b"\xff"})
    assert await read_released(redis_client) is None
    held = await writer.held()
    assert held == Held(None, None, b"\xff")
    assert await writer.tell(FIRST, after=held.mark, walks=b"secret", over=[])
    assert await released_at(redis_client) == (NOON, "one")


async def test_counts_that_nobody_of_ours_wrote_are_not_told(redis_client: Redis) -> None:
    await ReleasedWriter(redis_client).tell(FIRST, after=b"", walks=b"secret", over=[])
    await redis_client.hset("released:{campus}", mapping={"gym:car": "many", "": "3", ":car": "4"})
    assert await read_released(redis_client) == (NOON, "one", {"campus": {MOBILE: 390}, "library": {MOBILE: 130}})


async def test_windows_wait_until_they_are_stored_and_the_oldest_comes_first(redis_client: Redis) -> None:
    writer = ReleasedWriter(redis_client)
    minute = ReleasedWindow(Width.MINUTE, NOON, recorded=True, counts={"library:mobile": 130})
    hour = ReleasedWindow(Width.HOUR, NOON - 3_600_000, recorded=False, counts={})
    day_in_1970 = ReleasedWindow(Width.DAY, -3_600_000, recorded=True, counts={})
    assert await writer.tell(FIRST, after=b"", walks=b"secret", over=[minute, hour, day_in_1970])
    assert await writer.over(10) == [day_in_1970, hour, minute]
    assert await writer.over(1) == [day_in_1970]
    await writer.stored([day_in_1970, hour])
    assert await writer.over(10) == [minute]
    await writer.stored([])
    assert await writer.over(10) == [minute]


async def test_of_more_windows_than_may_wait_minutes_are_lost(redis_client: Redis) -> None:
    writer = ReleasedWriter(redis_client)
    await redis_client.hset(
        "released:{campus}:windows", mapping={f"1d:{number}": b"" for number in range(HELD_MOST - 1)}
    )
    over = [ReleasedWindow(width, NOON, recorded=True, counts={}) for width in Width]
    assert await writer.tell(FIRST, after=b"", walks=b"secret", over=over)
    assert await redis_client.hlen("released:{campus}:windows") == HELD_MOST
    kept = {width for width in Width if await redis_client.hexists("released:{campus}:windows", f"{width}:{NOON}")}
    assert len(kept) == 1
    assert kept < {Width.HOUR, Width.DAY}


async def test_a_window_that_nobody_can_read_is_removed(redis_client: Redis) -> None:
    await redis_client.hset(module.WINDOWS, mapping={b"\xff": b"\xff", "1m:1": b"\xc1", "9m:1": b"\x92\xc3\x80"})
    assert await ReleasedWriter(redis_client).over(10) == []
    assert await redis_client.exists(module.WINDOWS) == 0
