"""Putting rows into the lake: a file for each hour, or date, that they are of."""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import pyarrow as pa

from core.clock import Clock, system_clock
from lake.layout import HOUR_MS, OCCUPANCY, POSITIONS, date_of, date_prefix, part_name, positions_path
from lake.parquet import named, to_parquet
from lake.rows import (
    POSITIONS_ORDER,
    WINDOWS_ORDER,
    Row,
    WindowRow,
    each_position_once,
    each_window_once,
    positions_table,
    windows_table,
)
from lake.store import Lake

_NO_DEVICES = "only positions may name devices: what else is in the lake is not reached by an erasure"


class Written(NamedTuple):
    """A file that was stored."""

    path: str
    rows: int
    size: int
    """Bytes."""


def write_positions(lake: Lake, rows: Sequence[Row], *, clock: Clock = system_clock) -> list[Written]:
    """Store positions, a file for each hour of event time, by device and time; what comes twice in `rows` once.

    Whoever repeats that after an error stores some of it twice: repeats are dropped when the hour is compacted, and by
    readers. Raises UnavailableError.
    """
    hours: defaultdict[int, list[Row]] = defaultdict(list)
    for row in rows:
        hours[row[1].observed_at // HOUR_MS].append(row)
    written = []
    for hour, some in sorted(hours.items()):
        table = each_position_once(positions_table(some))
        path = positions_path(date_of(hour * HOUR_MS), hour % 24, made_at=clock())
        written.append(put_table(lake, path, table, schema=named(POSITIONS), sorted_by=POSITIONS_ORDER))
    return written


def write_windows(lake: Lake, rows: Sequence[WindowRow], *, clock: Clock = system_clock) -> list[Written]:
    """Store windows, a file for each date that they begin on; of a window that comes twice the newest.

    Raises UnavailableError.
    """
    dates: defaultdict[int, list[WindowRow]] = defaultdict(list)
    for row in rows:
        dates[row.start // (24 * HOUR_MS)].append(row)
    written = []
    for day, some in sorted(dates.items()):
        table = each_window_once(windows_table(some))
        path = f"{date_prefix(OCCUPANCY, date_of(day * 24 * HOUR_MS))}/{part_name(clock())}"
        written.append(put_table(lake, path, table, schema=named(OCCUPANCY), sorted_by=WINDOWS_ORDER))
    return written


def write_table(lake: Lake, path: str, table: pa.Table) -> Written:
    """Store a table as it is, in the place of one of that name: coverage, results, `dim/`.

    Raises UnavailableError; and ValueError for one that names devices, or has no row.
    """
    if "device" in table.schema.names:
        raise ValueError(f"{path}: {_NO_DEVICES}")
    if not len(table):
        raise ValueError(f"{path}: no row; delete the file instead (Lake.delete)")
    return put_table(lake, path, table, schema=named(path.split("/date=", 1)[0].removesuffix(".parquet")))


def put_table(lake: Lake, path: str, table: pa.Table, *, schema: str, sorted_by: Sequence[str] = ()) -> Written:
    """Store a table that is in its order already. `schema` is what its file says that it is (`lake.parquet`)."""
    data = to_parquet(table, schema=schema, sorted_by=sorted_by)
    lake.put(path, data)
    return Written(path, len(table), len(data))
