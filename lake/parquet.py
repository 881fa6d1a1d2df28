"""A table as the bytes of a Parquet file, and back."""

import json
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lake.schema import SCHEMA_KEY, VERSIONS

ROW_GROUP = 64_000
"""Rows. Whoever looks for one device reads the groups whose bloom filter may have it."""
_FALSE_POSITIVES = 0.01
_GEO_VERSION = "1.1.0"


def to_parquet(table: pa.Table, *, schema: str, sorted_by: Sequence[str] = ()) -> bytes:
    """The file of a table that has a row at least, in zstd.

    `schema` is what the file says that it is, as `named` has it, and `sorted_by` are the columns that it is sorted by
    already. A column `geometry` makes it a GeoParquet file (1.1), a column `device` gets a bloom filter.
    """
    metadata: dict[bytes, bytes] = {SCHEMA_KEY: schema.encode()}
    options: dict[str, Any] = {}
    if "geometry" in table.schema.names:
        metadata[b"geo"] = json.dumps(_geo(table)).encode()
    if "device" in table.schema.names:
        devices = min(pc.count_distinct(table["device"]).as_py(), ROW_GROUP)
        options["bloom_filter_options"] = {"device": {"ndv": devices, "fpp": _FALSE_POSITIVES}}
    table = table.replace_schema_metadata(metadata)
    sink = pa.BufferOutputStream()
    pq.write_table(
        table,
        sink,
        compression="zstd",
        row_group_size=ROW_GROUP,
        sorting_columns=[pq.SortingColumn(table.schema.get_field_index(column)) for column in sorted_by] or None,
        **options,
    )
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


def from_parquet(data: bytes) -> pa.Table:
    """The table in a file. Raises ValueError for what is none."""
    try:
        return pq.read_table(pa.BufferReader(data), partitioning=None)
    except (OSError, pa.ArrowException) as error:
        raise ValueError(f"no Parquet file: {str(error)[:200]}") from error


def named(table: str) -> str:
    """What files of a table say that they are, such as `positions/1`, with the version that is written here."""
    return f"{table}/{VERSIONS.get(table, 1)}"


def schema_name(schema: pa.Schema) -> str:
    """What a file says that it is, such as `positions/1`; empty where it says nothing."""
    said: bytes = (schema.metadata or {}).get(SCHEMA_KEY, b"")
    return said.decode()


def _geo(table: pa.Table) -> dict[str, Any]:
    longitude, latitude = (pc.min_max(table[column]).as_py() for column in ("longitude", "latitude"))
    return {
        "version": _GEO_VERSION,
        "primary_column": "geometry",
        # Without `crs` it is longitude and latitude, WGS 84.
        "columns": {
            "geometry": {
                "encoding": "WKB",
                "geometry_types": ["Point"],
                "bbox": [longitude["min"], latitude["min"], longitude["max"], latitude["max"]],
            }
        },
    }
