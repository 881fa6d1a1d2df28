import base64
import gzip
import json
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from core.errors import Reason
from core.kinds import DEFAULT_KINDS, Role
from core.messages import RawMessage, decode_positions
from decoder.batch import Batch, BatchDecoder
from decoder.rules import Rules
from documents.document import from_document, to_document
from geofence import Geofence
from state.presence import presence_now
from state.slots import partition_of
from tests.conftest import NOON, POSITIONS, entries
from tests.decoder.conftest import HASHER, LIBRARY, TTL, Apply, position, raw
from tests.kinds_of_tests import CAR, CAR_ROLE, MOBILE, MOBILE_ROLE

AWAY = (-8.66, 52.63)


def fix(place: tuple[float, float] = LIBRARY, **properties: object) -> dict[str, Any]:
    return {
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": list(place)},
        "properties": {"device_id": "bus", **properties},
    }


def payload(*features: object) -> bytes:
    document = features[0] if len(features) == 1 else {"type": "FeatureCollection", "features": list(features)}
    return base64.b64encode(json.dumps(document).encode())


def test_a_position_on_the_campus_has_its_zones_and_a_hash_instead_of_a_name(decoder: BatchDecoder) -> None:
    batch = decoder.decode([raw(payload(fix(timestamp=NOON - 1000, speed=3)), topic="mobile-iotp/x")])
    (position,) = batch.positions
    assert position.zones == ("campus", "glucksman-library")
    assert position.kind == MOBILE
    assert position.device == HASHER.hash(MOBILE, "bus")
    assert (position.observed_at, position.received_at, position.speed) == (NOON - 1000, NOON, 3)
    assert (position.longitude, position.latitude) == LIBRARY
    assert batch.totals == {"messages": 1, "positions": 1}


def test_a_position_outside_is_counted_and_nothing_else(decoder: BatchDecoder) -> None:
    batch = decoder.decode([raw(payload(fix(AWAY)))])
    assert not batch.positions
    assert not batch.dead
    assert batch.totals == {"messages": 1, "outside": 1}


def test_what_is_unusable_outside_the_campus_leaves_neither_payload_nor_topic(decoder: BatchDecoder) -> None:
    bad = payload(fix(AWAY, timestamp=NOON + 3_600_000), fix(timestamp=NOON + 3_600_000))
    batch = decoder.decode([raw(bad, topic="car-iotp/bus")])
    outside, inside = sorted(batch.dead, key=lambda letter: letter.payload or b"")
    assert (outside.reason, outside.payload, outside.topic) == (Reason.FUTURE_TIMESTAMP, None, "car-iotp")
    assert (inside.reason, inside.topic) == (Reason.FUTURE_TIMESTAMP, "car-iotp/bus")
    assert json.loads(base64.b64decode(inside.payload or b""))["geometry"]["coordinates"] == list(LIBRARY)


def test_a_bad_member_becomes_a_dead_letter_of_its_own(decoder: BatchDecoder) -> None:
    bad = fix(heading="north")
    batch = decoder.decode([raw(payload(fix(), bad, fix(device_id="car")))])
    assert len(batch.positions) == 2
    assert [(letter.reason, letter.payload) for letter in batch.dead] == [
        (Reason.BAD_PROPERTY, base64.b64encode(json.dumps(bad).encode()))
    ]


def test_what_the_broker_refused_becomes_a_dead_letter_without_a_payload(decoder: BatchDecoder) -> None:
    refused = RawMessage("car-iotp", "", "anonymous", NOON, b"", refused=Reason.TOO_LARGE)
    (letter,) = decoder.decode([refused]).dead
    assert (letter.reason, letter.payload) == (Reason.TOO_LARGE, None)


def test_a_message_for_another_topic_is_a_dead_letter(decoder: BatchDecoder) -> None:
    (letter,) = decoder.decode([raw(payload(fix()), topic="tram-iotp")]).dead
    assert letter.reason == Reason.UNKNOWN_TOPIC


def test_a_topic_in_a_dead_letter_is_not_longer_than_people_read(decoder: BatchDecoder) -> None:
    (letter,) = decoder.decode([raw(payload(fix(speed="?")), topic="car-iotp/" + "x" * 60_000)]).dead
    assert len(letter.topic) == 200


def test_what_apps_send_beside_positions_is_counted_and_no_dead_letter(decoder: BatchDecoder) -> None:
    messages = [b"", b'{"_type":"lwt","tst":1}', b'{"_type":"waypoint","lat":51.9,"lon":-8.47}', payload(fix())]
    batch = decoder.decode([raw(message) for message in messages])
    assert (len(batch.positions), batch.dead, batch.outside) == (1, [], [])
    assert batch.totals == {"messages": 4, "positions": 1, "ignored": 3}
    assert batch.ignored == {"empty": 1, "lwt": 1, "waypoint": 1}


def test_a_message_may_hold_positions_and_what_is_none(decoder: BatchDecoder) -> None:
    trip = fix(type="trip")
    batch = decoder.decode([raw(json.dumps({"locations": [fix(), trip, fix(speed="?")]}).encode())])
    assert (len(batch.positions), [letter.reason for letter in batch.dead]) == (1, [Reason.BAD_PROPERTY])
    assert batch.totals == {"messages": 1, "positions": 1, "ignored": 1}


def test_an_empty_batch_is_nothing(decoder: BatchDecoder) -> None:
    batch = decoder.decode([])
    assert (batch.positions, batch.dead, batch.totals) == ([], [], {})


@pytest.mark.parametrize(
    ("role", "age", "reason"),
    [
        (CAR_ROLE, 604_800_000, None),
        (CAR_ROLE, 604_800_001, Reason.TOO_OLD),
        (MOBILE_ROLE, 604_800_001, Reason.TOO_OLD),
        (Role.ANONYMOUS, 604_800_001, Reason.TOO_OLD),
        (Role.GATEWAY, 10 * 365 * 86_400_000, None),
        (Role.SERVICE, 10 * 365 * 86_400_000, None),
    ],
)
def test_how_old_a_position_may_be_depends_on_who_sends_it(
    decoder: BatchDecoder, role: Role, age: int, reason: Reason | None
) -> None:
    message = RawMessage("car-iotp", "bus", role.name, NOON, payload(fix(timestamp=NOON - age)))
    batch = decoder.decode([message])
    assert [letter.reason for letter in batch.dead] == ([reason] if reason else [])
    assert len(batch.positions) == (0 if reason else 1)


def test_the_ages_are_a_setting(fence: Geofence) -> None:
    decoder = BatchDecoder(
        kinds=DEFAULT_KINDS, fence=fence, hasher=HASHER, partitions=1, rules=Rules(max_age_ms={Role.GATEWAY: 1000})
    )
    gateway = RawMessage("car-iotp", "north", "gateway", NOON, payload(fix(timestamp=NOON - 1001)))
    car = RawMessage("car-iotp", "bus", "car", NOON, payload(fix(timestamp=100_000_000_000)))
    batch = decoder.decode([gateway, car])
    assert [letter.reason for letter in batch.dead] == [Reason.TOO_OLD]
    assert [each.observed_at for each in batch.positions] == [100_000_000_000]


@pytest.mark.parametrize(
    ("accuracy", "zones", "inaccurate"),
    [
        (None, ("campus", "glucksman-library"), False),
        (-1, ("campus", "glucksman-library"), False),
        (100, ("campus", "glucksman-library"), False),
        (100.1, ("campus",), True),
        (1000, ("campus",), True),
        (1000.1, (), True),
        (17_000, (), True),
    ],
)
def test_a_position_counts_only_where_it_is_accurate_enough_to_be(
    decoder: BatchDecoder, accuracy: float | None, zones: tuple[str, ...], *, inaccurate: bool
) -> None:
    (position,) = decoder.decode([raw(payload(fix(accuracy=accuracy)))]).positions
    assert (position.zones, position.inaccurate) == (zones, inaccurate)
    assert to_document(position)["properties"].get("inaccurate", False) is inaccurate
    assert from_document(to_document(position)) == position


def test_who_may_as_well_be_inside_does_not_leave(decoder: BatchDecoder) -> None:
    batch = decoder.decode([raw(payload(fix(AWAY, accuracy=1001))), raw(payload(fix(AWAY, accuracy=1000)))])
    assert batch.totals == {"messages": 2, "outside": 2}
    assert len(batch.outside) == 1


async def test_a_place_that_counts_nowhere_moves_nobody_and_is_no_jump(redis_client: Redis, apply: Apply) -> None:
    """Its document is kept all the same."""
    there = msgspec.structs.replace(position("a", NOON, place=(-8.5634, 52.6733)), zones=(), inaccurate=True)
    await apply(Batch(positions=[position("a", NOON - 1000, "main"), there]))
    present = await presence_now(redis_client, ["campus", "main"], DEFAULT_KINDS, now=NOON, ttl=TTL, partitions=1)
    assert [kinds[CAR].devices for kinds in present.values()] == [1, 1]
    ((fields),) = await entries(redis_client, POSITIONS)
    assert decode_positions(fields)[1] == there


def test_a_batch_knows_the_partition_of_each_device(fence: Geofence) -> None:
    """Of its own id, not of its hash: brokers put it where they know only that."""
    decoder = BatchDecoder(kinds=DEFAULT_KINDS, fence=fence, hasher=HASHER, partitions=3)
    names = [f"bus-{number}" for number in range(8)]
    batch = decoder.decode(
        [raw(payload(fix(device_id=name))) for name in names]
        + [raw(payload(fix(AWAY, device_id=name))) for name in names]
    )
    assert batch.partitions == [partition_of(name, 3) for name in names]
    assert [each.partition for each in batch.outside] == batch.partitions
    assert (
        BatchDecoder(kinds=DEFAULT_KINDS, fence=fence, hasher=HASHER, partitions=1)
        .decode([raw(payload(fix()))])
        .partitions
        is None
    )


def test_what_unpacks_to_long_dead_letters_ends_a_batch_as_what_comes_so_long(decoder: BatchDecoder) -> None:
    long = {"type": "FeatureCollection", "features": [fix(device_id="x" * 60_000)]}
    packed = gzip.compress(json.dumps(long).encode(), mtime=0)
    assert len(packed) < 500
    batch = decoder.decode([raw(packed)] * 100)
    assert batch.taken == 17
    assert sum(len(letter.payload or b"") for letter in batch.dead) < 1_500_000


def test_what_is_ignored_ends_a_batch_as_what_is_used_does(decoder: BatchDecoder) -> None:
    batch = decoder.decode([raw(json.dumps([{"_type": "lwt"}] * 500).encode())] * 100)
    assert batch.taken == 2
    assert batch.ignored == {"lwt": 1000}
