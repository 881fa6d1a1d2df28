"""Spark: in processes of this machine, or wherever `spark-submit` runs it."""

from collections.abc import Sequence

import pyarrow as pa
from pyspark.errors import PySparkException
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
PARTITIONS = 8
"""Of a shuffle, where nothing else is set: Spark's own 200 are for far more than a day of positions."""


class SparkEngine:
    """A Spark session, in one thread at a time.

    Without `spark-submit` it is `threads` threads of a Java process that has `memory`, such as 1200m.
    """

    name = "spark"

    def __init__(self, *, memory: str, threads: int) -> None:
        # What spark-submit says comes first: it has made the session's configuration already.
        builder = (
            SparkSession.builder.appName("campus-analytics")
            .config("spark.sql.session.timeZone", "UTC")
            .config("spark.sql.ansi.enabled", "true")
        )
        for name, value in {
            "spark.master": f"local[{threads}]",
            "spark.driver.memory": memory,
            "spark.ui.enabled": "false",
            "spark.ui.showConsoleProgress": "false",
            "spark.sql.shuffle.partitions": str(PARTITIONS),
        }.items():
            if name not in _submitted():
                builder = builder.config(name, value)
        self._spark: SparkSession = builder.getOrCreate()
        self._kept: dict[str, DataFrame] = {}

    def files(self, table: str, paths: Sequence[str]) -> None:
        """Make the view `raw_{table}` of files."""
        columns, sql = _RAW[table]
        if paths:
            frame = self._spark.read.schema(columns).parquet(*map(_address, paths))
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
        except PySparkException as error:
            raise _gone(error) from error

    def close(self) -> None:
        """Let go of what it has."""
        self._kept.clear()
        self._spark.stop()


def _submitted() -> set[str]:
    """The names of what `spark-submit` has set."""
    from pyspark import SparkConf  # noqa: PLC0415 - beside what it is for

    return {name for name, _ in SparkConf().getAll()}


def _address(path: str) -> str:
    """A file as Hadoop calls it."""
    if path.startswith("/"):
        return f"file://{path}"
    return f"s3a://{path.removeprefix('s3://')}" if path.startswith("s3://") else path


def _gone(error: PySparkException) -> Exception:
    text = str(error)
    return FileNotFoundError(text) if "FILE_NOT_EXIST" in text or "PATH_NOT_FOUND" in text else error
