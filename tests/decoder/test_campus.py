"""Zones that change while decoders run."""

import base64
import json
from collections.abc import Callable
from typing import Any, cast

import pytest
from redis.asyncio import Redis

from core.errors import UnavailableError
from core.kinds import DEFAULT_KINDS
from core.messages import decode_positions
from decoder.batch import Batch, BatchDecoder
from decoder.campus import CampusFollower
from decoder.effects import Effects, StaleFenceError
from geofence import Campus, changed_zones, load_campus, parse_campus
from state.campus import StoredCampus, replace_campus, stored_campus, stored_version
from state.group import Group
from state.presence import presence_now
from tests.conftest import NOON, POSITIONS, RAW, entries
from tests.decoder.conftest import LIBRARY, TTL, Apply, MakeObserver, position, raw
from tests.kinds_of_tests import CAR
from tests.raw_streams import append

CAMPUS = "campus:{campus}"

FILE = load_campus(None)
GroupOf = Callable[[str], Group]


def without(zone: str) -> tuple[Campus, StoredCampus]:
    """The campus after a zone was deleted."""
    collection = cast("Any", FILE.as_feature_collection())
    kept = [feature for feature in collection["features"] if feature["id"] != zone]
    geojson = json.dumps({**collection, "features": kept}).encode()
    campus = parse_campus(geojson, "a test")
    return campus, StoredCampus(campus.version, geojson)


async def replaced(client: Redis, zone: str) -> StoredCampus:
    campus, stored = without(zone)
    assert await replace_campus(
        client, stored, replaces=FILE.version, changed=changed_zones(FILE, campus), partitions=1, kinds=DEFAULT_KINDS
    )
    return stored


def fix(device: str = "bus", at: int = NOON) -> bytes:
    feature = {
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": list(LIBRARY)},
        "properties": {"device_id": device, "timestamp": at},
    }
    return base64.b64encode(json.dumps(feature).encode())


async def test_what_was_fenced_with_an_old_geometry_has_no_effect(
    redis_client: Redis, effects: Effects, group_of: GroupOf
) -> None:
    group = group_of("a")
    await group.create()
    await redis_client.xadd(RAW, {"n": 1})
    entry_ids = [entry_id for entry_id, _ in await group.read(1)]
    await replaced(redis_client, "main")
    batch = Batch(fence=FILE.version, positions=[position("a", NOON, "main")])
    with pytest.raises(StaleFenceError):
        await effects.apply(batch, now=NOON)
    assert [leftover.entry_id for leftover in await group.own(1)] == entry_ids
    assert not await redis_client.keys("presence:*")


async def test_a_decoder_takes_up_the_new_geometry_and_decodes_the_batch_again(
    redis_client: Redis, observer_of: MakeObserver, group_of: GroupOf
) -> None:
    group = group_of("a")
    await group.create()
    await append(redis_client, raw(fix()))
    stored = await replaced(redis_client, "glucksman-library")
    observer = observer_of()
    await observer(await group.read(1))
    (fields,) = await entries(redis_client, POSITIONS)
    (found,) = decode_positions(fields)
    assert (found.zones, found.fence) == (("campus",), stored.version)


async def test_a_deleted_zone_takes_its_counts_with_it(redis_client: Redis, apply: Apply) -> None:
    await apply(Batch(positions=[position("a", NOON, "main", "schuman")]))
    await replaced(redis_client, "main")
    present = await presence_now(
        redis_client, ["campus", "main", "schuman"], DEFAULT_KINDS, now=NOON, ttl=TTL, partitions=1
    )
    assert [kinds[CAR].devices for kinds in present.values()] == [1, 0, 1]


async def test_of_two_changes_at_once_one_is_refused(redis_client: Redis) -> None:
    stored = await replaced(redis_client, "main")
    assert not await replace_campus(
        redis_client, stored, replaces=FILE.version, changed=[], partitions=1, kinds=DEFAULT_KINDS
    )
    assert await stored_version(redis_client) == stored.version
    assert await replace_campus(
        redis_client,
        StoredCampus("next", b"{}"),
        replaces=stored.version,
        changed=[],
        partitions=1,
        kinds=DEFAULT_KINDS,
    )


async def test_without_a_campus_in_redis_the_file_holds(
    redis_client: Redis, decoder: BatchDecoder, follower: CampusFollower
) -> None:
    assert await stored_campus(redis_client) is None
    stored = await replaced(redis_client, "main")
    await follower.refresh()
    assert decoder.fence.version == stored.version
    await redis_client.delete(CAMPUS)
    await follower.refresh()
    assert decoder.fence.version == FILE.version


async def test_a_campus_in_redis_that_cannot_be_used_is_waited_for(
    redis_client: Redis, follower: CampusFollower
) -> None:
    await redis_client.hset(CAMPUS, mapping={"version": "1", "geojson": "{}"})
    with pytest.raises(UnavailableError, match="the campus in Redis"):
        await follower.refresh()


def test_what_has_changed_is_what_is_gone_or_has_another_shape() -> None:
    campus, _ = without("main")
    assert changed_zones(FILE, campus) == {"main"}
    assert changed_zones(campus, FILE) == set()
    collection = json.loads(json.dumps(FILE.as_feature_collection()))
    collection["features"][1]["geometry"]["coordinates"][0][1][0] += 0.0001
    moved = parse_campus(json.dumps(collection).encode(), "a test")
    assert changed_zones(FILE, moved) == {FILE.zones[0].id}
