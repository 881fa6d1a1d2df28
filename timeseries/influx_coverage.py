"""Coverage in InfluxDB 2, beside the windows of an hour.

Measurement `coverage`, tags `kind` and `zone`, field `minutes` (an integer, a bit a minute), time: the hour's start.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

from core.kinds import KindId
from timeseries.coverage import Coverage
from timeseries.influx_http import InfluxHttp, Parameter, milliseconds
from timeseries.influx_writing import write_batch
from timeseries.store import checked_zone

BATCH_HOURS = 5000
"""Points in one request."""
_FIRST, _LAST = datetime(1678, 1, 1, tzinfo=UTC), datetime(2262, 1, 1, tzinfo=UTC)
"""InfluxDB counts nanoseconds in 64 bits."""

_OF_KIND = """from(bucket: _bucket)
    |> range(start: _start, stop: _stop)
    |> filter(fn: (r) => r._measurement == "coverage" and r._field == "minutes" and r.kind == _kind)
"""
_OF_ZONE = """from(bucket: _bucket)
    |> range(start: _start, stop: _stop)
    |> filter(fn: (r) => r._measurement == "coverage" and r._field == "minutes"
        and r.kind == _kind and r.zone == _zone)
"""
_COLUMNS = """    |> keep(columns: ["_time", "_value", "zone"])
"""
COVERAGE_QUERY = f"{_OF_KIND}{_COLUMNS}"
COVERAGE_OF_ALL_QUERY = """from(bucket: _bucket)
    |> range(start: _start, stop: _stop)
    |> filter(fn: (r) => r._measurement == "coverage" and r._field == "minutes")
    |> keep(columns: ["_time", "_value", "kind", "zone"])
    |> group()
"""
COVERAGE_OF_ZONE_QUERY = f"{_OF_ZONE}{_COLUMNS}"
COVERAGE_EXTENT_QUERY = f"""{_OF_ZONE}    |> first()
    |> keep(columns: ["_time"])
    |> yield(name: "first")

{_OF_ZONE}    |> last()
    |> keep(columns: ["_time"])
    |> yield(name: "last")
"""


class InfluxCoverage:
    """Reads and writes coverage in one bucket, as `timeseries.coverage.CoverageStore` says."""

    def __init__(self, http: InfluxHttp, bucket: str) -> None:
        self._http = http
        self._bucket = bucket

    async def write(self, hours: Sequence[Coverage]) -> None:
        """Write hours. Those that are older than the bucket keeps any are gone, as their windows are."""
        lines = [
            f"coverage,kind={each.kind},zone={checked_zone(each.zone)} minutes={each.minutes}i {each.hour}"
            for each in hours
        ]

        async def send(text: str) -> None:
            await self._http.write(self._bucket, text)

        for first in range(0, len(lines), BATCH_HOURS):
            batch = await write_batch(send, lines[first : first + BATCH_HOURS])
            if batch.undone:
                raise batch.undone[0][1]

    async def read(self, kind: KindId | None, *, start: int, end: int, zone: str | None = None) -> list[Coverage]:
        """The recorded hours that begin in [start, end); without a kind those of all kinds and zones, in no order."""
        first, stop = _moment(start), _moment(end)
        # InfluxDB calls an empty range an error.
        if first >= stop:
            return []
        parameters: dict[str, Parameter] = {
            "_bucket": self._bucket,
            "_start": first,
            "_stop": stop,
        }
        if kind is None:
            rows = await self._http.rows(COVERAGE_OF_ALL_QUERY, parameters)
            return [Coverage(row[6], KindId(row[5]), milliseconds(row[3]), int(row[4])) for row in rows]
        query, parameters = COVERAGE_QUERY, {**parameters, "_kind": kind}
        if zone is not None:
            query, parameters = COVERAGE_OF_ZONE_QUERY, {**parameters, "_zone": checked_zone(zone)}
        rows = await self._http.rows(query, parameters)
        found = [Coverage(row[5], kind, milliseconds(row[3]), int(row[4])) for row in rows]
        return sorted(found, key=lambda each: (each.zone, each.hour))

    async def extent(self, zone: str, kind: KindId) -> tuple[int, int] | None:
        """The starts of the first and the last recorded hour."""
        parameters: dict[str, Parameter] = {
            "_bucket": self._bucket,
            "_start": _FIRST,
            "_stop": _LAST,
            "_kind": kind,
            "_zone": checked_zone(zone),
        }
        hours = [milliseconds(row[3]) for row in await self._http.rows(COVERAGE_EXTENT_QUERY, parameters)]
        return (min(hours), max(hours)) if hours else None


def _moment(at_ms: int) -> datetime:
    earliest, latest = int(_FIRST.timestamp()), int(_LAST.timestamp())
    return datetime.fromtimestamp(min(max(at_ms // 1000, earliest), latest), UTC).replace(
        microsecond=at_ms % 1000 * 1000
    )
