from collections import Counter
from collections.abc import Callable
from typing import cast
from zoneinfo import ZoneInfo

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from core.errors import Reason
from core.kinds import DEFAULT_KINDS
from core.messages import DeadLetter, Position, decode_positions
from decoder.batch import Batch
from decoder.effects import Effects
from state.devices import newest_key, zones_of_newest
from state.dirty_windows import keys_of
from state.group import Group
from state.presence import presence_now
from tests.conftest import NOON, POSITIONS, RAW, TOTALS, entries
from tests.decoder.conftest import TTL, Apply, dead_letters, finish, position
from tests.decoder.counters import counted_windows
from tests.kinds_of_tests import CAR, MOBILE
from timeseries import Width, Window, window_start

ZONES = ["main", "schuman", "car-park-west"]
DIRTY = keys_of(0, 1).dirty
DUBLIN = ZoneInfo("Europe/Dublin")
GroupOf = Callable[[str], Group]
sightings = st.lists(
    st.builds(
        lambda device, age, zones: position(device, NOON - age * 60_000, *sorted(zones)),
        device=st.sampled_from(["a", "b", "c"]),
        age=st.integers(0, 8),
        zones=st.sets(st.sampled_from(ZONES), max_size=2),
    ),
    max_size=12,
)


def expected_presence(positions: list[Position]) -> dict[str, int]:
    newest: dict[str, tuple[int, str, Position]] = {}
    for each in positions:
        rank = (each.observed_at, ",".join(each.zones), each)
        if each.observed_at > NOON - TTL * 1000 and rank[:2] > newest.get(each.device, (-1, "", each))[:2]:
            newest[each.device] = rank
    return Counter(zone for _, _, each in newest.values() for zone in each.zones)


def expected_windows(positions: list[Position]) -> dict[str, int]:
    windows: dict[str, set[str]] = {}
    for each in positions:
        for width in Width:
            for zone in each.zones:
                window = Window(width, window_start(width, each.observed_at, DUBLIN), zone, each.kind)
                windows.setdefault(window.member, set()).add(each.device)
    return {member: len(devices) for member, devices in windows.items()}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(positions=sightings, data=st.data())
async def test_in_any_order_any_pieces_and_any_repetition_the_result_is_the_same(
    redis_client: Redis, apply: Apply, positions: list[Position], data: st.DataObject
) -> None:
    await redis_client.flushall()
    shuffled = (
        data.draw(
            st.permutations(
                positions + data.draw(st.lists(st.sampled_from(positions or [position("a", 0)]), max_size=3))
            )
        )
        if positions
        else []
    )
    cut = data.draw(st.integers(0, len(shuffled)))
    for part in (shuffled[:cut], shuffled[cut:]):
        await apply(Batch(positions=part))
    present = await presence_now(redis_client, ["campus", *ZONES], DEFAULT_KINDS, now=NOON, ttl=TTL, partitions=1)
    assert {zone: kinds[CAR].devices for zone, kinds in present.items() if kinds[CAR].devices} == dict(
        expected_presence(positions)
    )
    assert await counted_windows(redis_client) == expected_windows(positions)


async def test_a_device_that_moves_leaves_the_zone_it_was_in(redis_client: Redis, apply: Apply) -> None:
    await apply(Batch(positions=[position("a", NOON - 1000, "main")]))
    await apply(Batch(positions=[position("a", NOON, "schuman")]))
    present = await presence_now(
        redis_client, ["campus", "main", "schuman"], DEFAULT_KINDS, now=NOON, ttl=TTL, partitions=1
    )
    assert [kinds[CAR].devices for kinds in present.values()] == [1, 0, 1]


async def test_the_zones_of_a_device_are_those_of_its_newest_position(redis_client: Redis, apply: Apply) -> None:
    """Also at a place of which the degrees are whole numbers."""
    await apply(Batch(positions=[position("a", NOON, "main", place=(-8.0, 52.0)), position("a", NOON - 1, "schuman")]))
    newest = cast("bytes", await redis_client.get(newest_key("{0}", "a")))
    assert zones_of_newest(newest) == ["campus", "main"]


async def test_a_car_and_a_phone_of_one_batch_are_present_as_what_they_are(redis_client: Redis, apply: Apply) -> None:
    phone = position("b", NOON, "main", kind=MOBILE)
    await apply(Batch(positions=[position("a", NOON - 1000, "main"), phone, position("a", NOON, "schuman")]))
    present = await presence_now(
        redis_client, ["campus", "main", "schuman"], DEFAULT_KINDS, now=NOON, ttl=TTL, partitions=1
    )
    assert [(kinds[CAR].devices, kinds[MOBILE].devices) for kinds in present.values()] == [
        (1, 1),
        (0, 1),
        (1, 0),
    ]
    assert present["campus"][CAR].observed_at == NOON


async def test_more_devices_than_one_command_takes_are_all_there(redis_client: Redis, apply: Apply) -> None:
    """In zones that they all leave, and in the windows."""
    count = 5000
    await apply(Batch(positions=[position(f"device-{number}", NOON - 1000, "main") for number in range(count)]))
    await apply(Batch(positions=[position(f"device-{number}", NOON, "schuman") for number in range(count)]))
    present = await presence_now(
        redis_client, ["campus", "main", "schuman"], DEFAULT_KINDS, now=NOON, ttl=TTL, partitions=1
    )
    assert [kinds[CAR].devices for kinds in present.values()] == [count, 0, count]
    start = window_start(Width.HOUR, NOON, DUBLIN)
    assert (await counted_windows(redis_client))[Window(Width.HOUR, start, "schuman", CAR).member] == count


async def test_an_old_position_fills_history_and_does_not_touch_presence(redis_client: Redis, apply: Apply) -> None:
    await apply(Batch(positions=[position("a", 1_550_480_285_000, "main")]))
    assert not await redis_client.keys("presence:*")
    assert not await redis_client.keys("newest:*")
    assert "1m:1550480280000:main:car" in await counted_windows(redis_client)


async def test_everything_that_a_device_leaves_behind_has_an_end(redis_client: Redis, apply: Apply) -> None:
    await apply(Batch(positions=[position("a", NOON, "main")]))
    for pattern in ("newest:*", "presence:*", "seen:*", "count:*", "life:*"):
        keys = cast("list[bytes]", await redis_client.keys(pattern))
        assert keys
        assert all([await redis_client.pttl(key) > 0 for key in keys])


async def test_a_window_is_marked_dirty_when_it_changed_and_not_when_it_did_not(
    redis_client: Redis, apply: Apply
) -> None:
    await apply(Batch(positions=[position("a", NOON)]))
    assert await redis_client.zcard(DIRTY) == len(Width)
    await redis_client.delete(DIRTY)
    await apply(Batch(positions=[position("a", NOON)]))
    assert await redis_client.zcard(DIRTY) == 0


async def test_a_batch_is_acknowledged_with_its_effects(
    redis_client: Redis, effects: Effects, group_of: GroupOf
) -> None:
    group = group_of("a")
    await group.create()
    entry_id = cast("bytes", await redis_client.xadd(RAW, {"n": 1}))
    await group.read(1)
    letter = DeadLetter(Reason.NOT_JSON, "detail", "car-iotp", NOON, b"payload")
    batch = Batch(positions=[position("a", NOON)], dead=[letter], totals=Counter(messages=2, positions=1))
    await finish(redis_client, effects, batch, [entry_id])
    assert not await group.own(1)
    ((fields),) = await entries(redis_client, POSITIONS)
    assert decode_positions(fields) == batch.positions
    assert await dead_letters(redis_client) == [letter]
    assert await redis_client.hgetall(TOTALS) == {
        b"messages": b"2",
        b"positions": b"1",
        b"dead:not_json": b"1",
    }


async def test_a_batch_that_is_acknowledged_already_has_no_second_effect(
    redis_client: Redis, effects: Effects, group_of: GroupOf
) -> None:
    group = group_of("a")
    await group.create()
    await redis_client.xadd(RAW, {"n": 1})
    entry_ids = [entry_id for entry_id, _ in await group.read(1)]
    letter = DeadLetter(Reason.NOT_JSON, "detail", "car-iotp", NOON, b"payload")
    for _ in range(2):
        batch = Batch(positions=[position("a", NOON)], dead=[letter], totals=Counter(messages=1))
        await finish(redis_client, effects, batch, entry_ids)
    assert len(await dead_letters(redis_client)) == 1
    assert len(await entries(redis_client, POSITIONS)) == 1
    assert await redis_client.hget(TOTALS, "messages") == b"1"


async def test_dead_letters_are_capped_and_counted_all_the_same(redis_client: Redis, apply: Apply) -> None:
    letters = [DeadLetter(Reason.NOT_JSON, "", "car-iotp", number, None) for number in range(150)]
    await apply(Batch(dead=letters))
    assert [letter.received_at for letter in await dead_letters(redis_client)] == list(range(50, 150))
    assert await redis_client.hget(TOTALS, "dead:not_json") == b"150"


async def marked(client: Redis) -> list[bool]:
    return [each.implausible for fields in await entries(client, POSITIONS) for each in decode_positions(fields)]


NEAR, FAR = (-8.5734, 52.6733), (-8.5634, 52.6733)
"""675 m apart."""


async def test_a_device_that_would_have_had_to_fly_is_marked(redis_client: Redis, apply: Apply) -> None:
    await apply(Batch(positions=[position("a", NOON - 10_000, place=NEAR)]))
    await apply(Batch(positions=[position("a", NOON - 1_000, place=FAR)]))
    await apply(Batch(positions=[position("a", NOON, place=FAR)]))
    assert await marked(redis_client) == [False, True, False]


async def test_a_device_that_can_have_driven_is_not_marked(redis_client: Redis, apply: Apply) -> None:
    await apply(Batch(positions=[position("a", NOON - 10_000, place=NEAR), position("a", NOON, place=FAR)]))
    await apply(Batch(positions=[position("b", NOON, place=FAR)]))
    assert await marked(redis_client) == [False, False, False]


async def test_within_a_batch_the_newest_before_counts_and_a_repetition_is_no_jump(
    redis_client: Redis, apply: Apply
) -> None:
    there = position("a", NOON - 5_000, place=FAR)
    await apply(Batch(positions=[position("a", NOON - 6_000, place=NEAR), there, there]))
    await apply(Batch(positions=[there]))
    assert await marked(redis_client) == [False, True, False, False]


async def test_a_mark_changes_no_count(redis_client: Redis, apply: Apply) -> None:
    await apply(Batch(positions=[position("a", NOON - 1000, "main", place=NEAR)]))
    await apply(Batch(positions=[position("a", NOON, "schuman", place=FAR)]))
    present = await presence_now(
        redis_client, ["campus", "main", "schuman"], DEFAULT_KINDS, now=NOON, ttl=TTL, partitions=1
    )
    assert [kinds[CAR].devices for kinds in present.values()] == [1, 0, 1]
