"""Forgetting devices: files that have rows of them are written again without those.

It is for whoever has made sure that nothing of them is on its way into the lake any more. What is there twice after a
crash, a file and the one that was to replace it, is found again by doing it again.
"""

from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from io import RawIOBase
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from core.clock import Clock, system_clock
from lake.compacting import delete_old
from lake.layout import POSITIONS, made_at, part_name
from lake.lock import Hold
from lake.parquet import from_parquet, schema_name
from lake.rows import POSITIONS_ORDER
from lake.store import Lake
from lake.writing import put_table

THREADS = 4
"""Files that are looked into at the same time."""


class Gone(NamedTuple):
    """What an erasure did."""

    rows: dict[str, int]
    """How many went, by device."""
    unreadable: list[str]
    """Files that are damaged, or none of ours: nobody knows whether they have something of the devices."""


def erase(lake: Lake, hold: Hold, devices: Collection[str], *, since: int = 0, clock: Clock = system_clock) -> Gone:
    """Erase all rows of these devices (hashes) in all files that can be read. To do it again changes nothing.

    Files that were made before `since` (ms) are known to have none. Raises UnavailableError, and LockLostError.
    """
    erasing = _Erasing(lake, hold, clock, pa.array(sorted(devices), pa.string()), dict.fromkeys(devices, 0))
    # Of a writer that was killed.
    lake.delete_unfinished(POSITIONS)
    seen: set[str] = set()
    with ThreadPoolExecutor(THREADS, thread_name_prefix="erase") as threads:
        while paths := [
            each.path for each in lake.list(POSITIONS) if _is_new(each.path, since) and each.path not in seen
        ]:
            seen.update(paths)
            for path, holds in zip(paths, threads.map(erasing.holds, paths), strict=True):
                if holds:
                    erasing.rewrite(path)
    return Gone(erasing.gone, sorted(erasing.unreadable))


@dataclass(frozen=True, slots=True)
class _Erasing:
    lake: Lake
    hold: Hold
    clock: Clock
    wanted: pa.Array
    gone: dict[str, int]
    unreadable: list[str] = field(default_factory=list)

    def holds(self, path: str) -> bool:
        """Whether a file may have rows of them: statistics first, then the one column."""
        try:
            try:
                with self.lake.open(path) as source:
                    return _holds(source, self.wanted)
            except _DamagedError:
                # All of its bytes at once: what a store did not answer is no damage.
                return _holds(pa.BufferReader(self.lake.get(path)), self.wanted)
        except FileNotFoundError:
            return False
        except _DamagedError:
            self.unreadable.append(path)
            return False

    def rewrite(self, path: str) -> None:
        """Write a file again without them."""
        try:
            table = from_parquet(self.lake.get(path))
        except FileNotFoundError:
            return
        except ValueError:
            # What is damaged is beside the column that was looked at.
            self.unreadable.append(path)
            return
        is_wanted = pc.is_in(table["device"], self.wanted)
        left = table.filter(pc.invert(is_wanted))
        new = None
        self.hold.renew()
        if len(left):
            new = f"{path.rpartition('/')[0]}/{part_name(max(self.clock(), made_at(path) + 1))}"
            put_table(self.lake, new, left, schema=schema_name(table.schema), sorted_by=POSITIONS_ORDER)
        delete_old(self.lake, self.hold, [path], new=new)
        for each in pc.value_counts(table["device"].filter(is_wanted)).to_pylist():
            self.gone[each["values"]] += each["counts"]


class _DamagedError(Exception):
    """A file is no Parquet file of positions, or its bytes did not come."""


def _holds(source: RawIOBase | pa.BufferReader, wanted: pa.Array) -> bool:
    """Raises _DamagedError."""
    try:
        file = pq.ParquetFile(source)
        return any(
            pc.any(pc.is_in(file.read_row_group(group, columns=["device"])["device"], wanted)).as_py()
            for group in range(file.metadata.num_row_groups)
            if _may_hold(file.metadata.row_group(group), wanted)
        )
    except (pa.ArrowException, ValueError, KeyError) as error:
        raise _DamagedError from error
    except OSError as error:
        # pyarrow calls a damaged file so, too, and then there is no number.
        if isinstance(error, FileNotFoundError) or error.errno is not None:
            raise
        raise _DamagedError from error


def _is_new(path: str, since: int) -> bool:
    at = made_at(path)
    return not at or at >= since


def _may_hold(group: pq.RowGroupMetaData, wanted: pa.Array) -> bool:
    for index in range(group.num_columns):
        column = group.column(index)
        if column.path_in_schema == "device" and column.is_stats_set and column.statistics.has_min_max:
            least, most = column.statistics.min, column.statistics.max
            return any(least <= device <= most for device in wanted.to_pylist())
    return True
