"""The columns of each table of the lake, and the version that a file of it says in its metadata.

A new column may be null, and leaves the version as it is; readers join files by the names of columns. Anything else is
another version. Times are milliseconds since the epoch, UTC; coordinates are longitude and latitude (WGS 84).
"""

import pyarrow as pa

TIME = pa.timestamp("ms", tz="UTC")
VERSIONS = {"positions": 1, "occupancy": 1, "coverage": 1}
"""By table: the number in `campus.schema`, as in `positions/1`."""
SCHEMA_KEY = b"campus.schema"

POSITIONS = pa.schema(
    [
        pa.field("_id", pa.string(), nullable=False),  # that of the document: whoever reads can drop repeats by it
        pa.field("kind", pa.string(), nullable=False),
        pa.field("device", pa.string(), nullable=False),  # the keyed hash
        pa.field("observed_at", TIME, nullable=False),
        pa.field("received_at", TIME, nullable=False),
        pa.field("longitude", pa.float64(), nullable=False),
        pa.field("latitude", pa.float64(), nullable=False),
        pa.field("geometry", pa.binary(), nullable=False),  # a point, as WKB
        pa.field("zones", pa.list_(pa.field("element", pa.string(), nullable=False)), nullable=False),
        pa.field("cell", pa.string(), nullable=False),  # geohash
        pa.field("altitude", pa.float64()),
        pa.field("accuracy", pa.float64()),
        pa.field("speed", pa.float64()),
        pa.field("heading", pa.float64()),
        pa.field("fence", pa.string()),
        pa.field("implausible", pa.bool_(), nullable=False),
        pa.field("inaccurate", pa.bool_(), nullable=False),
    ]
)
OCCUPANCY = pa.schema(
    [
        pa.field("zone", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("width", pa.string(), nullable=False),  # 1m, 5m, 1h or 1d
        pa.field("start", TIME, nullable=False),
        pa.field("end", TIME, nullable=False),
        pa.field("devices", pa.int64(), nullable=False),
        pa.field("written_at", TIME, nullable=False),  # of one window's rows the newest counts
    ]
)
COVERAGE = pa.schema(
    [
        pa.field("zone", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("hour", TIME, nullable=False),
        pa.field(
            "minutes", pa.int64(), nullable=False
        ),  # a bit for each recorded minute, as `timeseries.Coverage` has it
    ]
)
