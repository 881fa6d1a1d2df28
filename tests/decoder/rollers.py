"""Several rollers that go on one call at a time, in an order of the test's choice; any of them can die at any call."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar, cast
from zoneinfo import ZoneInfo

import redis.asyncio.client
from redis.asyncio import Redis

from core.errors import UnansweredError, UnavailableError
from core.kinds import DEFAULT_KINDS
from core.windows import Width, Window, window_end
from decoder.metrics import DecoderMetrics
from decoder.rollup import Rollup
from state.dirty_windows import due_ms, keys_of, owner_of, waiting
from state.slots import tag
from state.windows import counter
from tests.conftest import NOON
from tests.kinds_of_tests import CAR
from timeseries import OccupancyPoint, OccupancyStore, Undone, Written

LEASE = 60_000
EVERY = 2000
DUBLIN = ZoneInfo("Europe/Dublin")
WINDOWS = [Window(Width.MINUTE, NOON - 60_000, "kemmy", CAR), Window(Width.HOUR, NOON, "campus", CAR)]
"""One that has ended, and one that is open."""
Answer = TypeVar("Answer")


class Gate:
    """Where calls wait until one of them is let through."""

    def __init__(self) -> None:
        self._calls: list[tuple[str, asyncio.Future[None], asyncio.Future[None]]] = []

    @property
    def next(self) -> str | None:
        """The name of the call that has waited longest."""
        return self._calls[0][0] if self._calls else None

    async def __call__(self, name: str, call: Callable[[], Awaitable[Answer]]) -> Answer:
        loop = asyncio.get_running_loop()
        opened, done = loop.create_future(), loop.create_future()
        self._calls.append((name, opened, done))
        await opened
        try:
            return await call()
        finally:
            if not done.done():
                done.set_result(None)

    async def open(self) -> None:
        """Let one call through, and wait until it has its answer."""
        _, opened, done = self._calls.pop(0)
        opened.set_result(None)
        await done


class GatedRedis(Redis):
    """A client whose calls wait at a gate."""

    gate: Gate

    async def execute_command(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - as redis-py has it
        call = cast("Any", Redis.execute_command)
        return await self.gate(str(args[0]), lambda: call(self, *args, **options))

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> "_GatedPipeline":  # noqa: FBT001, FBT002 - as redis-py has it
        pipeline = _GatedPipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint)
        pipeline.gate = self.gate
        return pipeline


class _GatedPipeline(redis.asyncio.client.Pipeline):
    gate: Gate

    async def execute(self, raise_on_error: bool = True) -> list[Any]:  # noqa: FBT001, FBT002 - as redis-py has it
        call = redis.asyncio.client.Pipeline.execute
        return await self.gate("pipeline", lambda: call(self, raise_on_error))


class World:
    """What was counted, what the store holds, and the time."""

    def __init__(self, client: Redis, partitions: int) -> None:
        self.client = client
        self.partitions = partitions
        self.now = NOON
        self.counted = dict.fromkeys(WINDOWS, 0)
        self.stored: dict[Window, int] = {}
        self.writes: list[tuple[Window, int, int]] = []
        """Each window, when, and the count."""
        self.in_flight: list[list[OccupancyPoint]] = []
        """Writes without an answer that may be done yet."""
        self.lapsed = False
        """Whether somebody may have gone on with a claim that had lapsed."""

    async def change(self, number: int, partition: int) -> None:
        """A device is seen in a window for the first time, as `state.effects` has it."""
        window = WINDOWS[number % len(WINDOWS)]
        partition %= self.partitions
        self.counted[window] += 1
        place = counter(window, tag(partition, self.partitions), 0)
        due = due_ms(
            end=window_end(window.width, window.start, DUBLIN),
            now=self.now,
            every=EVERY,
            owned=owner_of(f"{window.zone}:{window.kind}", self.partitions) == partition,
        )
        async with self.client.pipeline(transaction=True) as pipeline:
            pipeline.hincrby(place.key, place.field, 1)
            pipeline.zadd(keys_of(partition, self.partitions).dirty, {window.member: due}, nx=True)
            await pipeline.execute()

    def write(self, points: Sequence[OccupancyPoint]) -> None:
        for point in points:
            # Where every claim was kept, nobody ever replaces a newer sum.
            assert self.lapsed or point.devices >= self.stored.get(point.window, 0)
            self.stored[point.window] = point.devices
            self.writes.append((point.window, self.now, point.devices))

    def pass_time(self, milliseconds: int, *, late: bool) -> None:
        """What is in flight is written before a minute has passed, or never."""
        if milliseconds >= LEASE:
            self.lapsed = True
            for points in self.in_flight:
                if late:
                    self.write(points)
            self.in_flight.clear()
        self.now += milliseconds


class Roller:
    """One of them; `answer` is what the store says next: ok, away or silent."""

    def __init__(self, world: World, url: str) -> None:
        self._world = world
        self._gate = Gate()
        client = cast("GatedRedis", GatedRedis.from_url(url))
        client.gate = self._gate
        self._client = client
        self.answer = "ok"
        self._points: Sequence[OccupancyPoint] = ()
        self._rollup = Rollup(
            kinds=DEFAULT_KINDS,
            client=client,
            store=cast("OccupancyStore", self),
            clock=lambda: world.now,
            metrics=DecoderMetrics(),
            partitions=world.partitions,
            timezone=DUBLIN,
            every_ms=EVERY,
            batch_size=4,
            dead_letters_max=10,
        )
        self._task: asyncio.Task[int] | None = None
        self._began = world.now

    async def write(self, points: Sequence[OccupancyPoint]) -> Written:
        self._points = points
        return await self._gate("write", self._write)

    async def _write(self) -> Written:
        points, self._points = self._points, ()
        windows = [point.window for point in points]
        if self.answer == "away":
            return Written(undone=[Undone(windows, UnavailableError("away"))])
        if self.answer == "silent":
            self._world.in_flight.append([*points])
            return Written(undone=[Undone(windows, UnansweredError("silence"))])
        self._world.write(points)
        return Written()

    async def go_on(self) -> bool:
        """Make one call; False where an attempt has found nothing to do."""
        if self._task is None:
            self._began = self._world.now
            self._task = asyncio.ensure_future(self._rollup._attempt())
        await self._at_gate()
        if not self._task.done():
            await self._gate.open()
            await self._at_gate()
        if not self._task.done():
            return True
        task, self._task = self._task, None
        try:
            return bool(task.result())
        except UnavailableError:
            return True

    async def _at_gate(self) -> None:
        while self._gate.next is None and self._task is not None and not self._task.done():  # noqa: ASYNC110 - no event
            await asyncio.sleep(0)

    async def finish(self) -> bool:
        """Go on until an attempt has ended; whether there was anything to do."""
        found = await self.go_on()
        while self._task is not None:
            found = await self.go_on()
        return found

    async def go_to_write(self) -> None:
        """Go on until counts are read, and about to be written; or the attempt has ended."""
        await self.go_on()
        while self._task is not None and self._gate.next != "write":
            await self.go_on()

    async def die(self, *, after_writing: bool) -> None:
        """Its process ends at the call that it is about to make; the store may have got what was on its way."""
        # A store takes less than a minute: what comes later is not written any more.
        if after_writing and self._gate.next == "write" and self._world.now < self._began + LEASE:
            self._world.write(self._points)
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        await self._client.aclose()


async def until_nothing_waits(world: World, url: str) -> None:
    """A roller that nothing disturbs works off what is left, as time goes on."""
    last = Roller(world, url)
    for _ in range(20):
        while await last.finish():
            pass
        if not await waiting(world.client, world.partitions):
            break
        world.pass_time(LEASE + 1, late=True)
    await last.die(after_writing=False)
    assert await waiting(world.client, world.partitions) == 0
