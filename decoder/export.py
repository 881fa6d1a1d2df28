"""Stage `export`: positions and windows go to targets beside the stores, each of which has a backlog of its own."""

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, Protocol

import structlog

from core.clock import Clock
from core.errors import Reason
from core.messages import DeadLetter, Position
from core.unreadable import UNREADABLE
from decoder.metrics import DecoderMetrics
from decoder.position_entries import PositionEntries
from decoder.stage_retry import StageRetry
from state.dead_letters import DeadLetters
from state.group import Entry, Group
from state.window_stream import ExportedWindow, decode_windows

REASON_CHARACTERS = 200
"""What is kept of a server's words."""

_log = structlog.stdlib.get_logger("export")


class Refused(NamedTuple):
    """What a target will never take."""

    key: str
    """Of a position the id of its document, of a window its name."""
    reason: str
    """The target's words."""


class ExportTarget(Protocol):
    """Where positions and windows go to."""

    name: str
    """As in EXPORT, and in metrics."""

    async def put_positions(self, positions: Sequence[Position]) -> list[Refused]:
        """Return once all of them are there for good, but for those that will never be taken.

        Raises UnavailableError where some may not be: they are to be put once more, and may be there twice then.
        """

    async def put_windows(self, windows: Sequence[ExportedWindow]) -> list[Refused]:
        """The same for windows."""


class Exporting(NamedTuple):
    """What the exporters of a process have in common."""

    target: ExportTarget
    dead_letters: DeadLetters
    clock: Clock
    metrics: DecoderMetrics
    dead_letters_max: int
    """Of one partition, or of what lies in none."""


class _Exporter:
    """Puts what is in entries, and acknowledges them."""

    def __init__(
        self, common: Exporting, *, topic: str, group: Group, retry: StageRetry, partition: int | None = None
    ) -> None:
        """`partition` is whose dead letters these are."""
        self._common = common
        self._topic = topic
        self._group = group
        self._retry = retry
        self._partition = partition

    async def _finish(
        self, put: Callable[[], Awaitable[list[Refused]]], count: int, entry_ids: Sequence[bytes]
    ) -> None:
        target, metrics = self._common.target, self._common.metrics
        if count:
            refused = await self._retry.until_available(lambda: self._measured(put))
            if refused:
                await self._tell(refused)
            metrics.exported.labels(target.name, self._topic).inc(count - len(refused))
        if entry_ids:
            await self._retry.until_available(lambda: self._group.acknowledge(entry_ids))

    async def _measured(self, put: Callable[[], Awaitable[list[Refused]]]) -> list[Refused]:
        with self._common.metrics.asking(self._common.target.name, "put"):
            return await put()

    async def _tell(self, refused: Sequence[Refused]) -> None:
        target, dead_letters = self._common.target, self._common.dead_letters
        letters = [
            DeadLetter(
                Reason.REJECTED_RECORD,
                f"{target.name} refused {each.key}: {each.reason[:REASON_CHARACTERS]}",
                "",
                self._common.clock(),
                payload=None,
            )
            for each in refused
        ]
        await self._retry.until_available(
            lambda: dead_letters.add(letters, self._common.dead_letters_max, partition=self._partition)
        )
        self._common.metrics.dead.labels(Reason.REJECTED_RECORD.value).inc(len(letters))
        _log.error("records were refused", target=target.name, records=len(letters), first=letters[0].detail)


class PositionExporter(_Exporter):
    """Exports the positions of one partition to one target."""

    def __init__(self, common: Exporting, *, group: Group, retry: StageRetry, partition: int) -> None:
        super().__init__(common, topic="positions", group=group, retry=retry, partition=partition)
        self._entries = PositionEntries(
            group=group,
            retry=retry,
            clock=common.clock,
            metrics=common.metrics,
            dead_letters_max=common.dead_letters_max,
        )

    async def __call__(self, entries: list[Entry]) -> None:
        """Put a batch, and acknowledge it; wait for what is away."""
        positions: list[Position] = []
        entry_ids: list[bytes] = []
        for entry_id, fields in entries:
            found = await self._entries.read(entry_id, fields)
            if found is not None:
                positions += found
                entry_ids.append(entry_id)
        await self._finish(lambda: self._common.target.put_positions(positions), len(positions), entry_ids)


class WindowExporter(_Exporter):
    """Exports windows to one target."""

    def __init__(self, common: Exporting, *, group: Group, retry: StageRetry) -> None:
        super().__init__(common, topic="occupancy", group=group, retry=retry)

    async def __call__(self, entries: list[Entry]) -> None:
        """Put a batch, and acknowledge it; wait for what is away."""
        windows: list[ExportedWindow] = []
        entry_ids: list[bytes] = []
        for entry_id, fields in entries:
            found = await self._read(entry_id, fields)
            if found is not None:
                windows += found
                entry_ids.append(entry_id)
        await self._finish(lambda: self._common.target.put_windows(windows), len(windows), entry_ids)

    async def _read(self, entry_id: bytes, fields: dict[bytes, bytes]) -> list[ExportedWindow] | None:
        try:
            return decode_windows(fields) if fields else []
        except (LookupError, *UNREADABLE):
            letter = DeadLetter(
                Reason.MALFORMED_ENTRY,
                "an entry of the stream windows that no decoder wrote",
                "",
                self._common.clock(),
                payload=None,
            )
        if await self._retry.until_available(
            lambda: self._group.dead_letter(entry_id, letter, self._common.dead_letters_max)
        ):
            self._common.metrics.dead.labels(letter.reason.value).inc()
        return None
