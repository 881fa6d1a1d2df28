"""What docs/operating.md says of a new DEVICE_KEY."""

import base64
import json

from redis.asyncio import Redis

from core.kinds import DEFAULT_KINDS
from decoder.batch import BatchDecoder
from decoder.devices import DeviceHasher
from documents.document import document_id
from geofence import Geofence
from state.presence import presence_key
from tests.conftest import NOON
from tests.decoder.conftest import LIBRARY, Apply, raw
from tests.decoder.counters import counted_windows

MINUTE = 60_000


def test_a_position_that_is_sent_again_after_a_rotation_is_another_document_of_another_device(fence: Geofence) -> None:
    feature = {
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": list(LIBRARY)},
        "properties": {"device_id": "my-phone", "timestamp": NOON},
    }
    message = raw(base64.b64encode(json.dumps(feature).encode()))
    before, again, after = (
        BatchDecoder(kinds=DEFAULT_KINDS, fence=fence, hasher=DeviceHasher(key), partitions=1)
        .decode([message])
        .positions[0]
        for key in (b"a" * 32, b"a" * 32, b"b" * 32)
    )
    assert document_id(before) == document_id(again) != document_id(after)
    assert before.device != after.device


async def test_a_window_that_spans_a_rotation_counts_a_device_twice_and_presence_does_too(
    redis_client: Redis, apply: Apply, fence: Geofence
) -> None:
    for key, at in ((b"a" * 32, NOON), (b"b" * 32, NOON + MINUTE)):
        feature = {
            "type": "Feature",
            "geometry": {"type": "Point", "coordinates": list(LIBRARY)},
            "properties": {"device_id": "my-phone", "timestamp": at},
        }
        decoder = BatchDecoder(kinds=DEFAULT_KINDS, fence=fence, hasher=DeviceHasher(key), partitions=1)
        await apply(decoder.decode([raw(base64.b64encode(json.dumps(feature).encode()), received_at=at)]))

    async def devices(width: str, start: int) -> int:
        return (await counted_windows(redis_client))[f"{width}:{start}:campus:car"]

    assert [await devices("1m", NOON), await devices("1m", NOON + MINUTE)] == [1, 1]
    assert [await devices("5m", NOON), await devices("1h", NOON), await devices("1d", NOON - 12 * 60 * MINUTE)] == [
        2
    ] * 3
    assert await redis_client.zcard(presence_key("{0}", "campus", "car")) == 2
