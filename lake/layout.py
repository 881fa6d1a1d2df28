"""Where in the lake what is: names of files and folders.

    positions/date=2026-11-23/hour=14/part-1795444496789-0a1b2c3d.parquet
    occupancy/date=2026-11-23/part-1795444496789-0a1b2c3d.parquet
    coverage/date=2026-11-23/part-0.parquet
    results/JOB/date=2026-11-23/part-0.parquet
    dim/zones.parquet, dim/hours.parquet

Dates and hours are those of event time, in UTC, so that no hour is there twice or never where clocks change. `date=`
and `hour=` are columns to whoever reads a folder as a table (DuckDB, Spark, pandas). What begins with `_` is no data,
and they skip it.
"""

import re
import secrets
from datetime import UTC, date, datetime

LOCK = "_lock"
GAPS = "_gaps"
"""Folder of what was not exported, as JSON: written by the decoder, read by whoever fills it."""
POSITIONS = "positions"
OCCUPANCY = "occupancy"
COVERAGE = "coverage"
RESULTS = "results"
DIM = "dim"
HOUR_MS = 3_600_000
_DATE = re.compile(r"/date=(\d{4}-\d\d-\d\d)(?:/|$)", re.ASCII)
_HOUR = re.compile(r"/hour=(\d\d)(?:/|$)", re.ASCII)
_PART = re.compile(r"/part-(\d{1,15})-[0-9a-f]{8}\.parquet$", re.ASCII)


def date_of(at_ms: int) -> date:
    """The date in UTC of a moment in milliseconds since the epoch."""
    return datetime.fromtimestamp(at_ms // 1000, tz=UTC).date()


def date_prefix(table: str, day: date) -> str:
    """The folder of a table's date. `table` is the name of one, of results `results/JOB`."""
    return f"{table}/date={day.isoformat()}"


def hour_prefix(day: date, hour: int) -> str:
    """The folder of the positions of an hour, 0 to 23, of UTC."""
    return f"{date_prefix(POSITIONS, day)}/hour={hour:02d}"


def positions_path(day: date, hour: int, *, made_at: int) -> str:
    """A new name in an hour of positions; `made_at` is in milliseconds since the epoch."""
    return f"{hour_prefix(day, hour)}/{part_name(made_at)}"


def results_prefix(job: str, day: date) -> str:
    """The folder of what a job found of a date."""
    return date_prefix(f"{RESULTS}/{job}", day)


def one_part(prefix: str) -> str:
    """The file of a date that has one alone, and whose writer replaces it as a whole."""
    return f"{prefix}/part-0.parquet"


def dim_path(name: str) -> str:
    """A table that is no measurement, such as `zones` or `hours`: replaced as a whole."""
    return f"{DIM}/{name}.parquet"


def part_name(made_at: int) -> str:
    """A name that nobody else gives. Later ones are greater, so that who lists in order misses none."""
    return f"part-{made_at:013d}-{secrets.token_hex(4)}.parquet"


def made_at(path: str) -> int:
    """When a file was made, in milliseconds since the epoch; 0 for one whose name does not say."""
    found = _PART.search(path)
    return int(found[1]) if found else 0


def path_date(path: str) -> date | None:
    """The date that a path is of; None for one that is of none."""
    found = _DATE.search(path)
    try:
        return date.fromisoformat(found[1]) if found else None
    except ValueError:
        return None


def path_hour(path: str) -> int | None:
    """The hour that a path of positions is of."""
    found = _HOUR.search(path)
    return int(found[1]) if found else None
