"""A decoder in the test's own process: a small campus, stores in a folder, a clock that is set by hand."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from redis.asyncio import Redis

from core.kinds import DEFAULT_KINDS, KindId
from core.messages import DeadLetter, Position, RawMessage
from decoder.batch import Batch, BatchDecoder
from decoder.campus import CampusFollower
from decoder.devices import DeviceHasher
from decoder.effects import Effects
from decoder.metrics import DecoderMetrics
from decoder.observe import Observer
from geofence import Geofence, load_campus
from state.dead_letters import DeadLetters, Which
from state.devices import Settling
from state.group import Group
from state.raw import Finisher, Part
from state.raw_group import RawGroup
from tests.conftest import NOON, RAW
from tests.kinds_of_tests import CAR

TTL = 300
HASHER = DeviceHasher(b"k" * 32)
LIBRARY = (-8.5734, 52.6733)


@dataclass(slots=True)
class HandClock:
    """A clock that stands still until it is moved; milliseconds."""

    now: int = NOON

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def metrics() -> DecoderMetrics:
    return DecoderMetrics()


@pytest.fixture(scope="session")
def fence() -> Geofence:
    return Geofence(load_campus(None))


@pytest.fixture
def decoder(fence: Geofence) -> BatchDecoder:
    return BatchDecoder(kinds=DEFAULT_KINDS, fence=fence, hasher=HASHER, partitions=1)


def effects_of(
    client: Redis,
    *,
    partitions: int = 1,
    zone: str = "Europe/Dublin",
    rollup_every: float = 0,
    settling: Settling | None = None,
) -> Effects:
    return Effects(
        kinds=DEFAULT_KINDS,
        client=client,
        partitions=partitions,
        zone=ZoneInfo(zone),
        away=HASHER.away,
        presence_ttl=TTL,
        rollup_every=rollup_every,
        dead_letters_max=100,
        implausible_speed=70,
        settling=settling,
    )


def finisher_of(client: Redis) -> Finisher:
    return Finisher(client=client, partitions=1, dead_letters_max=100)


@pytest.fixture
def effects(redis_client: Redis) -> Effects:
    return effects_of(redis_client)


@pytest.fixture
def follower(redis_client: Redis, decoder: BatchDecoder, metrics: DecoderMetrics) -> CampusFollower:
    return CampusFollower(
        kinds=DEFAULT_KINDS, client=redis_client, decoder=decoder, file=load_campus(None), metrics=metrics, partitions=1
    )


MakeObserver = Callable[..., Observer]


@pytest.fixture
def observer_of(
    redis_client: Redis,
    decoder: BatchDecoder,
    follower: CampusFollower,
    effects: Effects,
    clock: HandClock,
    metrics: DecoderMetrics,
) -> MakeObserver:
    """Makes the stage observe of the first partition; what is given takes the place of a part of it."""

    def make(**given: Any) -> Observer:
        parts: dict[str, Any] = {
            "partition": 0,
            "decoder": decoder,
            "campus": follower,
            "effects": effects,
            "finisher": finisher_of(redis_client),
            "clock": clock,
            "metrics": metrics,
        }
        return Observer(**parts | given)

    return make


async def finish(client: Redis, effects: Effects, batch: Batch, entry_ids: Sequence[bytes]) -> None:
    """All that a batch does, as the stage observe does it."""
    applied = await effects.apply(batch, now=NOON)
    await finisher_of(client).finish(
        0,
        [Part(entry_id, 0, None, 0) for entry_id in entry_ids],
        positions=batch.positions,
        implausible=applied.implausible,
        letters=batch.dead,
        totals=batch.totals,
    )


Apply = Callable[[Batch], Awaitable[None]]


@pytest.fixture
def apply(redis_client: Redis, effects: Effects, group_of: Callable[[str], Group]) -> Apply:
    """Gives a batch its effects, as if a message had just been read for it."""

    async def apply_batch(batch: Batch) -> None:
        group = group_of("applier")
        await group.create()
        await redis_client.xadd(RAW, {"n": 1})
        entry_ids = [entry_id for entry_id, _ in await group.read(1)]
        await finish(redis_client, effects, batch, entry_ids)

    return apply_batch


@pytest.fixture
def group_of(service_redis: Redis) -> Callable[[str], Group]:
    """A consumer of the group `observe` of the first partition, by its name."""

    def make(consumer: str) -> Group:
        return RawGroup(client=service_redis, partition=0, partitions=1, consumer=consumer, claim_after_ms=0)

    return make


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path


def raw(payload: bytes, *, topic: str = "car-iotp", received_at: int = NOON) -> RawMessage:
    return RawMessage(topic, "", "anonymous", received_at, payload)


def position(device: str, at: int, *zones: str, kind: KindId = CAR, place: tuple[float, float] = LIBRARY) -> Position:
    return Position(
        kind=kind,
        device=device,
        observed_at=at,
        received_at=NOON,
        longitude=place[0],
        latitude=place[1],
        zones=("campus", *zones),
        cell="gc3gsuxx",
    )


async def dead_letters(client: Redis) -> list[DeadLetter]:
    """Wherever they lie, the oldest first."""
    return [letter async for _, letter in DeadLetters(client, partitions=1).newest(Which())][::-1]
