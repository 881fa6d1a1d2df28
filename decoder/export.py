"""Stage `export`: positions and windows go to targets beside the stores, each of which has a backlog of its own."""

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, Protocol, TypeVar

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

Exported = TypeVar("Exported", Position, ExportedWindow)

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
        self,
        put: Callable[[Sequence[Exported]], Awaitable[list[Refused]]],
        found: Sequence[tuple[bytes, Sequence[Exported]]],
    ) -> None:
        if not found:
            return
        exported, refused, entry_ids = await self._retry.until_available(lambda: self._put_held(put, found))
        if refused:
            await self._tell(refused)
        self._common.metrics.exported.labels(self._common.target.name, self._topic).inc(exported - len(refused))
        if entry_ids:
            await self._retry.until_available(lambda: self._group.acknowledge(entry_ids))

    async def _put_held(
        self,
        put: Callable[[Sequence[Exported]], Awaitable[list[Refused]]],
        found: Sequence[tuple[bytes, Sequence[Exported]]],
    ) -> tuple[int, list[Refused], list[bytes]]:
        """Put what is still ours: how many there were, which of them never will be taken, and their entries.

        Asked before each attempt. What somebody else has finished, while Redis was away for us, or what was passed
        over, while the target was, may be of a device that was erased since: it would come back.
        """
        held = await self._group.held([entry_id for entry_id, _ in found])
        if len(held) < len(found):
            _log.warning("entries in hand are somebody else's, or passed over", entries=len(found) - len(held))
        things = [thing for entry_id, some in found if entry_id in held for thing in some]
        with self._common.metrics.asking(self._common.target.name, "put"):
            refused = await put(things) if things else []
        return len(things), refused, [entry_id for entry_id, _ in found if entry_id in held]

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
        read = [(entry_id, await self._entries.read(entry_id, fields)) for entry_id, fields in entries]
        await self._finish(
            self._common.target.put_positions, [(entry_id, found) for entry_id, found in read if found is not None]
        )


class WindowExporter(_Exporter):
    """Exports windows to one target."""

    def __init__(self, common: Exporting, *, group: Group, retry: StageRetry) -> None:
        super().__init__(common, topic="occupancy", group=group, retry=retry)

    async def __call__(self, entries: list[Entry]) -> None:
        """Put a batch, and acknowledge it; wait for what is away."""
        read = [(entry_id, await self._read(entry_id, fields)) for entry_id, fields in entries]
        await self._finish(
            self._common.target.put_windows, [(entry_id, found) for entry_id, found in read if found is not None]
        )

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
