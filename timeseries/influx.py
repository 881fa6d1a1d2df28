"""Occupancy in InfluxDB 2.

Measurement `occupancy`, tags `kind` and `zone`, field `devices` (an integer), time: the start of the window. A point
with the same tags and time replaces the one before it, so writing is an upsert.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Self

import structlog

from core.clock import Clock, system_clock
from core.errors import UnavailableError
from core.kinds import KindId
from core.windows import Width, Window, nominal_ms
from timeseries.coverage import Coverage, hour_of
from timeseries.influx_answers import AnswerError
from timeseries.influx_buckets import Buckets, bucket_name, results_bucket
from timeseries.influx_coverage import InfluxCoverage
from timeseries.influx_http import InfluxHttp, Parameter, milliseconds
from timeseries.influx_results import InfluxResults
from timeseries.influx_writing import Batch, write_batch
from timeseries.keep import ALL, Keep
from timeseries.results import MAX_RESULTS, Result
from timeseries.store import (
    MAX_POINTS,
    MAX_SERIES,
    OccupancyPoint,
    Record,
    Undone,
    Written,
    checked_length,
    checked_series,
    checked_zone,
)

BATCH_POINTS = 5000
"""Points in one request, which InfluxDB's documentation calls the best size; about 350 kB."""
FARTHEST_MS = 2**63 // 1_000_000 - 1
"""InfluxDB counts nanoseconds in 64 bits: years 1677 to 2262."""
KEPT_SECONDS = 60.0
"""How long it is believed what a bucket keeps."""
EXTENT_SECONDS = 5.0
"""How long it is believed where a series begins and ends: to ask takes longer than to read a day of it."""
TAKEN_SECONDS = 60.0
"""How long it speaks for a bucket that it has taken points."""

# The names with _ are parameters that the client binds with their types: nothing is put into the text of a query.
_SERIES = """from(bucket: _bucket)
    |> range(start: _start, stop: _stop)
    |> filter(fn: (r) => r._measurement == "occupancy" and r._field == "devices"
        and r.zone == _zone and r.kind == _kind)
"""
HISTORY_QUERY = f"""{_SERIES}    |> keep(columns: ["_time", "_value"])
"""
LIMITED_HISTORY_QUERY = f"""{HISTORY_QUERY}    |> limit(n: _most)
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
WINDOWS_QUERY = """from(bucket: _bucket)
    |> range(start: _start, stop: _stop)
    |> filter(fn: (r) => r._measurement == "occupancy" and r._field == "devices")
    |> keep(columns: ["_time", "_value", "kind", "zone"])
    |> group()
    |> limit(n: _most)
"""
# Hours that were recorded lie in the same bucket as the windows of an hour. first() is answered from the index.
FIRST_QUERY = """from(bucket: _bucket)
    |> range(start: _start, stop: _stop)
    |> first()
    |> keep(columns: ["_time"])
    |> group()
    |> sort(columns: ["_time"])
    |> limit(n: 1)
"""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_log = structlog.stdlib.get_logger("timeseries")


class InfluxOccupancyStore:
    """The store in InfluxDB 2, a bucket for each width (`timeseries.influx_buckets`). Use it as a context manager."""

    def __init__(
        self, *, url: str, org: str, token: str, bucket_prefix: str, keep: Keep = ALL, clock: Clock = system_clock
    ) -> None:
        """Nothing is asked of InfluxDB before the first call. `keep` is what `setup` has the buckets keep."""
        self._http = InfluxHttp(url=url, org=org, token=token)
        self._buckets = Buckets(self._http, org=org, prefix=bucket_prefix, keep=keep)
        self._prefix = bucket_prefix
        self._coverage = InfluxCoverage(self._http, bucket_name(bucket_prefix, Width.HOUR))
        self._results = InfluxResults(self._http, results_bucket(bucket_prefix))
        self._clock = clock
        self._kept: dict[Width, tuple[float, int | None]] = {}
        self._taken: dict[Width, tuple[float, int]] = {}
        self._extents: dict[tuple[str, KindId, Width], tuple[float, tuple[int, int] | None]] = {}

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.__aexit__(kind, error, trace)

    async def setup(self) -> None:
        """Make the buckets that are missing, and change what they keep to what the settings say.

        Raises UnavailableError, and BadSettingsError for what InfluxDB refuses.
        """
        await self._buckets.setup()
        self._kept.clear()

    async def write(self, points: Sequence[OccupancyPoint]) -> Written:
        """Write points in batches, as `OccupancyStore.write` says. Raises ValueError for a zone's id that is none."""
        by_width: dict[Width, list[OccupancyPoint]] = defaultdict(list)
        for point in points:
            checked_zone(point.window.zone)
            by_width[point.window.width].append(point)
        written = Written()
        self._extents.clear()
        away: UnavailableError | None = None
        for width, of_width in by_width.items():
            for first in range(0, len(of_width), BATCH_POINTS):
                part = of_width[first : first + BATCH_POINTS]
                if away:
                    written.undone.append(Undone([point.window for point in part], away))
                else:
                    batch = await self._write_batch(width, part)
                    _add(written, part, batch)
                    away = batch.away
        return written

    async def _write_batch(self, width: Width, points: Sequence[OccupancyPoint]) -> Batch:
        bucket = bucket_name(self._prefix, width)

        async def send(lines: str) -> None:
            await self._http.write(bucket, lines)

        lines = [
            f"occupancy,kind={point.window.kind},zone={point.window.zone} devices={point.devices}i {point.window.start}"
            for point in points
        ]
        at, before = self._taken.get(width, (0.0, 0))
        now = time.monotonic()
        batch = await write_batch(send, lines, taken_before=before if now - at < TAKEN_SECONDS else 0)
        missing = len(batch.refused) + sum(after - first for (first, after), _ in batch.undone)
        if missing < len(points):
            self._taken[width] = now, len(points) - missing
        if batch.expired:
            _log.warning("points are older than the bucket keeps any", bucket=bucket, points=batch.expired)
        return batch

    async def kept_since(self, width: Width) -> int | None:
        """As `OccupancyStore.kept_since` says: what the bucket does, which is asked for once a minute."""
        at, kept = self._kept.get(width, (-KEPT_SECONDS, None))
        now = time.monotonic()
        if now - at >= KEPT_SECONDS:
            kept = await self._buckets.kept_ms(width)
            self._kept[width] = now, kept
        return None if kept is None else self._clock() - kept

    async def drop_expired(self) -> int:
        """InfluxDB does it by itself."""
        return 0

    async def record(self, *, zone: str, kind: KindId, width: Width, start: int, end: int, until: int) -> Record:
        """As `TimeseriesStore.record` says: three questions at the same time."""
        points, extent, coverage = await asyncio.gather(
            self.history(zone=zone, kind=kind, width=width, start=start, end=end),
            self.extent(zone, kind, width),
            self.coverage(kind, start=hour_of(start), end=until, zone=zone),
        )
        return Record(
            {point.window.start: point.devices for point in points},
            extent,
            {each.hour: each.minutes for each in coverage},
        )

    async def history(self, *, zone: str, kind: KindId, width: Width, start: int, end: int) -> list[OccupancyPoint]:
        """The points of the windows that begin in [start, end), as `OccupancyStore.history` says."""
        start, end = _representable(start), _representable(end)
        parameters = self._parameters(zone, kind, width, start, end)
        # InfluxDB calls an empty range an error.
        if start >= end:
            return []
        query = HISTORY_QUERY
        if (end - start) // nominal_ms[width] >= MAX_POINTS:
            query, parameters = LIMITED_HISTORY_QUERY, {**parameters, "_most": MAX_POINTS + 1}
        found = sorted([(milliseconds(row[3]), int(row[4])) for row in await self._http.rows(query, parameters)])
        return checked_length([OccupancyPoint(Window(width, at, zone, kind), devices) for at, devices in found])

    async def extent(self, zone: str, kind: KindId, width: Width) -> tuple[int, int] | None:
        """As `OccupancyStore.extent` says, of what InfluxDB still keeps; it may be `EXTENT_SECONDS` old."""
        parameters = self._parameters(zone, kind, width, -FARTHEST_MS, FARTHEST_MS)
        series = (zone, kind, width)
        now = time.monotonic()
        at, extent = self._extents.get(series, (-EXTENT_SECONDS, None))
        if now - at < EXTENT_SECONDS:
            return extent
        times = [milliseconds(row[3]) for row in await self._http.rows(EXTENT_QUERY, parameters)]
        extent = (min(times), max(times)) if times else None
        if len(self._extents) >= MAX_SERIES:
            self._extents.clear()
        self._extents[series] = now, extent
        return extent

    async def series(self, width: Width) -> list[tuple[str, KindId]]:
        """The zones and kinds of which InfluxDB still keeps a point, as `OccupancyStore.series` says."""
        parameters = {**self._range(width, -FARTHEST_MS, FARTHEST_MS), "_most": MAX_SERIES + 1}
        return checked_series([(row[4], KindId(row[3])) for row in await self._http.rows(SERIES_QUERY, parameters)])

    async def write_coverage(self, hours: Sequence[Coverage]) -> None:
        """As `CoverageStore.write_coverage` says."""
        await self._coverage.write(hours)

    async def coverage(self, kind: KindId, *, start: int, end: int, zone: str | None = None) -> list[Coverage]:
        """As `CoverageStore.coverage` says."""
        return await self._coverage.read(kind, start=start, end=end, zone=zone)

    async def coverage_extent(self, zone: str, kind: KindId) -> tuple[int, int] | None:
        """As `CoverageStore.coverage_extent` says."""
        return await self._coverage.extent(zone, kind)

    async def write_results(self, results: Sequence[Result]) -> None:
        """As `ResultStore.write_results` says."""
        await self._results.write(results)

    async def results(
        self,
        job: str,
        *,
        start: int,
        end: int,
        zone: str | None = None,
        kind: KindId | None = None,
        most: int = MAX_RESULTS,
    ) -> list[Result]:
        """As `ResultStore.results` says."""
        return await self._results.read(job, start=start, end=end, zone=zone, kind=kind, most=most)

    async def replace_results(self, job: str, start: int, end: int, results: Sequence[Result]) -> None:
        """As `ResultStore.replace_results` says."""
        await self._results.replace(job, start, end, results)

    async def next_time(self, after: int) -> int | None:
        """As `TimeseriesStore.next_time` says, of what InfluxDB still keeps."""
        asked = [
            self._http.rows(FIRST_QUERY, self._range(width, _representable(after), FARTHEST_MS)) for width in Width
        ]
        return min((milliseconds(row[3]) for rows in await asyncio.gather(*asked) for row in rows), default=None)

    async def windows(self, width: Width, *, start: int, end: int) -> list[OccupancyPoint]:
        """As `TimeseriesStore.windows` says, of what InfluxDB still keeps."""
        start, end = _representable(start), _representable(end)
        # InfluxDB calls an empty range an error.
        if start >= end:
            return []
        rows = await self._http.rows(WINDOWS_QUERY, {**self._range(width, start, end), "_most": MAX_POINTS + 1})
        return checked_length(
            [OccupancyPoint(Window(width, milliseconds(row[3]), row[6], KindId(row[5])), int(row[4])) for row in rows]
        )

    async def recorded(self, *, start: int, end: int) -> list[Coverage]:
        """As `TimeseriesStore.recorded` says."""
        return await self._coverage.read(None, start=start, end=end)

    async def drop(self, zone: str, kind: KindId, *, start: int, end: int) -> None:
        """Remove windows and recorded hours, as `TimeseriesStore.drop` says."""
        start, end = _representable(start), _representable(end)
        if start >= end:
            return
        self._extents.clear()
        predicate = f'zone="{checked_zone(zone)}" AND kind="{kind}"'
        try:
            for width in Width:
                # What begins at the end stays: InfluxDB would delete that, too.
                await self._http.delete(bucket_name(self._prefix, width), predicate, start=start, last=end - 1)
        except AnswerError as error:
            raise error.unavailable() from error

    def _parameters(self, zone: str, kind: KindId, width: Width, start: int, end: int) -> dict[str, Parameter]:
        return {**self._range(width, start, end), "_zone": checked_zone(zone), "_kind": kind}

    def _range(self, width: Width, start: int, end: int) -> dict[str, Parameter]:
        return {
            "_bucket": bucket_name(self._prefix, width),
            "_start": _EPOCH + timedelta(milliseconds=start),
            "_stop": _EPOCH + timedelta(milliseconds=end),
        }


def _add(written: Written, points: Sequence[OccupancyPoint], batch: Batch) -> None:
    written.expired += batch.expired
    written.refused |= {points[place].window: words for place, words in batch.refused.items()}
    written.undone += [
        Undone([point.window for point in points[first:after]], error) for (first, after), error in batch.undone
    ]


def _representable(at_ms: int) -> int:
    return min(max(at_ms, -FARTHEST_MS), FARTHEST_MS)
