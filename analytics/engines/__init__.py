"""What runs the jobs: one text of SQL, on DuckDB in this process or on Spark on many machines.

The texts in `analytics/jobs` keep to what both have. What they do not share, which is how files are opened and how a
list becomes rows, is in the views that an engine makes: `raw_positions`, `raw_occupancy`, `raw_coverage`, and
`position_zones`, a row for each zone of a position.
"""

from collections.abc import Sequence
from typing import Protocol

import pyarrow as pa


class Engine(Protocol):
    """Runs SQL on files of the lake. Use it in one thread at a time, and close it.

    All that reads raises FileNotFoundError where a file is gone that `files` was told of.
    """

    name: str

    def files(self, table: str, paths: Sequence[str]) -> None:
        """Let `raw_{table}` be the rows of these files: positions, occupancy or coverage. It may be without any.

        Times are milliseconds since the epoch, zones a text joined by commas.
        """

    def table(self, name: str, rows: pa.Table) -> None:
        """Let a name be some rows that the caller has."""

    def view(self, name: str, sql: str) -> None:
        """Let a name be what a query gives, whenever it is asked for."""

    def keep(self, name: str, sql: str) -> None:
        """Let a name be what a query gives now: worked out once, however often it is asked for."""

    def explode(self, name: str, positions: str) -> None:
        """Let a name be `positions` with a row for each of its `zones`: `zone`, and `campus`, the first of them."""

    def rows(self, sql: str) -> pa.Table:
        """What a query gives."""

    def close(self) -> None:
        """Let go of everything. It may be called twice."""
