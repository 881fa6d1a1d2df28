"""What jobs found, put into the lake: a file for each job and date (UTC), in the place of the one before."""

import pyarrow as pa

from analytics.running import DAY_MS, Slice
from lake.layout import date_of, one_part, results_prefix
from lake.reading import read_table
from lake.schema import TIME
from lake.store import Lake
from lake.writing import write_table


def keep_in_lake(lake: Lake, job: str, found: Slice) -> None:
    """Put a slice into `results/JOB`; of its dates what lies outside of it stays. `at` is a time there, in UTC.

    Of profiles the date is the last of the range that they are made of, and `at` an hour of the week. Raises
    UnavailableError.
    """
    if job == "profiles":
        _put(lake, one_part(results_prefix(job, date_of(found.end - 1))), found.rows)
        return
    path = one_part(results_prefix(job, date_of(found.start)))
    rows = found.rows
    whole = found.start % DAY_MS == 0 and found.end - found.start == DAY_MS
    before = None if whole else kept_in_lake(lake, path)
    if before is not None:
        at = before["at"].to_numpy()
        outside = before.filter(pa.array((at < found.start) | (at >= found.end)))
        rows = pa.concat_tables([outside.select(rows.schema.names).cast(rows.schema), rows])
    _put(lake, path, rows)


def kept_in_lake(lake: Lake, path: str) -> pa.Table | None:
    """The rows of a file of results, `at` in ms since the epoch; None where there is none. Raises UnavailableError."""
    try:
        rows = read_table(lake, path)
    except FileNotFoundError:
        return None
    index = rows.schema.get_field_index("at")
    return rows.set_column(index, "at", rows["at"].cast(pa.int64()))


def _put(lake: Lake, path: str, rows: pa.Table) -> None:
    if not len(rows):
        lake.delete([path])
        return
    index = rows.schema.get_field_index("at")
    write_table(lake, path, rows.set_column(index, pa.field("at", TIME, nullable=False), rows["at"].cast(TIME)))
