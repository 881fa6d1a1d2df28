"""Stage 3: dirty windows become points of the occupancy series (docs/decisions/0007-rolling-up.md)."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, cast

import structlog

from core.clock import Clock
from core.errors import Reason, Unanswered, Unavailable
from core.messages import DeadLetter, Kind
from core.runtime import Stop, pause
from decoder.coverage import mark_recorded
from decoder.dead_letters import bury
from decoder.effects import script
from decoder.held import HeldWindows
from decoder.metrics import DecoderMetrics
from decoder.retrying import until_available
from decoder.spans import WINDOW_LIFE_MS
from state import streams
from state.client import Redis, redis_errors
from timeseries import OccupancyPoint, OccupancyStore, Width, Window, Written, nominal_ms, stored_devices

EVERY_SECONDS = 0.5
"""How long changes are gathered: a window that changes all the time is written twice a second."""
WRITERS = 2
"""Batches under way at the same time: one that gets no answer keeps no other from being written."""
LEASE_MS = 60_000
"""How long a claimed window is left alone: longer than the store may take, also for a batch that nobody waits for."""
PUT_OFF_MS = 10_000
"""How long windows wait that the store does not take now, while it takes others."""
NOBODY = -1
"""No claim lasts until then: settling with it makes the windows due again."""
CLOCKS_APART_MS = 3600 * 1000
"""A device's clock may be five minutes ahead, and ours and that of Redis are not the same: an hour is plenty."""
NAME_BYTES = 120
"""Of a name that is none, in its dead letter."""

_log = structlog.stdlib.get_logger("rollup")


@dataclass(slots=True)
class _Claim:
    """Windows that nobody else writes for now."""

    at: int
    until: int
    """When the claim lapses."""
    members: list[bytes] = field(default_factory=list)
    points: list[OccupancyPoint] = field(default_factory=list)
    """What is to be written of them."""
    lapsed: int = 0
    """Members whose set has lapsed."""
    unreadable: list[bytes] = field(default_factory=list)
    """Names that are none of a window that this version knows, with a set or without."""


class Rollup:
    """Writes the windows that changed; several of them, in several processes, share the work."""

    def __init__(
        self,
        *,
        client: Redis,
        store: OccupancyStore,
        clock: Clock,
        metrics: DecoderMetrics,
        batch_size: int,
        dead_letters_max: int,
    ) -> None:
        self._client = client
        self._store = store
        self._clock = clock
        self._metrics = metrics
        self._batch_size = batch_size
        self._dead_letters_max = dead_letters_max
        self._claim = client.register_script(script("claim"))
        self._settle = client.register_script(script("settle"))
        self._held = HeldWindows(metrics)
        self._turn = asyncio.Lock()

    async def run(self, stop: Stop) -> None:
        """Write until `stop`; what changed before it is written by whoever runs next."""
        async with asyncio.TaskGroup() as writers:
            for _ in range(WRITERS):
                writers.create_task(self._write_until(stop))

    async def _write_until(self, stop: Stop) -> None:
        while not stop.is_set():
            if not await self.step():
                # One of them looks at a time, so that changes are gathered for as long as with a single one.
                async with self._turn:
                    await pause(EVERY_SECONDS, stop)

    async def step(self) -> int:
        """Roll up one batch of windows; how many there were. Waits while a store is away."""
        return await until_available("rollup", self._metrics, self._attempt)

    async def _attempt(self) -> int:
        async with self._turn:
            claim = await self._claim_due()
        if claim.unreadable:
            await self._bury_unreadable(claim)
        if not claim.members:
            return len(claim.unreadable)
        try:
            claim.points = await self._not_lowered(claim)
            # Before the claim ends: what dies in between marks them once more.
            await mark_recorded(self._client, _minutes(claim.points))
            written = await self._write(claim.points)
        except Unavailable:
            # Counts that are old by the time the store is back must not be written: they are claimed anew.
            await self._end_claim(claim.members, NOBODY)
            raise
        await self._finish(claim, written)
        return len(claim.members) + len(claim.unreadable)

    async def _claim_due(self) -> _Claim:
        now = self._clock()
        self._held.forget(now)
        claim = _Claim(at=now, until=now + LEASE_MS)
        with redis_errors():
            claimed = cast("list[Any]", await self._claim(args=[now, claim.until, self._batch_size]))
        for member, devices in zip(claimed[::2], claimed[1::2], strict=True):
            try:
                window = Window.parse(member.decode())
            except ValueError:
                claim.unreadable.append(member)
                continue
            if devices < 0:
                claim.unreadable.append(member)
                continue
            claim.members.append(member)
            # A set that has lapsed while its window was waiting says nothing: what is written already stays.
            if devices:
                claim.points.append(OccupancyPoint(window=window, devices=devices))
            else:
                claim.lapsed += 1
        return claim

    async def _write(self, points: list[OccupancyPoint]) -> Written:
        with self._metrics.asking("timeseries", "write"):
            written = await self._store.write(points)
        undone = sum(len(each.windows) for each in written.undone)
        if undone:
            self._metrics.failed("timeseries", "write")
        self._metrics.refused.inc(written.expired + len(written.refused))
        self._metrics.rolled_up.inc(len(points) - undone - written.expired - len(written.refused))
        return written

    async def _not_lowered(self, claim: _Claim) -> list[OccupancyPoint]:
        """The points without those that hold fewer devices than the store has, where the set may have begun anew."""
        late = [point.window for point in claim.points if _may_have_lapsed(point.window, claim.at)]
        if not late:
            return claim.points
        with self._metrics.asking("timeseries", "read"):
            stored = await stored_devices(self._store, late)
        return [point for point in claim.points if point.devices > stored.get(point.window, -1)]

    async def _finish(self, claim: _Claim, written: Written) -> None:
        """Settle what is done; have the rest wait. Raises Unavailable where the whole stage is to wait a moment."""
        in_flight = _members(each.windows for each in written.undone if isinstance(each.error, Unanswered))
        later = _members(each.windows for each in written.undone) - in_flight
        refused = {window.member.encode(): words for window, words in written.refused.items()}
        if written.undone and len(in_flight) + len(later) == len(claim.points):
            # Nothing at all was taken.
            await self._end_claim([member for member in claim.members if member not in in_flight], NOBODY)
            await self._leave_in_flight(in_flight, written)
            _raise_first(written)
        not_done = in_flight | later | refused.keys()
        done = [member for member in claim.members if member not in not_done]
        # Near its end the claim may have lapsed by the clock of who marks a change, and then the mark does not show.
        in_time = self._clock() < claim.until - LEASE_MS // 2
        await self._end_claim(done, claim.until if in_time else NOBODY)
        if refused:
            await self._bury_refused(refused)
        self._metrics.batch_entries.labels("rollup").observe(len(claim.members))
        self._count_lapsed(claim.lapsed)
        if in_flight:
            await self._end_claim([*later], NOBODY)
            await self._leave_in_flight(in_flight, written)
            _raise_first(written)
        if later:
            await self._leave_alone(later, PUT_OFF_MS, str(written.undone[0].error))

    def _count_lapsed(self, lapsed: int) -> None:
        if lapsed:
            self._metrics.lapsed.inc(lapsed)
            _log.warning("windows lapsed before they were written", windows=lapsed)

    async def _bury_refused(self, refused: dict[bytes, str]) -> None:
        await self._bury(
            Reason.REJECTED_WINDOW,
            {member: f"the time-series store refused {member.decode()}: {words}" for member, words in refused.items()},
        )

    async def _bury_unreadable(self, claim: _Claim) -> None:
        await self._bury(
            Reason.MALFORMED_WINDOW,
            {
                member: f"{repr(member[:NAME_BYTES])[1:]} in windows:dirty is no window that this version knows"
                for member in claim.unreadable
            },
        )

    async def _bury(self, reason: Reason, details: dict[bytes, str]) -> None:
        """Bury windows and take them off the list, both or neither; what their sets hold lapses."""
        letters = [DeadLetter(reason, detail, "", self._clock(), payload=None) for detail in details.values()]
        async with self._client.pipeline(transaction=True) as pipeline:
            bury(pipeline, letters, self._dead_letters_max)
            pipeline.zrem(streams.DIRTY_WINDOWS, *details)
            with redis_errors():
                await pipeline.execute()
        self._metrics.dead.labels(reason.value).inc(len(letters))
        _log.error("windows are dead letters", reason=reason.value, windows=len(letters), first=letters[0].detail)

    async def _leave_in_flight(self, members: set[bytes], written: Written) -> None:
        # The store may write these counts yet: nobody is to write newer ones before it has.
        if members:
            reason = next(str(each.error) for each in written.undone if isinstance(each.error, Unanswered))
            await self._leave_alone(members, LEASE_MS, reason, longer=True)

    async def _leave_alone(self, members: set[bytes], milliseconds: int, reason: str, *, longer: bool = False) -> None:
        """Have them wait from now on; `longer`: if they do not wait for longer already."""
        until = self._clock() + milliseconds
        with redis_errors():
            await self._client.zadd(streams.DIRTY_WINDOWS, dict.fromkeys(members, until), xx=True, gt=longer)
        self._held.hold(len(members), until, reason)

    async def _end_claim(self, members: list[bytes], until: int) -> None:
        if members:
            with redis_errors():
                await self._settle(args=[self._clock(), until, *members])


def _minutes(points: Iterable[OccupancyPoint]) -> Iterable[tuple[Kind, int]]:
    """The minutes in which somebody was seen, by kind."""
    return {(point.window.kind, point.window.start) for point in points if point.window.width is Width.MINUTE}


def _members(groups: Iterable[list[Window]]) -> set[bytes]:
    return {window.member.encode() for windows in groups for window in windows}


def _raise_first(written: Written) -> None:
    """Raise what the stage waits for: not for as long as what is in flight, for others can go on."""
    error = written.undone[0].error
    raise Unavailable(str(error), retry_after=error.retry_after) from error


def _may_have_lapsed(window: Window, now: int) -> bool:
    """Whether the window's set can be a second one: its first may have gone, and its devices with it."""
    return window.start + nominal_ms[window.width] + WINDOW_LIFE_MS - CLOCKS_APART_MS <= now
