"""DuckDB: in this process, with as much memory as it is given; what is more goes to the disk."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pyarrow as pa
from fsspec import AbstractFileSystem

from core.errors import UnavailableError
from lake import schema

PREFIX, LOCK = "duckdb-", "lock"
_RAW = {
    "positions": """
        select device, kind, epoch_ms(observed_at) as observed, epoch_ms(received_at) as received,
          array_to_string(zones, ',') as zones
        from {rows}""",
    "occupancy": """
        select zone, kind, width, epoch_ms("start") as start_ms, devices, epoch_ms(written_at) as written
        from {rows}""",
    "coverage": "select zone, kind, epoch_ms(hour) as hour, minutes from {rows}",
}
_SCHEMAS = {"positions": schema.POSITIONS, "occupancy": schema.OCCUPANCY, "coverage": schema.COVERAGE}


class DuckEngine:
    """One database in memory, in one thread at a time.

    `memory` is in DuckDB's own words, such as 1200MB: the process takes some more. What does not fit is put into a
    folder of its own below `spill`, and gone at the end. Object storage is read through `filesystem`: DuckDB's own
    would be an extension that it fetches from the Internet.
    """

    name = "duckdb"

    def __init__(self, *, memory: str, threads: int, spill: Path, filesystem: AbstractFileSystem | None = None) -> None:
        spill.mkdir(parents=True, exist_ok=True)
        _forget_left(spill)
        self._spill = Path(tempfile.mkdtemp(prefix=PREFIX, dir=spill))
        self._lock: int | None = os.open(self._spill / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self._connection = duckdb.connect(
            config={
                "memory_limit": memory,
                "threads": threads,
                "temp_directory": str(self._spill),
                "preserve_insertion_order": False,
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
            }
        )
        if filesystem is not None:
            self._connection.register_filesystem(filesystem)

    def files(self, table: str, paths: Sequence[str]) -> None:
        """Make the view `raw_{table}` of files."""
        if not paths:
            self._connection.register(f"no_{table}", _SCHEMAS[table].empty_table())
            rows = f"no_{table}"
        else:
            listed = ", ".join("'{}'".format(path.replace("'", "''")) for path in paths)
            rows = f"read_parquet([{listed}], union_by_name = true, hive_partitioning = false)"
        self.view(f"raw_{table}", _RAW[table].format(rows=rows))

    def table(self, name: str, rows: pa.Table) -> None:
        """Make a table of rows."""
        self._connection.register(f"given_{name}", rows)
        self.keep(name, f"select * from given_{name}")  # noqa: S608 - names of ours
        self._connection.unregister(f"given_{name}")

    def view(self, name: str, sql: str) -> None:
        """Make a view of a query."""
        with _told():
            self._connection.execute(f"create or replace temp view {name} as {sql}")

    def keep(self, name: str, sql: str) -> None:
        """Make a table of what a query gives now."""
        with _told():
            self._connection.execute(f"create or replace temp table {name} as {sql}")

    def explode(self, name: str, positions: str) -> None:
        """Make a view with a row for each zone of a position."""
        self.view(
            name,
            "select device, kind, seen, following, string_split(zones, ',')[1] as campus,"  # noqa: S608 - names of ours
            f" unnest(string_split(zones, ',')) as zone from {positions}",
        )

    def rows(self, sql: str) -> pa.Table:
        """What a query gives, as a table."""
        with _told():
            return self._connection.sql(sql).to_arrow_table()

    def close(self) -> None:
        """Let go of what it has."""
        self._connection.close()
        shutil.rmtree(self._spill, ignore_errors=True)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _forget_left(spill: Path) -> None:
    """Remove what processes that were killed have left: devices are in it."""
    for folder in spill.glob(f"{PREFIX}*"):
        try:
            descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        except OSError:
            # Its process lives.
            continue
        finally:
            os.close(descriptor)


@contextmanager
def _told() -> Iterator[None]:
    """What is wrong with files, as `Engine` has it."""
    try:
        yield
    except duckdb.IOException as error:
        text = str(error).partition("\n")[0]
        if "No files found" in text or "No such file" in text:
            raise FileNotFoundError(text) from error
        raise UnavailableError(f"the lake, or the disk beside it, cannot be used: {text}") from error
