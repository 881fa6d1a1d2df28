"""What there is to be read of a table, and how."""

from datetime import date, timedelta
from typing import TYPE_CHECKING

import pyarrow as pa

from lake.layout import date_prefix
from lake.parquet import from_parquet
from lake.store import Lake

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

_LOOKS = 10


def paths(lake: Lake, table: str, start: date, end: date) -> list[str]:
    """The files of a table, of dates from `start` to before `end`, in order, as engines open them.

    `table` is a name of `lake.layout`, of results `results/JOB`. While files are rewritten a row may be in two of them,
    but never in none: whoever reads drops repeats. One that is gone when it is opened was rewritten since: ask again.
    Raises UnavailableError.
    """
    found = []
    for day in range((end - start).days):
        found += _settled(lake, date_prefix(table, start + timedelta(days=day)))
    return [lake.address(path) for path in found]


def read_table(lake: Lake, path: str) -> pa.Table:
    """The table in a file, by its path in the lake. Raises FileNotFoundError, and UnavailableError."""
    return from_parquet(lake.get(path))


def filesystem(lake: Lake) -> "AbstractFileSystem | None":
    """What opens the addresses of a lake in a bucket for DuckDB and pandas; None for a folder: they need nothing.

    It needs fsspec, which the extra `analytics` has.
    """
    return lake.filesystem()


def _settled(lake: Lake, prefix: str) -> list[str]:
    found = [stored.path for stored in lake.list(prefix)]
    # A folder is not listed in one moment, nor in the order of names: who is rewriting could put a new file where we
    # have been, and delete the old one where we have not.
    for _ in range(_LOOKS if lake.folder else 0):
        before, found = found, [stored.path for stored in lake.list(prefix)]
        if before == found:
            break
    return found
