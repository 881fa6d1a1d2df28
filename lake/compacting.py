"""Few large files of many small ones: an hour of positions, or a date of windows, becomes one.

The new file is stored before the old ones are deleted. Whoever reads in between finds rows twice, never too few, and
whoever dies in between leaves both: so readers drop repeats, and the next compaction does.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import pyarrow as pa

from core.clock import to_milliseconds
from lake.layout import HOUR_MS, OCCUPANCY, POSITIONS, made_at, part_name, path_date, path_hour
from lake.lock import Hold, LockLostError
from lake.parquet import from_parquet, named, schema_name
from lake.rows import POSITIONS_ORDER, WINDOWS_ORDER, each_position_once, each_window_once
from lake.store import Lake, Stored
from lake.writing import put_table

OVER_MS = 2 * HOUR_MS
"""How long after its end an hour or a date is compacted: most of what is late has come by then."""
MANY = 64
"""So many files of an hour or a date are compacted before it is over."""
LARGEST = 16 * 1024 * 1024
"""Bytes that are made one file; larger ones stay as they are. Some 300,000 positions, and some 500 MB of memory."""


@dataclass(frozen=True, slots=True)
class Compacted:
    """What was done."""

    made: int = 0
    """Files that there are now."""
    files: int = 0
    """That were there before."""
    rows: int = 0
    """That are in them now."""
    repeats: int = 0
    """Rows that were there twice."""
    unreadable: tuple[str, ...] = ()
    """Files that are none of ours, or of another version: they stay as they are."""

    def __add__(self, other: "Compacted") -> "Compacted":
        return Compacted(
            self.made + other.made,
            self.files + other.files,
            self.rows + other.rows,
            self.repeats + other.repeats,
            self.unreadable + other.unreadable,
        )


def compact(lake: Lake, hold: Hold, *, now: int, enough: Callable[[], bool] = lambda: False) -> Compacted:
    """Compact what is over; `now` is in milliseconds since the epoch. Stops between files once there is `enough`.

    Raises UnavailableError, and LockLostError: what was not done is done the next time.
    """
    done = Compacted()
    for table in (_Positions, _Windows):
        folders: defaultdict[str, list[Stored]] = defaultdict(list)
        for stored in lake.list(table.name):
            folders[stored.path.rpartition("/")[0]].append(stored)
        for folder, files in folders.items():
            if len(files) < table.many and not _is_over(folder, now):
                continue
            for group in _groups(files):
                if enough():
                    return done
                done += _merge(lake, hold, table, group, now)
    return done


class _Positions:
    name = POSITIONS
    order = POSITIONS_ORDER
    once = staticmethod(each_position_once)
    many = MANY


class _Windows:
    name = OCCUPANCY
    order = WINDOWS_ORDER
    once = staticmethod(each_window_once)
    many = MANY


def _is_over(folder: str, now: int) -> bool:
    day, hour = path_date(folder), path_hour(folder)
    if day is None:
        return False
    start = to_milliseconds(datetime(day.year, day.month, day.day, tzinfo=UTC))
    end = start + (24 if hour is None else hour + 1) * HOUR_MS
    return end + OVER_MS <= now


def _groups(files: Sequence[Stored]) -> list[list[Stored]]:
    """Which become one file each: from the smallest on, as many as are not too large together."""
    groups: list[list[Stored]] = []
    size = LARGEST
    for stored in sorted(files, key=lambda each: (each.size, each.path)):
        size += stored.size
        if size > LARGEST:
            groups.append([])
            size = stored.size
        groups[-1].append(stored)
    return [group for group in groups if len(group) > 1]


def _merge(lake: Lake, hold: Hold, table: type[_Positions | _Windows], files: Sequence[Stored], now: int) -> Compacted:
    tables: dict[str, pa.Table] = {}
    unreadable = []
    for stored in files:
        try:
            found = from_parquet(lake.get(stored.path))
        except FileNotFoundError:
            continue
        except ValueError:
            unreadable.append(stored.path)
            continue
        if schema_name(found.schema) == named(table.name):
            tables[stored.path] = found.replace_schema_metadata(None)
        else:
            unreadable.append(stored.path)
    if len(tables) <= 1:
        return Compacted(unreadable=tuple(unreadable))
    # By names: a file of a later version may have a column more.
    old, rows = list(tables), sum(map(len, tables.values()))
    every = pa.concat_tables(tables.values(), promote_options="default")
    tables.clear()
    once = table.once(every)
    del every
    # Later than what it is made of, also where the clock was set back: who lists in order finds this or the old ones.
    newest = max(now, *(made_at(each) + 1 for each in old))
    path = f"{files[0].path.rpartition('/')[0]}/{part_name(newest)}"
    hold.renew()
    put_table(lake, path, once, schema=named(table.name), sorted_by=table.order)
    delete_old(lake, hold, old, new=path)
    return Compacted(1, len(old), len(once), rows - len(once), tuple(unreadable))


def delete_old(lake: Lake, hold: Hold, old: Sequence[str], *, new: str | None) -> None:
    """Delete what another file replaces; that other one where the lock is lost.

    Whoever has taken the lock over might have erased a device from the old ones, which the new one still has.
    """
    try:
        hold.renew()
    except LockLostError:
        if new is not None:
            lake.delete([new])
        raise
    lake.delete(old)
