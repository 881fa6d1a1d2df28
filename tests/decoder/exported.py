"""What tests of the export look at: positions in Redis, and what is in a lake of a folder."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from core.messages import Position, encode_positions
from documents import document_id
from lake.layout import OCCUPANCY
from lake.layout import POSITIONS as TABLE
from lake.reading import paths, read_table
from lake.settings import LakeSettings
from lake.store import Lake, open_lake
from tests.conftest import NOON, POSITIONS
from tests.decoder.conftest import position

DAY = date(2026, 3, 1)


async def appended(client: Redis, *positions: Position, stream: str = POSITIONS, at: int | None = None) -> None:
    """As the stage observe hands positions on, in one entry; `at` is by the clock of Redis, in ms since the epoch."""
    await client.xadd(stream, {"d": encode_positions(list(positions))}, id="*" if at is None else f"{at}-*")


def some(count: int, *, first: int = 0) -> list[Position]:
    """Positions of one device, a second apart."""
    return [position("d" * 32, NOON + 1000 * number, "library") for number in range(first, first + count)]


def ids(positions: Sequence[Position]) -> list[str]:
    """Of their documents, in order."""
    return sorted(map(document_id, positions))


def lake_of(data_dir: Path) -> Lake:
    """The lake in DATA_DIR."""
    return open_lake(LakeSettings(), data_dir)


def in_lake(data_dir: Path, table: str = TABLE) -> list[dict[str, Any]]:
    """All rows of the day of the tests."""
    lake = lake_of(data_dir)
    found = paths(lake, table, DAY, date(2026, 3, 2))
    return [row for path in found for row in read_table(lake, lake.path(path)).to_pylist()]


def ids_in_lake(data_dir: Path) -> list[str]:
    """Of the positions that are there, in order, each once."""
    return sorted({row["_id"] for row in in_lake(data_dir)})


def windows_in_lake(data_dir: Path) -> dict[tuple[str, str, str, int], int]:
    """Devices by zone, kind, width and start; of each window as it was written last."""
    rows = sorted(in_lake(data_dir, OCCUPANCY), key=lambda row: row["written_at"])
    return {
        (row["zone"], row["kind"], row["width"], int(row["start"].timestamp() * 1000)): row["devices"] for row in rows
    }
