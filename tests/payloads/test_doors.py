"""Every variant through every door: over MQTT, over HTTP, and out of the dead letters once more."""

import httpx
import pytest
from redis.asyncio import Redis

from core.errors import Reason
from core.kinds import DEFAULT_KINDS
from core.messages import DeadLetter, Position, RawMessage
from decoder.batch import Batch, BatchDecoder
from geofence import Geofence
from runtime.devices import DeviceHasher
from state.dead_letters import DeadLetters, Found, Which
from tests.api.conftest import Parts, app, campus, client, documents, key_for, parts, settings, store
from tests.conftest import RAW
from tests.kinds_of_tests import MOBILE
from tests.payloads.variants import NOON, VARIANTS, Right, Seen
from tests.raw_streams import add_dead_letters, raw_messages

__all__ = ["app", "campus", "client", "documents", "parts", "settings", "store"]

HASHER = DeviceHasher(b"k" * 32)


@pytest.fixture
def decoder(parts: Parts) -> BatchDecoder:
    return BatchDecoder(kinds=DEFAULT_KINDS, fence=Geofence(parts.campus), hasher=HASHER, partitions=1)


def assert_right(batch: Batch, right: Right, size: int) -> None:
    """A batch of one message came to what is right."""
    assert [seen(position) for position in batch.positions] == [
        each._replace(device=HASHER.hash(MOBILE, each.device)) for each in right.seen
    ]
    assert batch.totals["outside"] == right.outside
    assert batch.totals["ignored"] == right.ignored
    assert [letter.reason.value for letter in batch.dead] == [reason for _, reason, _ in right.refused]
    for letter, (index, _, word) in zip(batch.dead, right.refused, strict=True):
        assert word in letter.detail
        assert index is not None or letter.size == size


def seen(position: Position) -> Seen:
    assert position.kind == MOBILE
    return Seen(
        position.device,
        position.observed_at,
        position.accuracy,
        position.speed,
        position.heading,
        position.altitude,
        (position.longitude, position.latitude),
    )


def test_over_mqtt(decoder: BatchDecoder, subtests: pytest.Subtests) -> None:
    for name, (payload, right) in VARIANTS.items():
        with subtests.test(name):
            message = RawMessage("mobile-iotp/x", "north gate", "gateway", NOON, payload)
            assert_right(decoder.decode([message]), right, len(payload))


async def test_over_http_and_through_the_decoder(
    client: httpx.AsyncClient, redis_client: Redis, decoder: BatchDecoder, subtests: pytest.Subtests
) -> None:
    client.headers.update(await key_for(redis_client, "positions:write"))
    for name, (payload, right) in VARIANTS.items():
        await redis_client.delete(RAW)
        with subtests.test(name):
            answer = await client.post("/v1/positions?kind=mobile", content=payload)
            found, kept = answer.json(), await raw_messages(redis_client)
            taken = len(right.seen) + right.outside
            # What these apps would send again for ever is taken, and becomes a dead letter.
            if right.refused and not taken and not name.startswith(("OwnTracks", "Overland")):
                large = right.refused[0][1] == "too_large"
                assert answer.status_code == (413 if large else 422)
                assert not kept
                told = [] if large else found["errors"]
                assert large or [(each["index"], each["reason"]) for each in told] == [
                    (index, reason) for index, reason, _ in right.refused
                ]
            else:
                assert answer.status_code == 202, answer.text
                told = found["refused"]
                assert (found["taken"], found["ignored"]) == (taken, right.ignored)
                assert [(each["index"], each["reason"]) for each in told] == [
                    (index or 0, reason) for index, reason, _ in right.refused
                ]
                assert len(kept) == (1 if taken or right.refused else 0)
            for each, (_, _, word) in zip(told, right.refused, strict=False):
                assert word in each["detail"]
            if kept:
                assert_right(decoder.decode(kept), right, len(payload))


async def test_out_of_the_dead_letters(redis_client: Redis, decoder: BatchDecoder, subtests: pytest.Subtests) -> None:
    letters = DeadLetters(redis_client, partitions=1)
    for name, (payload, right) in VARIANTS.items():
        await redis_client.delete(RAW)
        with subtests.test(name):
            # As a version that could not read it has left it.
            left = DeadLetter(
                Reason.NOT_BASE64, "", "mobile-iotp", NOON, payload=payload, user="north gate", role="gateway"
            )
            await add_dead_letters(redis_client, left)
            found: list[Found] = [each async for each in letters.newest(Which())]
            assert await letters.replay(found) == 1
            assert_right(decoder.decode(await raw_messages(redis_client)), right, len(payload))


def test_a_position_that_is_accurate_to_17_kilometres_is_in_no_zone(decoder: BatchDecoder) -> None:
    payload, _ = VARIANTS["accuracy 17000"]
    [position] = decoder.decode([RawMessage("mobile-iotp/x", "north gate", "gateway", NOON, payload)]).positions
    assert (position.zones, position.inaccurate) == ((), True)
