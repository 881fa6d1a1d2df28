"""What waits for a target for too long is passed over for it, so that it does not fill Redis.

A stream is cut off behind all of its groups (`state/lua/trim.lua`). So a target that is away keeps all positions, until
brokers are pushed back (law 7, push back); after EXPORT_PATIENCE it is done without. Every process that reads positions
sees to that, also where no process runs the stage `export` any more.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Protocol

import structlog

from core.clock import Clock, format_rfc3339
from core.messages import decode_positions
from core.unreadable import UNREADABLE
from decoder.metrics import DecoderMetrics
from decoder.stage_retry import StageRetry
from lake.layout import GAPS
from runtime.service import Stop, pause
from state.client import Redis
from state.export_gaps import forget_gap, note_gaps, noted_gaps
from state.group import Entry, Group

EVERY_SECONDS = 60.0
ASKED_MS = 600_000
"""A consumer asks far more often, also while its target is away."""
UNASKED_MS = 3_600_000
"""How long nobody asks a group, before decoders without its target remove it: replacing all of them takes less."""
AT_ONCE = 100
"""Entries that are looked at before they are passed over."""
HOUR_MS = 3_600_000
LAST_OF_A_MILLISECOND = 2**64 - 1

_log = structlog.stdlib.get_logger("export")


class Gaps(Protocol):
    """Where gaps of the lake are told: the lake."""

    def put(self, path: str, data: bytes) -> None:
        """Store a file."""


class ExportPatience:
    """Passes over what has waited for too long, and notes what the lake lacks."""

    def __init__(
        self,
        *,
        client: Redis,
        groups: Mapping[str, Sequence[Group]],
        patience_ms: int,
        clock: Clock,
        metrics: DecoderMetrics,
    ) -> None:
        """`groups` are those of the stream `positions`, by target: one for each partition."""
        self._client = client
        self._groups = groups
        self._patience_ms = patience_ms
        self._clock = clock
        self._metrics = metrics
        self._retry = StageRetry("export-patience", metrics)

    async def run(self, stop: Stop) -> None:
        """Look until `stop`."""
        for group in (group for groups in self._groups.values() for group in groups):
            # What waits before the first exporter is there is to wait for it.
            await self._retry.until_available(group.create)
        while not stop.is_set():
            await self._retry.until_available(self.look)
            await pause(EVERY_SECONDS, stop)

    async def look(self) -> None:
        """Pass over what has waited for too long. Raises UnavailableError."""
        until = self._clock() - self._patience_ms
        for target, groups in self._groups.items():
            for group in groups:
                await self._pass_over(target, group, f"{max(until, 0)}-{LAST_OF_A_MILLISECOND}")

    async def _pass_over(self, target: str, group: Group, last: str) -> None:
        skipped, hours = 0, set[int]()
        while entries := await group.before(last, AT_ONCE):
            found = {hour for entry in entries for hour in _hours(entry)}
            if target == "parquet":
                # First: who dies in between notes them once more.
                await note_gaps(self._client, found)
            hours |= found
            skipped += self._count(target, await group.skip_before(entries[-1][0].decode()))
        # What was cut off by hand is in no answer, and pending all the same.
        skipped += self._count(target, await group.skip_before(last))
        if skipped:
            _log.error(
                "positions were passed over: the target was away for too long",
                target=target,
                entries=skipped,
                hours=[format_rfc3339(hour) for hour in sorted(hours)],
            )

    def _count(self, target: str, skipped: int) -> int:
        self._metrics.skipped.labels(target).inc(skipped)
        return skipped


class GapsMover:
    """Moves what is noted in Redis to the lake, where whoever fills it looks (`python -m analytics export --gaps`)."""

    def __init__(self, client: Redis, lake: Gaps, retry: StageRetry) -> None:
        self._client = client
        self._lake = lake
        self._retry = retry

    async def run(self, stop: Stop) -> None:
        """Move until `stop`."""
        while not stop.is_set():
            await self._retry.until_available(self.move)
            await pause(EVERY_SECONDS, stop)

    async def move(self) -> None:
        """Move all that is noted. Raises UnavailableError."""
        for hour in await noted_gaps(self._client):
            name = format_rfc3339(hour).replace(":", "-")
            gap = {"from": format_rfc3339(hour), "until": format_rfc3339(hour + HOUR_MS)}
            # There first: who dies in between moves it once more.
            await asyncio.to_thread(self._lake.put, f"{GAPS}/{name}.json", json.dumps(gap).encode())
            await forget_gap(self._client, hour)


class ExportOff:
    """Removes the groups of targets that are not chosen, for nobody reads them, and streams are cut off behind all."""

    def __init__(
        self, groups: Sequence[Group], retry: StageRetry, clock: Clock, *, unread: Sequence[Group] = ()
    ) -> None:
        """The streams of `unread` have no other reader: what is in them goes, too."""
        self._groups = groups
        self._unread = unread
        self._retry = retry
        self._clock = clock
        self._unasked: dict[Group, int] = {}

    async def run(self, stop: Stop) -> None:
        """At the start, and then whatever nobody asks for any more, until `stop`.

        While decoders with another EXPORT are replaced each of theirs makes its group again, also after the last of
        ours has begun: such a group would fill Redis until brokers are pushed back.
        """
        for group in self._groups:
            await self._retry.until_available(group.destroy)
        for group in self._unread:
            await self._retry.until_available(group.empty)
        while not stop.is_set():
            await pause(EVERY_SECONDS, stop)
            await self._retry.until_available(self.look)

    async def look(self) -> None:
        """Remove what nobody has asked for since `UNASKED_MS`. Raises UnavailableError."""
        now = self._clock()
        for group in self._groups:
            if await group.is_asked(ASKED_MS):
                self._unasked.pop(group, None)
            elif now - self._unasked.setdefault(group, now) >= UNASKED_MS and await group.destroy():
                _log.warning(
                    "a group of a target that is not in EXPORT was made again, and is removed", group=str(group)
                )


def _hours(entry: Entry) -> set[int]:
    try:
        positions = decode_positions(entry[1])
    except (LookupError, *UNREADABLE):
        return set()
    return {position.observed_at - position.observed_at % HOUR_MS for position in positions}
