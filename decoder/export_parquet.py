"""The lake as a target of the export: what was gathered becomes a file for each hour of event time."""

import asyncio
from collections.abc import Sequence

from core.messages import Position
from decoder.export import Refused
from decoder.metrics import DecoderMetrics
from documents import document_id
from lake.rows import WindowRow
from lake.store import Lake
from lake.writing import Written, write_positions, write_windows
from state.window_stream import ExportedWindow


class LakeTarget:
    """Writes to the lake, in a thread: nothing else waits for it."""

    name = "parquet"

    def __init__(self, lake: Lake, metrics: DecoderMetrics) -> None:
        self._lake = lake
        self._metrics = metrics

    async def put_positions(self, positions: Sequence[Position]) -> list[Refused]:
        """Store positions. What was stored of a batch that is put once more is there twice, until it is compacted."""
        rows = [(document_id(position), position) for position in positions]
        self._count(await asyncio.to_thread(write_positions, self._lake, rows))
        return []

    async def put_windows(self, windows: Sequence[ExportedWindow]) -> list[Refused]:
        """Store windows: of one that is there more than once the row that was written last counts."""
        rows = [
            WindowRow(each.zone, each.kind, each.width, each.start, each.end, each.devices, each.written_at)
            for each in windows
        ]
        self._count(await asyncio.to_thread(write_windows, self._lake, rows))
        return []

    def _count(self, written: Sequence[Written]) -> None:
        self._metrics.lake_files.inc(len(written))
        self._metrics.lake_bytes.inc(sum(each.size for each in written))
