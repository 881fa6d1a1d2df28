"""What is read of what has changed is what there is."""

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from bench.presence import leave, see
from core.errors import UnavailableError
from core.kinds import DEFAULT_KINDS, KindId
from runtime.settings import CommonSettings
from state import presence
from state.client import open_redis
from state.presence import NOBODY, Presence, life_key, presence_now, touched_at_key
from state.presence_reader import PresenceReader
from state.slots import tag
from tests.conftest import NOON
from tests.kinds_of_tests import CAR, MOBILE

AHEAD_MS = 300_000

TTL = 300
ZONES = ("campus", "main", "library")
PARTITIONS = 3


@pytest.fixture
def reader(redis_client: Redis) -> PresenceReader:
    return PresenceReader(redis_client, DEFAULT_KINDS, partitions=1, ttl=TTL)


class Commands:
    """What a Redis has been asked to run, from a moment on."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def begin(self) -> None:
        await self._redis.config_resetstat()

    async def calls(self, command: str) -> int:
        """How often, scripts included."""
        found = await self._redis.info("commandstats")
        return int(found.get(f"cmdstat_{command}", {}).get("calls", 0))


async def test_at_first_all_zones_have_changed_and_then_none(reader: PresenceReader, redis_client: Redis) -> None:
    await see(redis_client, "main", CAR, {"a": NOON})

    assert await reader.read(ZONES, now=NOON) == {"campus", "main", "library"}
    assert reader.present["main"] == {CAR: Presence(1, NOON), MOBILE: NOBODY}
    assert await reader.read(ZONES, now=NOON) == set()


async def test_where_nothing_changes_no_presence_set_is_read(reader: PresenceReader, redis_client: Redis) -> None:
    commands = Commands(redis_client)
    for zone in ZONES:
        await see(redis_client, zone, CAR, {"a": NOON})
    await reader.read(ZONES, now=NOON)

    await commands.begin()
    await reader.read(ZONES, now=NOON + TTL * 1000 - 1)
    assert await commands.calls("zcount") == 0
    await see(redis_client, "main", CAR, {"b": NOON})
    assert await reader.read(ZONES, now=NOON + TTL * 1000 - 1) == {"main"}
    assert await commands.calls("zcount") == 1


async def test_who_was_seen_for_the_last_time_leaves_when_the_ttl_ends(
    reader: PresenceReader, redis_client: Redis
) -> None:
    await see(redis_client, "main", CAR, {"a": NOON, "b": NOON + 1})
    await reader.read(ZONES, now=NOON)

    assert await reader.read(ZONES, now=NOON + TTL * 1000 - 1) == set()
    assert await reader.read(ZONES, now=NOON + TTL * 1000) == {"main"}
    assert reader.present["main"][CAR] == Presence(1, NOON + 1)
    assert await reader.read(ZONES, now=NOON + TTL * 1000 + 1) == {"main"}
    assert reader.present["main"][CAR] == NOBODY


async def test_who_is_further_ahead_than_clocks_may_be_comes_when_it_is_time(
    reader: PresenceReader, redis_client: Redis
) -> None:
    await see(redis_client, "main", CAR, {"a": NOON + AHEAD_MS + 500})
    await reader.read(ZONES, now=NOON)
    assert reader.present["main"][CAR] == NOBODY

    assert await reader.read(ZONES, now=NOON + 499) == set()
    assert await reader.read(ZONES, now=NOON + 500) == {"main"}


async def test_a_clock_that_went_back_finds_who_was_gone_by_it(reader: PresenceReader, redis_client: Redis) -> None:
    await see(redis_client, "main", CAR, {"a": NOON})
    await reader.read(ZONES, now=NOON + TTL * 1000)
    assert reader.present["main"][CAR] == NOBODY

    assert await reader.read(ZONES, now=NOON) == {"main"}


async def test_zones_of_another_campus_are_read_and_others_forgotten(
    reader: PresenceReader, redis_client: Redis
) -> None:
    await see(redis_client, "main", CAR, {"a": NOON})
    await see(redis_client, "gate", CAR, {"a": NOON})
    await reader.read(ZONES, now=NOON)

    assert await reader.read(("campus", "gate"), now=NOON) == {"gate"}
    assert reader.present == {
        "campus": {CAR: NOBODY, MOBILE: NOBODY},
        "gate": {CAR: Presence(1, NOON), MOBILE: NOBODY},
    }


@pytest.mark.parametrize("emptied", ["all of it", "all, and touched more often since", "a part of it"])
async def test_after_redis_has_lost_what_it_had_all_is_read_anew(
    reader: PresenceReader, redis_client: Redis, emptied: str
) -> None:
    for zone in ZONES:
        await see(redis_client, zone, CAR, {"a": NOON})
    await reader.read(ZONES, now=NOON)

    match emptied:
        case "all of it":
            await redis_client.flushall()
        case "all, and touched more often since":
            await redis_client.flushall()
            for at in range(10):
                await see(redis_client, "main", CAR, {"a": NOON + at})
        case _:
            # As after a restart, which the file of the newest second did not survive.
            await redis_client.delete(presence.presence_key(tag(0, 1), "campus", CAR))
            await redis_client.decrby(touched_at_key(tag(0, 1)), 2)

    await reader.read(ZONES, now=NOON)
    assert reader.present == await presence_now(redis_client, ZONES, DEFAULT_KINDS, now=NOON, ttl=TTL, partitions=1)
    assert reader.present["campus"][CAR] == NOBODY


async def test_another_server_is_read_anew_whatever_its_numbers_say(
    reader: PresenceReader, redis_client: Redis
) -> None:
    await see(redis_client, "main", CAR, {"a": NOON})
    await reader.read(ZONES, now=NOON)
    # A replica that takes over has not got the newest changes, and numbers of its own since.
    await redis_client.delete(presence.presence_key(tag(0, 1), "main", CAR))
    await redis_client.set(life_key(tag(0, 1)), "what another server says")

    assert await reader.read(ZONES, now=NOON) == {"main"}


async def test_what_redis_did_not_answer_is_read_the_next_time(redis_client: Redis) -> None:
    reader = PresenceReader(redis_client, DEFAULT_KINDS, partitions=1, ttl=TTL)
    await see(redis_client, "main", CAR, {"a": NOON})
    await reader.read(ZONES, now=NOON)
    await see(redis_client, "main", CAR, {"b": NOON})
    async with open_redis(CommonSettings(redis_url="unix:///nowhere/redis.sock")) as away:
        reader._client = away
        with pytest.raises(UnavailableError):
            await reader.read(ZONES, now=NOON)
    reader._client = redis_client

    assert await reader.read(ZONES, now=NOON) == {"main"}
    assert reader.present["main"][CAR].devices == 2


async def test_more_presence_sets_than_one_script_reads_are_all_read(redis_client: Redis) -> None:
    zones = tuple(f"zone-{number}" for number in range(600))
    reader = PresenceReader(redis_client, DEFAULT_KINDS, partitions=1, ttl=TTL)
    for zone in zones:
        await see(redis_client, zone, CAR, {"a": NOON})

    assert len(await reader.read(zones, now=NOON)) == 600
    assert sum(found[CAR].devices for found in reader.present.values()) == 600


_steps = st.lists(
    st.one_of(
        st.tuples(
            st.just("see"),
            st.sampled_from(ZONES),
            st.sampled_from(DEFAULT_KINDS.ids),
            st.integers(0, PARTITIONS - 1),
            st.dictionaries(st.sampled_from("abc"), st.integers(-320, 620), min_size=1),
        ),
        st.tuples(
            st.just("leave"),
            st.sampled_from(ZONES),
            st.sampled_from(DEFAULT_KINDS.ids),
            st.integers(0, PARTITIONS - 1),
            st.sets(st.sampled_from("abc")),
        ),
        st.tuples(st.just("wait"), st.integers(-50, 400)),
        st.tuples(st.just("campus"), st.sets(st.sampled_from(ZONES), min_size=1)),
        st.tuples(
            st.just("empty"),
        ),
    ),
    max_size=40,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=_steps)
def test_it_knows_what_reading_everything_would_say(steps: list[tuple[object, ...]], redis_server: str) -> None:
    async def check() -> None:
        async with Redis.from_url(redis_server) as redis:
            await redis.flushall()
            reader = PresenceReader(redis, DEFAULT_KINDS, partitions=PARTITIONS, ttl=TTL)
            zones, now = ZONES, NOON
            before: dict[str, dict[KindId, Presence]] = {}
            for step in steps:
                match step:
                    case ["see", str(zone), str(kind), int(partition), dict(devices)]:
                        times = {device: now + 1000 * seconds for device, seconds in devices.items()}
                        await see(redis, zone, KindId(kind), times, partition=partition, partitions=PARTITIONS)
                    case ["leave", str(zone), str(kind), int(partition), set(devices)]:
                        await leave(
                            redis, zone, KindId(kind), *sorted(devices), partition=partition, partitions=PARTITIONS
                        )
                    case ["wait", int(seconds)]:
                        now += seconds * 1000
                    case ["campus", set(wanted)]:
                        zones = tuple(sorted(wanted))
                    case _:
                        await redis.flushall()
                changed = await reader.read(zones, now=now)
                everything = await presence_now(redis, zones, DEFAULT_KINDS, now=now, ttl=TTL, partitions=PARTITIONS)
                assert reader.present == everything
                assert changed == {zone for zone in zones if before.get(zone) != everything[zone]}
                before = {zone: dict(found) for zone, found in everything.items()}

    asyncio.run(check())
