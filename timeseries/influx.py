"""Occupancy in InfluxDB 2.

Measurement `occupancy`, tags `kind` and `zone`, field `devices` (an integer), time: the start of the window. A point
with the same tags and time replaces the one before it, so writing is an upsert.
"""

import re
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Self

import structlog
from influxdb_client.client.flux_table import FluxRecord
from influxdb_client.client.influxdb_client_async import InfluxDBClientAsync
from influxdb_client.domain.write_precision import WritePrecision
from influxdb_client.rest import ApiException

from core.messages import Kind
from timeseries.influx_buckets import bucket_name, make_buckets
from timeseries.influx_errors import UNPROCESSABLE, influx_errors, said
from timeseries.store import MAX_POINTS, MAX_SERIES, OccupancyPoint, checked_length, checked_series, checked_zone
from timeseries.windows import Width, Window

BATCH_POINTS = 5000
"""Points in one request, which InfluxDB's documentation calls the best size; about 350 kB."""
TIMEOUT_MS = 30_000
FARTHEST_MS = 2**63 // 1_000_000 - 1
"""InfluxDB counts nanoseconds in 64 bits: years 1677 to 2262."""

# The names with _ are parameters that the client binds with their types: nothing is put into the text of a query.
_SERIES = """from(bucket: _bucket)
    |> range(start: _start, stop: _stop)
    |> filter(fn: (r) => r._measurement == "occupancy" and r._field == "devices")
    |> filter(fn: (r) => r.zone == _zone and r.kind == _kind)
"""
HISTORY_QUERY = f"""{_SERIES}    |> keep(columns: ["_time", "_value"])
    |> limit(n: _most)
"""
# The series is written twice: InfluxDB finds first() and last() in its index only where nothing else reads the series.
EXTENT_QUERY = f"""{_SERIES}    |> first()
    |> keep(columns: ["_time"])
    |> yield(name: "first")

{_SERIES}    |> last()
    |> keep(columns: ["_time"])
    |> yield(name: "last")
"""
# last() is answered from the index, a row for each series; only these rows are gathered into one table.
SERIES_QUERY = """from(bucket: _bucket)
    |> range(start: _start, stop: _stop)
    |> filter(fn: (r) => r._measurement == "occupancy" and r._field == "devices")
    |> last()
    |> keep(columns: ["kind", "zone"])
    |> group()
    |> limit(n: _most)
"""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DROPPED = re.compile(r"dropped[ =](\d{1,9})\b", re.ASCII)

_log = structlog.stdlib.get_logger("timeseries")


class InfluxOccupancyStore:
    """The store in InfluxDB 2, a bucket for each width (`timeseries.influx_buckets`). Use it as a context manager."""

    def __init__(self, *, url: str, org: str, token: str, bucket_prefix: str) -> None:
        """Nothing is asked of InfluxDB before the first call."""
        self._url = url
        self._org = org
        self._token = token
        self._prefix = bucket_prefix
        self.refused = 0
        """Points that InfluxDB will never take, since this store was opened: as a rule, older than it keeps any."""

    async def __aenter__(self) -> Self:
        # The client must be made inside the event loop that it works in.
        self._client = InfluxDBClientAsync(url=self._url, token=self._token, org=self._org, timeout=TIMEOUT_MS)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.close()

    async def setup(self) -> None:
        """Make the buckets that are missing. Raises Unavailable, and BadSettings for what InfluxDB refuses."""
        await make_buckets(self._client, org=self._org, prefix=self._prefix)

    async def write(self, points: Sequence[OccupancyPoint]) -> None:
        """Write points in batches. Raises Unavailable, and ValueError for a zone's id that is none.

        Points that InfluxDB will never take, such as those older than the retention of their bucket, are counted in
        `refused`, and logged; the others of their batch are stored.
        """
        lines: dict[Width, list[str]] = defaultdict(list)
        for point in points:
            window = point.window
            lines[window.width].append(
                f"occupancy,kind={window.kind},zone={checked_zone(window.zone)} devices={point.devices}i {window.start}"
            )
        for width, of_width in lines.items():
            for first in range(0, len(of_width), BATCH_POINTS):
                await self._write_batch(bucket_name(self._prefix, width), of_width[first : first + BATCH_POINTS])

    async def _write_batch(self, bucket: str, lines: list[str]) -> None:
        with influx_errors(writing=True):
            try:
                await self._client.write_api().write(
                    bucket=bucket,
                    record="\n".join(lines),
                    write_precision=WritePrecision.MS,  # type: ignore[arg-type] # its members are texts, not of its type
                )
            except ApiException as error:
                if not _partly_written(error):
                    raise
                # The rest of the batch is stored. To send it again would be refused again, for ever.
                dropped = _DROPPED.search(str(error.message))
                refused = min(int(dropped[1]), len(lines)) if dropped else len(lines)
                self.refused += refused
                _log.warning("points refused by InfluxDB", bucket=bucket, points=refused, answer=said(error))

    async def history(self, *, zone: str, kind: Kind, width: Width, start: int, end: int) -> list[OccupancyPoint]:
        """The points of the windows that begin in [start, end), as `OccupancyStore.history` says."""
        start, end = _representable(start), _representable(end)
        parameters = self._parameters(zone, kind, width, start, end)
        # InfluxDB calls an empty range an error.
        if start >= end:
            return []
        points = [
            OccupancyPoint(
                window=Window(width=width, start=_milliseconds(record["_time"]), zone=zone, kind=kind),
                devices=int(record["_value"]),
            )
            async for record in self._query(HISTORY_QUERY, {**parameters, "_most": MAX_POINTS + 1})
        ]
        return checked_length(sorted(points, key=lambda point: point.window.start))

    async def extent(self, zone: str, kind: Kind, width: Width) -> tuple[int, int] | None:
        """The starts of the first and the last window that InfluxDB still keeps, as `OccupancyStore.extent` says."""
        parameters = self._parameters(zone, kind, width, -FARTHEST_MS, FARTHEST_MS)
        times = [_milliseconds(record["_time"]) async for record in self._query(EXTENT_QUERY, parameters)]
        return (min(times), max(times)) if times else None

    async def series(self, width: Width) -> list[tuple[str, Kind]]:
        """The zones and kinds of which InfluxDB still keeps a point, as `OccupancyStore.series` says."""
        parameters = {**self._range(width, -FARTHEST_MS, FARTHEST_MS), "_most": MAX_SERIES + 1}
        found = [(str(record["zone"]), Kind(record["kind"])) async for record in self._query(SERIES_QUERY, parameters)]
        return checked_series(found)

    def _parameters(self, zone: str, kind: Kind, width: Width, start: int, end: int) -> dict[str, str | datetime]:
        return {**self._range(width, start, end), "_zone": checked_zone(zone), "_kind": kind.value}

    def _range(self, width: Width, start: int, end: int) -> dict[str, str | datetime]:
        return {
            "_bucket": bucket_name(self._prefix, width),
            "_start": _EPOCH + timedelta(milliseconds=start),
            "_stop": _EPOCH + timedelta(milliseconds=end),
        }

    async def _query(self, query: str, parameters: Mapping[str, str | datetime | int]) -> AsyncIterator[FluxRecord]:
        with influx_errors():
            records = await self._client.query_api().query_stream(query, params=dict(parameters))
            async with aclosing(records):
                async for record in records:
                    yield record


def _partly_written(error: ApiException) -> bool:
    # 2.7 says 422. InfluxDB Cloud says 400, as for a request that is wrong, and 2.0 said 500, as if it were worth
    # another attempt: https://github.com/influxdata/influxdb/issues/20359
    return error.status == UNPROCESSABLE or "partial write" in str(error.message)


def _representable(at_ms: int) -> int:
    return min(max(at_ms, -FARTHEST_MS), FARTHEST_MS)


def _milliseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(milliseconds=1)
