"""Stage 3: dirty windows become points of the occupancy series (docs/decisions/0007-rolling-up.md)."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from typing import cast
from zoneinfo import ZoneInfo

import structlog

from core.clock import Clock
from core.errors import Reason, UnansweredError, UnavailableError
from core.kinds import KindId, Kinds
from core.messages import DeadLetter
from core.windows import window_end
from decoder.held_windows import HeldWindows
from decoder.metrics import DecoderMetrics
from decoder.stage_retry import StageRetry
from decoder.traces import RollupTraces
from runtime.service import Stop, pause
from state.client import Redis
from state.coverage import RecordedMinutes
from state.dirty_windows import Claim, DirtyWindows
from state.seen import KEEP_MS
from state.window_stream import ExportedWindow, WindowStream
from state.windows import WindowCounts
from timeseries import OccupancyPoint, OccupancyStore, Width, Window, Written, nominal_ms, stored_devices

GATHER_SECONDS = 0.5
"""How long windows that are due are gathered, so that they are written together."""
WRITERS = 2
"""Batches under way at the same time: one that gets no answer keeps no other from being written."""
LEASE_MS = 60_000
"""How long a claimed window is left alone: longer than the store may take, also for a batch that nobody waits for."""
PUT_OFF_MS = 10_000
"""How long windows wait that the store does not take now, while it takes others."""
CLOCKS_APART_MS = 2 * 3600 * 1000
"""A device's clock may be five minutes ahead; ours and that of Redis are not the same; and a day of counters may end an
hour before that of the campus (`state.windows.day_shift_ms`)."""
NAME_BYTES = 120
"""Of a name that is none, in its dead letter."""

_log = structlog.stdlib.get_logger("rollup")


class Rollup:
    """Writes the windows that changed; several of them, in several processes, share the work."""

    def __init__(
        self,
        *,
        client: Redis,
        store: OccupancyStore,
        kinds: Kinds,
        clock: Clock,
        metrics: DecoderMetrics,
        partitions: int,
        timezone: ZoneInfo,
        every_ms: int,
        batch_size: int,
        dead_letters_max: int,
        traces: RollupTraces | None = None,
        export: WindowStream | None = None,
    ) -> None:
        """`timezone` is whose days the 1d windows are; `every_ms` how often an open window is written at the most.

        `export` is told of all that is written.
        """
        self._dirty = DirtyWindows(client=client, partitions=partitions, timezone=timezone, every_ms=every_ms)
        self._counts = WindowCounts(client=client, partitions=partitions, timezone=timezone)
        self._recorded = RecordedMinutes(client)
        self._kinds = kinds
        self._store = store
        self._clock = clock
        self._metrics = metrics
        self._retry = StageRetry("rollup", metrics)
        self._batch_size = batch_size
        self._dead_letters_max = dead_letters_max
        self._held = HeldWindows(metrics)
        self._turn = asyncio.Lock()
        self._traces = traces
        self._export = export
        self._timezone = timezone

    async def run(self, stop: Stop) -> None:
        """Write until `stop`; what changed before it is written by whoever runs next."""
        async with asyncio.TaskGroup() as writers:
            for _ in range(WRITERS):
                writers.create_task(self._write_until(stop))

    async def _write_until(self, stop: Stop) -> None:
        task = cast("asyncio.Task[None]", asyncio.current_task())
        # In Python 3.11 redis-py can swallow a cancellation (cpython issue 86296), and a TaskGroup cancels once.
        while not stop.is_set() and not task.cancelling():
            if not await self.step():
                # One of them looks at a time, so that changes are gathered for as long as with a single one.
                async with self._turn:
                    await pause(GATHER_SECONDS, stop)

    async def step(self) -> int:
        """Roll up one batch of windows; how many there were. Waits while a store is away."""
        return await self._retry.until_available(self._attempt)

    async def _attempt(self) -> int:
        async with self._turn:
            now = self._clock()
            self._held.forget(now)
            claim = await self._dirty.claim(now=now, until=now + LEASE_MS, limit=self._batch_size)
        if not len(claim):
            return 0
        found = len(claim)
        try:
            await self._dirty.hand_over(claim)
            # What is counted later is not in what is read now.
            newest = self._metrics.newest_counted
            counted, lapsed = await self._read(claim)
            points = await self._not_lowered(counted, now)
            # Before the claim ends: what dies in between marks them once more.
            await self._recorded.mark(_minutes(points))
            written = await self._write(points, claim.until)
            await self._tell(points, written)
        except UnavailableError:
            # Counts that are old by the time the store is back must not be written: they are claimed anew.
            now = self._clock()
            await self._dirty.release(claim, claim.members, now=now, due=now)
            raise
        await self._finish(claim, written, len(points))
        if claim.members:
            self._metrics.batch_entries.labels("rollup").observe(len(claim.members))
            self._metrics.finished("rollup", newest, self._clock())
        self._count_lapsed(lapsed)
        if self._traces and points:
            await self._traces.stored(_stored(points, written), began=now)
        return found

    async def _read(self, claim: Claim) -> tuple[list[OccupancyPoint], int]:
        """What is counted in the windows of a claim, and of how many of them nothing is known any more.

        Names that this version does not know, and those whose count is no number, become dead letters: they are taken
        out of the claim.
        """
        windows: dict[bytes, Window] = {}
        for member in claim.members:
            with suppress(ValueError):
                window = Window.parse(member.decode())
                self._kinds.parse(window.kind)
                windows[member] = window
        counts = await self._counts.read([*windows.values()])
        # What has lapsed while its window was waiting says nothing: what is written already stays.
        points = [
            OccupancyPoint(window, count) for window, count in zip(windows.values(), counts, strict=True) if count > 0
        ]
        readable = [member for member, count in zip(windows, counts, strict=True) if count >= 0]
        if len(readable) < len(claim.members):
            await self._dead_letter_unreadable(set(claim.members).difference(readable))
            claim.members = readable
        return points, counts.count(0)

    async def _write(self, points: list[OccupancyPoint], until: int) -> Written:
        if self._clock() > until - LEASE_MS // 2:
            # The claim could lapse while they are written.
            raise UnavailableError("to read what was counted took half a minute")
        with self._metrics.asking("timeseries", "write"):
            written = await self._store.write(points)
        undone = sum(len(each.windows) for each in written.undone)
        if undone:
            self._metrics.failed("timeseries", "write")
        self._metrics.refused.inc(written.expired + len(written.refused))
        self._metrics.rolled_up.inc(len(points) - undone - written.expired - len(written.refused))
        return written

    async def _tell(self, points: list[OccupancyPoint], written: Written) -> None:
        """Hand on what is written to those who export it: before the claim ends, so that nothing of it is missed."""
        if self._export is None:
            return
        stored, now = _stored(points, written), self._clock()
        exported = [
            ExportedWindow(
                point.window.zone,
                point.window.kind,
                point.window.width.value,
                point.window.start,
                window_end(point.window.width, point.window.start, self._timezone),
                point.devices,
                now,
            )
            for point in points
            if point.window.member in stored
        ]
        if exported:
            self._metrics.cut_windows.inc(await self._export.append(exported))

    async def _not_lowered(self, points: list[OccupancyPoint], now: int) -> list[OccupancyPoint]:
        """The points without those that hold fewer devices than the store has, where counting may have begun anew."""
        late = [point.window for point in points if _may_have_lapsed(point.window, now)]
        if not late:
            return points
        with self._metrics.asking("timeseries", "read"):
            stored = await stored_devices(self._store, late)
        return [point for point in points if point.devices > stored.get(point.window, -1)]

    async def _finish(self, claim: Claim, written: Written, points: int) -> None:
        """Settle what is done; have the rest wait.

        Raises UnavailableError where the whole stage is to wait a moment.
        """
        in_flight = _members(each.windows for each in written.undone if isinstance(each.error, UnansweredError))
        later = _members(each.windows for each in written.undone) - in_flight
        refused = {window.member.encode(): words for window, words in written.refused.items()}
        now = self._clock()
        if written.undone and len(in_flight) + len(later) == points:
            # Nothing at all was taken.
            waiting = [member for member in claim.members if member not in in_flight]
            await self._dirty.release(claim, waiting, now=now, due=now)
            await self._leave_in_flight(in_flight, written)
            _raise_first(written)
        not_done = in_flight | later | refused.keys()
        await self._dirty.settle(claim, [member for member in claim.members if member not in not_done], now=now)
        if refused:
            await self._dead_letter_refused(refused)
        if in_flight:
            await self._dirty.release(claim, later, now=now, due=now)
            await self._leave_in_flight(in_flight, written)
            _raise_first(written)
        if later:
            await self._dirty.release(claim, later, now=now, due=now + PUT_OFF_MS)
            self._held.hold(len(later), now + PUT_OFF_MS, str(written.undone[0].error))

    def _count_lapsed(self, lapsed: int) -> None:
        if lapsed:
            self._metrics.lapsed.inc(lapsed)
            _log.warning("windows lapsed before they were written", windows=lapsed)

    async def _dead_letter_refused(self, refused: dict[bytes, str]) -> None:
        await self._dead_letter(
            Reason.REJECTED_WINDOW,
            {member: f"the time-series store refused {member.decode()}: {words}" for member, words in refused.items()},
        )

    async def _dead_letter_unreadable(self, members: set[bytes]) -> None:
        await self._dead_letter(
            Reason.MALFORMED_WINDOW,
            {
                member: f"{repr(member[:NAME_BYTES])[1:]}, which has changed, is no window that this version knows"
                for member in sorted(members)
            },
        )

    async def _dead_letter(self, reason: Reason, details: dict[bytes, str]) -> None:
        """Make windows dead letters and take them off the list, both or neither; what is counted of them lapses."""
        now = self._clock()
        letters = {member: DeadLetter(reason, detail, "", now, payload=None) for member, detail in details.items()}
        await self._dirty.dead_letter(letters, self._dead_letters_max)
        self._metrics.dead.labels(reason.value).inc(len(letters))
        _log.error(
            "windows are dead letters", reason=reason.value, windows=len(letters), first=next(iter(details.values()))
        )

    async def _leave_in_flight(self, members: set[bytes], written: Written) -> None:
        # The store may write these counts yet: nobody is to write newer ones before it has.
        if members:
            until = self._clock() + LEASE_MS
            await self._dirty.hold(members, until)
            reason = next(str(each.error) for each in written.undone if isinstance(each.error, UnansweredError))
            self._held.hold(len(members), until, reason)


def _minutes(points: Iterable[OccupancyPoint]) -> Iterable[tuple[KindId, int]]:
    """The minutes in which somebody was seen, by kind."""
    return {(point.window.kind, point.window.start) for point in points if point.window.width is Width.MINUTE}


def _members(groups: Iterable[list[Window]]) -> set[bytes]:
    return {window.member.encode() for windows in groups for window in windows}


def _stored(points: Iterable[OccupancyPoint], written: Written) -> set[str]:
    undone = {window for each in written.undone for window in each.windows} | written.refused.keys()
    return {point.window.member for point in points if point.window not in undone}


def _raise_first(written: Written) -> None:
    """Raise what the stage waits for: not for as long as what is in flight, for others can go on."""
    error = written.undone[0].error
    raise UnavailableError(str(error), retry_after=error.retry_after) from error


def _may_have_lapsed(window: Window, now: int) -> bool:
    """Whether counting can have begun anew: what was counted first may have gone."""
    return window.start + nominal_ms[window.width] + KEEP_MS - CLOCKS_APART_MS <= now
