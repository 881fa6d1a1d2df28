"""However much one batch holds, no script of the stage observe is more than some thousands of commands to Redis."""

import base64
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any, cast
from unittest.mock import patch

import pytest
from redis.asyncio import Redis

from core.messages import RawMessage, decode_positions
from decoder.batch import BatchDecoder
from decoder.effects import Effects, StaleFenceError
from decoder.observe import Observer
from state.campus import fence_key
from state.group import Group
from state.status import read_status
from tests.conftest import NOON, POSITIONS, RAW, TOTALS, entries
from tests.decoder.conftest import MakeObserver, dead_letters
from tests.raw_streams import append
from tests.redis_servers.clients import calls

OBSERVE_GROUP = "observe"

COMMANDS = 5000
"""Of one script at the most; 3.3 microseconds each where every one makes a key."""
SECONDS = 1.0
"""Generous: a machine that does nothing else needs a fiftieth of it."""
DAY_MS = 86_400_000
WEST, SOUTH, EAST, NORTH = -8.5745, 52.6725, -8.5685, 52.6765
"""Degrees: a part of the campus, with some of its zones."""


@dataclass(slots=True)
class Scripts:
    """What the scripts that ran came to."""

    commands: list[int] = field(default_factory=list)
    """Of each script, as Redis counts them."""


@pytest.fixture
async def scripts(redis_client: Redis) -> AsyncIterator[Scripts]:
    """Counts what each script does."""
    found = Scripts()
    run = redis_client.evalsha

    async def counting(*args: Any, **options: Any) -> object:
        before = await _commands(redis_client)
        try:
            return await cast("Any", run(*args, **options))
        finally:
            # Without the script and the INFO. One that Redis does not know yet is sent, and runs, afterwards.
            if (ran := await _commands(redis_client) - before - 2) > 0:
                found.commands.append(ran)

    await redis_client.config_set("slowlog-log-slower-than", 1000)
    await redis_client.slowlog_reset()
    with patch.object(redis_client, "evalsha", counting):
        yield found
    slowest = max((each["duration"] for each in await cast("Any", redis_client.slowlog_get(1000))), default=0)
    await redis_client.config_set("slowlog-log-slower-than", 10_000)
    assert slowest < SECONDS * 1_000_000


async def _commands(client: Redis) -> int:
    return (await calls(client)).total()


@pytest.fixture
def observer(observer_of: MakeObserver) -> Observer:
    return observer_of()


async def observe(
    client: Redis, observer: Observer, group: Group, messages: list[RawMessage], scripts: Scripts | None = None
) -> None:
    """As a consumer would."""
    await group.create()
    await append(client, *messages)
    read = []
    while entries := await group.read(len(messages)):
        read += entries
    if scripts:
        scripts.commands.clear()
    await observer(read)
    assert not await group.own(1)
    assert await client.xlen(RAW) == 0


def message(features: list[Any]) -> RawMessage:
    text = json.dumps({"type": "FeatureCollection", "features": features}, separators=(",", ":"))
    return RawMessage("mobile-iotp", "gateway", "gateway", NOON, base64.b64encode(text.encode()))


def feature(device: str, at: int, place: tuple[float, float]) -> dict[str, Any]:
    geometry = {"type": "Point", "coordinates": list(place)}
    return {"type": "Feature", "geometry": geometry, "properties": {"device_id": device, "timestamp": at}}


def chance(seed: int) -> Random:
    return Random(seed)  # noqa: S311 - to be repeatable, not secret


def anywhere(random: Random) -> tuple[float, float]:
    return round(random.uniform(WEST, EAST), 6), round(random.uniform(SOUTH, NORTH), 6)


GroupOf = Callable[[str], Group]


async def test_positions_of_any_time_since_1973_are_spread_over_scripts(
    redis_client: Redis, observer: Observer, group_of: GroupOf, scripts: Scripts
) -> None:
    """Each of 400 in a message begins windows of its own, of each width."""
    random = chance(1)
    sent = [
        message([feature("one", random.randrange(1200 * DAY_MS, NOON), anywhere(random)) for _ in range(400)])
        for _ in range(10)
    ]
    await observe(redis_client, observer, group_of("a"), sent, scripts)
    assert max(scripts.commands) < COMMANDS
    assert sum(scripts.commands) > 60_000
    assert (await read_status(redis_client, 1)).totals == {
        "accepted": 10,
        "finished": 10,
        "messages": 10,
        "positions": 4000,
    }
    archived = [decode_positions(fields) for fields in await entries(redis_client, POSITIONS)]
    assert sum(map(len, archived)) == 4000


async def test_one_message_of_500_devices_may_take_several_scripts(
    redis_client: Redis, observer: Observer, group_of: GroupOf, scripts: Scripts
) -> None:
    random = chance(2)
    features = [feature(str(number), NOON - random.randrange(5 * DAY_MS), anywhere(random)) for number in range(500)]
    await observe(redis_client, observer, group_of("a"), [message(features)], scripts)
    assert len(scripts.commands) > 1
    assert max(scripts.commands) < COMMANDS
    assert await redis_client.hget(TOTALS, "messages") == b"1"


async def test_thousands_that_leave_at_once_are_spread_over_scripts(
    redis_client: Redis, observer: Observer, group_of: GroupOf, scripts: Scripts
) -> None:
    random = chance(3)
    here = [feature(str(number), NOON - 2000, anywhere(random)) for number in range(4000)]
    gone = [feature(str(number), NOON - 1000, (0, 0)) for number in range(4000)]
    features = here + gone
    sent = [message(features[first : first + 400]) for first in range(0, 8000, 400)]
    await observe(redis_client, observer, group_of("a"), sent, scripts)
    assert max(scripts.commands) < COMMANDS
    assert not await redis_client.keys("presence:*")
    assert await redis_client.hget(TOTALS, "outside") == b"4000"


async def test_unusable_features_without_end_are_spread_over_scripts(
    redis_client: Redis, observer: Observer, group_of: GroupOf, scripts: Scripts
) -> None:
    await observe(redis_client, observer, group_of("a"), [message([1] * 500) for _ in range(20)], scripts)
    assert max(scripts.commands) < COMMANDS
    assert await redis_client.hget(TOTALS, "dead:not_geojson") == b"10000"
    assert len(await dead_letters(redis_client)) == 100


async def test_unusable_messages_of_the_largest_size_are_spread_over_scripts(
    redis_client: Redis, observer: Observer, group_of: GroupOf, scripts: Scripts
) -> None:
    """Each script takes about 1 MB of them."""
    large = RawMessage("mobile-iotp", "gateway", "gateway", NOON, b"%" * 65_536)
    await observe(redis_client, observer, group_of("a"), [large] * 100, scripts)
    assert len(scripts.commands) == 14  # effects, and the end, of each of seven batches
    assert await redis_client.hget(TOTALS, "dead:not_base64") == b"100"


async def test_a_campus_that_changes_between_two_scripts_ends_the_batch_without_its_acknowledgement(
    redis_client: Redis, decoder: BatchDecoder, effects: Effects, group_of: GroupOf
) -> None:
    """What was counted by then is as if it had been delivered before the change, too; the rest is done once."""
    run, done = redis_client.evalsha, 0

    async def changing(*args: Any, **options: Any) -> object:
        nonlocal done
        answer = await cast("Any", run(*args, **options))
        done += 1
        if done == 1:
            await redis_client.hset(fence_key("{0}"), "number", "1")
        return answer

    group = group_of("a")
    await group.create()
    sent = message([feature(str(number), NOON - 1000, (WEST, SOUTH)) for number in range(40)])
    await append(redis_client, sent)
    await group.read(1)
    with (
        patch("state.effect_parts.MAX_WORK", 100),
        patch.object(redis_client, "evalsha", changing),
        pytest.raises(StaleFenceError),
    ):
        await effects.apply(decoder.decode([sent]), now=NOON)
    assert done == 2
    assert len(await group.own(10)) == 1
    assert await redis_client.hgetall(TOTALS) == {b"accepted": b"1"}
    assert await entries(redis_client, POSITIONS) == []


async def test_what_piled_up_behind_one_entry_is_cut_off_in_several_scripts(
    redis_client: Redis, observer: Observer, group_of: GroupOf
) -> None:
    group = group_of("a")
    await group.create()
    for first in range(0, 3000, 1000):
        async with redis_client.pipeline(transaction=False) as pipeline:
            for number in range(first, first + 1000):
                pipeline.xadd(RAW, {"m": number})
            await pipeline.execute()
    first_entry, *others = await group.read(3000)
    await redis_client.xack(RAW, OBSERVE_GROUP, *(entry_id for entry_id, _ in others))
    await observer([first_entry])
    assert await redis_client.xlen(RAW) == 0


async def test_an_ordinary_batch_is_a_script_for_its_effects_and_one_for_its_end(
    redis_client: Redis, observer: Observer, group_of: GroupOf, scripts: Scripts
) -> None:
    random = chance(4)
    sent = [message([feature(str(number), NOON - random.randrange(60_000), anywhere(random))]) for number in range(500)]
    await observe(redis_client, observer, group_of("a"), sent, scripts)
    assert len(scripts.commands) == 2
