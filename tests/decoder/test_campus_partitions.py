"""Each partition is at a campus of its own; whoever changes the campus, or meets a change, has all hear of it."""

from collections.abc import Iterable
from unittest.mock import patch

import pytest
from redis.asyncio import Redis

from core.errors import UnavailableError
from core.kinds import DEFAULT_KINDS
from decoder.batch import Batch, BatchDecoder
from decoder.campus import CampusFollower
from decoder.effects import Effects, StaleFenceError
from decoder.metrics import DecoderMetrics
from geofence import Geofence, load_campus
from state.campus import StoredCampus, fence_key, replace_campus
from state.presence import presence_now
from state.slots import partition_of, tag
from tests.conftest import NOON
from tests.decoder.conftest import HASHER, TTL, effects_of, position
from tests.decoder.test_campus import FILE, without
from tests.kinds_of_tests import CAR

CAMPUS = "campus:{campus}"
CHANGES_KEPT = 100

DEVICES = [f"device-{number}" for number in range(64)]


def seen(*zones: str, number: int, partitions: int, at: int = NOON) -> Batch:
    """All devices, in every partition, fenced with the campus of that number."""
    positions = [position(device, at, *zones) for device in DEVICES]
    return Batch(positions=positions, number=number, partitions=[partition_of(each, partitions) for each in DEVICES])


async def present(client: Redis, partitions: int, *zones: str) -> list[int]:
    found = await presence_now(client, zones, DEFAULT_KINDS, now=NOON, ttl=TTL, partitions=partitions)
    return [found[zone][CAR].devices for zone in zones]


async def fences(client: Redis, partitions: int) -> list[bytes | None]:
    keys = [fence_key(tag(partition, partitions)) for partition in range(partitions)]
    return [await client.hget(key, "number") for key in keys]  # type: ignore[misc]  # redis-py's own


async def changed(
    client: Redis, zones: Iterable[str], partitions: int, *, replaces: str = FILE.version
) -> StoredCampus:
    _, stored = without("main")
    stored = StoredCampus(f"{stored.version}-{replaces}", stored.geojson)
    assert await replace_campus(
        client, stored, replaces=replaces, changed=zones, partitions=partitions, kinds=DEFAULT_KINDS
    )
    return stored


def follower_of(client: Redis, decoder: BatchDecoder, partitions: int) -> CampusFollower:
    return CampusFollower(
        kinds=DEFAULT_KINDS, client=client, decoder=decoder, file=FILE, metrics=DecoderMetrics(), partitions=partitions
    )


@pytest.fixture
def decoder() -> BatchDecoder:
    return BatchDecoder(kinds=DEFAULT_KINDS, fence=Geofence(load_campus(None)), hasher=HASHER, partitions=1)


@pytest.mark.parametrize("partitions", [1, 3, 16])
async def test_a_change_is_known_in_every_partition_and_takes_presence_with_it(
    redis_client: Redis, partitions: int
) -> None:
    effects = effects_of(redis_client, partitions=partitions)
    await effects.apply(seen("main", number=0, partitions=partitions), now=NOON)
    await changed(redis_client, ["main"], partitions)
    assert await present(redis_client, partitions, "campus", "main") == [64, 0]
    assert await fences(redis_client, partitions) == [b"1"] * partitions
    with pytest.raises(StaleFenceError) as refused:
        await effects.apply(seen("main", number=0, partitions=partitions), now=NOON)
    assert refused.value.number == 1
    await effects.apply(seen("schuman", number=1, partitions=partitions, at=NOON + 1), now=NOON)
    assert await present(redis_client, partitions, "campus", "main", "schuman") == [64, 0, 64]


@pytest.mark.parametrize("partitions", [1, 3, 16])
async def test_what_somebody_left_who_died_having_changed_the_campus_is_done_by_who_meets_it(
    redis_client: Redis, decoder: BatchDecoder, partitions: int
) -> None:
    effects = effects_of(redis_client, partitions=partitions)
    await effects.apply(seen("main", "schuman", number=0, partitions=partitions), now=NOON)
    with patch("state.campus.advance_partitions", side_effect=UnavailableError("dead")):
        stored = await changed(redis_client, ["main"], partitions)
        await changed(redis_client, ["schuman"], partitions, replaces=stored.version)
    # Nobody has told the partitions: what was fenced before is taken yet.
    await effects.apply(seen("main", number=0, partitions=partitions, at=NOON + 1), now=NOON)
    assert await present(redis_client, partitions, "main") == [64]
    # A batch that was fenced with the new one tells its own; whoever takes it up tells the others.
    first = Batch(
        positions=[position(DEVICES[0], NOON + 2)], number=2, partitions=[partition_of(DEVICES[0], partitions)]
    )
    await effects.apply(first, now=NOON)
    assert (await fences(redis_client, partitions)).count(b"2") == 1
    await follower_of(redis_client, decoder, partitions).refresh()
    assert (decoder.number, await fences(redis_client, partitions)) == (2, [b"2"] * partitions)
    assert await present(redis_client, partitions, "campus", "main", "schuman") == [64, 0, 0]


async def test_where_nobody_knows_any_more_what_has_changed_nobody_counts_as_present(redis_client: Redis) -> None:
    """More changes than are kept: the next positions say where they are."""
    await effects_of(redis_client).apply(seen("main", number=0, partitions=1), now=NOON)
    replaces = FILE.version
    with patch("state.campus.advance_partitions"):
        for _ in range(CHANGES_KEPT + 1):
            replaces = (await changed(redis_client, [], 1, replaces=replaces)).version
    await effects_of(redis_client).apply(Batch(number=CHANGES_KEPT + 1), now=NOON)
    assert await present(redis_client, 1, "campus", "main") == [0, 0]


async def test_a_change_that_redis_has_lost_holds_nothing_up(redis_client: Redis, decoder: BatchDecoder) -> None:
    """As after a failover, or where somebody has deleted the campus: a partition knows a newer one."""
    effects: Effects = effects_of(redis_client, partitions=3)
    await changed(redis_client, [], 3)
    await redis_client.delete(CAMPUS)
    follower = follower_of(redis_client, decoder, 3)
    await follower.refresh()
    assert (decoder.number, decoder.fence.version) == (0, FILE.version)
    with pytest.raises(StaleFenceError) as refused:
        await effects.apply(seen("main", number=decoder.number, partitions=3), now=NOON)
    await follower.refresh(at_least=refused.value.number)
    await effects.apply(seen("main", number=decoder.number, partitions=3), now=NOON)
    assert await present(redis_client, 3, "main") == [64]
    # The next change goes on from there.
    await changed(redis_client, ["main"], 3)
    assert await fences(redis_client, 3) == [b"2"] * 3


async def test_a_campus_that_is_deleted_before_a_partition_hears_of_it_is_decoded_again(redis_client: Redis) -> None:
    with pytest.raises(StaleFenceError) as refused:
        await effects_of(redis_client).apply(seen(number=5, partitions=1), now=NOON)
    assert refused.value.number == 0
