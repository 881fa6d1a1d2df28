"""Spark: in processes of this machine, or wherever `spark-submit` runs it."""

import os
from collections.abc import Sequence

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

_RAW = {
    "positions": (
        "device string, kind string, observed_at timestamp, received_at timestamp, zones array<string>",
        """select device, kind, unix_millis(observed_at) as observed, unix_millis(received_at) as received,
          array_join(zones, ',') as zones
        from rows_of_{table}""",
    ),
    "occupancy": (
        "zone string, kind string, width string, start timestamp, devices bigint, written_at timestamp",
        """select zone, kind, width, unix_millis(start) as start_ms, devices, unix_millis(written_at) as written
        from rows_of_{table}""",
    ),
    "coverage": (
        "zone string, kind string, hour timestamp, minutes bigint",
        "select zone, kind, unix_millis(hour) as hour, minutes from rows_of_{table}",
    ),
}
"""By table: the columns that are read, as Spark writes types, and the view on them."""
_NOT_THERE = ("FILE_NOT_EXIST", "PATH_NOT_FOUND", "FileNotFoundException")
SUBMITTED = "PYSPARK_GATEWAY_PORT"
"""The variable that a process has which `spark-submit` started."""
PARTITIONS = 8
"""Of a shuffle, where nothing else is set: Spark's own 200 are for far more than a day of positions."""


class SparkEngine:
    """A Spark session, in one thread at a time.

    Without `spark-submit` it is `threads` threads of a Java process that has `memory`, such as 1200m.
    """

    name = "spark"

    def __init__(self, *, memory: str, threads: int) -> None:
        builder = (
            SparkSession.builder.appName("campus-analytics")
            .config("spark.sql.session.timeZone", "UTC")
            .config("spark.sql.ansi.enabled", "true")
        )
        # What is set here comes before what spark-submit was told.
        if SUBMITTED not in os.environ:
            for name, value in {
                "spark.master": f"local[{threads}]",
                "spark.driver.memory": memory,
                "spark.ui.enabled": "false",
                "spark.ui.showConsoleProgress": "false",
                "spark.sql.shuffle.partitions": str(PARTITIONS),
            }.items():
                builder = builder.config(name, value)
        self._spark: SparkSession = builder.getOrCreate()
        self._kept: dict[str, DataFrame] = {}

    def files(self, table: str, paths: Sequence[str]) -> None:
        """Make the view `raw_{table}` of files."""
        columns, sql = _RAW[table]
        if paths:
            try:
                frame = self._spark.read.schema(columns).parquet(*map(_address, paths))
            except Exception as error:  # PySpark's while a query is made, Java's while its rows come
                raise _gone(error) from error
        else:
            frame = self._spark.createDataFrame([], schema=columns)
        frame.createOrReplaceTempView(f"rows_of_{table}")
        self.view(f"raw_{table}", sql.format(table=table))

    def table(self, name: str, rows: pa.Table) -> None:
        """Make a table of rows."""
        self._spark.createDataFrame(rows).createOrReplaceTempView(name)

    def view(self, name: str, sql: str) -> None:
        """Make a view of a query."""
        self._spark.sql(sql).createOrReplaceTempView(name)

    def keep(self, name: str, sql: str) -> None:
        """Make a table of what a query gives now."""
        frame = self._spark.sql(sql).cache()
        frame.createOrReplaceTempView(name)
        before = self._kept.pop(name, None)
        if before is not None:
            before.unpersist()
        self._kept[name] = frame

    def explode(self, name: str, positions: str) -> None:
        """Make a view with a row for each zone of a position."""
        self.view(
            name,
            "select device, kind, seen, following, split(zones, ',')[0] as campus,"  # noqa: S608 - names of ours
            f" explode(split(zones, ',')) as zone from {positions}",
        )

    def rows(self, sql: str) -> pa.Table:
        """What a query gives, as a table."""
        try:
            return self._spark.sql(sql).toArrow()
        except Exception as error:  # PySpark's while a query is made, Java's while its rows come
            raise _gone(error) from error

    def close(self) -> None:
        """Let go of what it has."""
        self._kept.clear()
        self._spark.stop()


def _address(path: str) -> str:
    """A file as Hadoop calls it."""
    if path.startswith("/"):
        return f"file://{path}"
    return f"s3a://{path.removeprefix('s3://')}" if path.startswith("s3://") else path


def _gone(error: Exception) -> Exception:
    text = str(error)
    found = next((name for name in _NOT_THERE if name in text), None)
    return error if found is None else FileNotFoundError(text.partition("\n")[0])
