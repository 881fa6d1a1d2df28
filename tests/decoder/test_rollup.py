from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from redis.asyncio import Redis

from core import streams
from core.clock import Clock
from core.errors import Unavailable
from core.messages import Kind
from decoder import retrying
from decoder.batch import Batch
from decoder.metrics import DecoderMetrics
from decoder.rollup import LEASE_MS, Rollup
from tests.conftest import NOON
from tests.decoder.conftest import Apply, HandClock, position
from timeseries import OccupancyPoint, OccupancyStore, TimeseriesSettings, Width, open_store

MINUTE = f"1m:{NOON}:campus:car"


class StubStore:
    """A store that remembers what is written, and does something first."""

    def __init__(self) -> None:
        self.written: dict[str, int] = {}
        self.before: Callable[[], object] | None = None

    async def setup(self) -> None: ...

    async def write(self, points: Sequence[OccupancyPoint]) -> None:
        if self.before is not None:
            act, self.before = self.before, None
            await act()  # type: ignore[misc]
        self.written |= {point.window.member: point.devices for point in points}

    async def history(self, *, zone: str, kind: Kind, width: Width, start: int, end: int) -> list[OccupancyPoint]:
        raise NotImplementedError

    async def extent(self, zone: str, kind: Kind, width: Width) -> tuple[int, int] | None:
        raise NotImplementedError


@pytest.fixture
def store() -> StubStore:
    return StubStore()


def roller(client: Redis, store: OccupancyStore, clock: Clock, metrics: DecoderMetrics) -> Rollup:
    return Rollup(client=client, store=store, clock=clock, metrics=metrics, batch_size=100)


async def observed(apply: Apply, *devices: str) -> None:
    await apply(Batch(positions=[position(device, NOON) for device in devices]))


async def test_a_dirty_window_is_written_once(
    redis_client: Redis, apply: Apply, store: StubStore, clock: HandClock, metrics: DecoderMetrics
) -> None:
    await observed(apply, "a", "b")
    rollup = roller(redis_client, store, clock, metrics)
    assert await rollup.step() == len(Width)
    assert store.written[MINUTE] == 2
    assert await redis_client.zcard(streams.DIRTY_WINDOWS) == 0
    assert await rollup.step() == 0


async def test_a_change_while_a_window_is_written_is_written_afterwards(
    redis_client: Redis, apply: Apply, store: StubStore, clock: HandClock, metrics: DecoderMetrics
) -> None:
    await observed(apply, "a")
    store.before = lambda: observed(apply, "b")
    rollup = roller(redis_client, store, clock, metrics)
    await rollup.step()
    assert store.written[MINUTE] == 1
    await rollup.step()
    assert store.written[MINUTE] == 2
    assert await redis_client.zcard(streams.DIRTY_WINDOWS) == 0


async def test_a_claimed_window_is_left_alone_until_the_claim_lapses(
    redis_client: Redis, apply: Apply, store: StubStore, clock: HandClock, metrics: DecoderMetrics
) -> None:
    await observed(apply, "a")
    other = roller(redis_client, StubStore(), clock, metrics)
    seen: list[int] = []

    async def look() -> None:
        seen.append(await other.step())
        raise KeyboardInterrupt  # this process dies here

    store.before = look
    with pytest.raises(KeyboardInterrupt):
        await roller(redis_client, store, clock, metrics).step()
    assert seen == [0]
    clock.now += LEASE_MS
    assert await other.step() == len(Width)


async def test_a_store_that_is_away_delays_a_window_and_the_newest_count_is_written(
    redis_client: Redis,
    apply: Apply,
    store: StubStore,
    clock: HandClock,
    metrics: DecoderMetrics,
) -> None:
    await observed(apply, "a")

    async def away() -> None:
        await observed(apply, "b")
        raise Unavailable("out for lunch", retry_after=0.001)

    store.before = away
    await roller(redis_client, store, clock, metrics).step()
    assert store.written[MINUTE] == 2
    assert await redis_client.zcard(streams.DIRTY_WINDOWS) == 0


async def test_a_window_whose_set_has_lapsed_is_not_written_as_zero(
    redis_client: Redis, apply: Apply, store: StubStore, clock: HandClock, metrics: DecoderMetrics
) -> None:
    await observed(apply, "a")
    await redis_client.delete(streams.window(MINUTE))
    await roller(redis_client, store, clock, metrics).step()
    assert MINUTE not in store.written
    assert await redis_client.zcard(streams.DIRTY_WINDOWS) == 0


async def test_the_embedded_store_holds_what_was_rolled_up(
    redis_client: Redis, apply: Apply, clock: HandClock, metrics: DecoderMetrics, tmp_path: Path
) -> None:
    await observed(apply, "a", "b", "c")
    async with open_store(TimeseriesSettings(data_dir=tmp_path)) as store:
        await store.setup()
        await roller(redis_client, store, clock, metrics).step()
        (point,) = await store.history(zone="campus", kind=Kind.CAR, width=Width.MINUTE, start=NOON, end=NOON + 60_000)
    assert point.devices == 3


async def test_a_wait_is_told_once_and_ends(metrics: DecoderMetrics, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrying, "WAIT_MAX_SECONDS", 0.01)
    answers: list[Exception | int] = [Unavailable("one", retry_after=0.001), Unavailable("two", retry_after=0.001), 7]

    async def work() -> int:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            assert metrics.waiting is None or "waits" in metrics.waiting
            raise answer
        assert metrics.waiting == "archive waits: two"
        return answer

    assert await retrying.until_available("archive", metrics, work) == 7
    assert metrics.waiting is None


async def test_an_error_that_is_not_a_wait_is_not_tried_again(metrics: DecoderMetrics) -> None:
    async def work() -> None:
        raise ValueError("a defect")

    with pytest.raises(ValueError, match="a defect"):
        await retrying.until_available("archive", metrics, work)
