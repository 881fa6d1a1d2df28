"""Results of jobs in InfluxDB 2, in a bucket of their own, for they are not kept as long as windows are.

Measurement `result_JOB`, tags `kind`, `zone` and `other` (`-` where there is none), a field for each value (a float),
time: that of the result. A point that replaces another leaves the fields that it does not have: so the field
`names` says which of them are values.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from core.errors import UnavailableError
from core.kinds import KindId
from timeseries.influx_answers import AnswerError
from timeseries.influx_http import InfluxHttp, Parameter, milliseconds
from timeseries.influx_writing import write_batch
from timeseries.results import (
    MAX_RESULTS,
    MAX_VALUES,
    Result,
    checked_job,
    checked_kind,
    checked_number,
    checked_replacement,
    checked_result,
)
from timeseries.store import checked_zone

BATCH_RESULTS = 2000
"""Points in one request; about 300 kB."""
NAMES = "names"
NONE = "-"
"""The tag of what has no other: InfluxDB has no empty ones, and no other begins with it."""
FARTHEST_MS = 2**63 // 1_000_000 - 1
"""InfluxDB counts nanoseconds in 64 bits: years 1677 to 2262."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# Fields are numbers and one text: as texts they fit into one table.
_QUERY = """from(bucket: _bucket)
    |> range(start: _start, stop: _stop)
    |> filter(fn: (r) => r._measurement == _job{also})
    |> toString()
    |> keep(columns: ["_time", "_value", "_field", "kind", "other", "zone"])
    |> group()
    |> limit(n: _most)
"""
RESULTS_QUERY = _QUERY.format(also="")
RESULTS_OF_ZONE_QUERY = _QUERY.format(also=" and r.zone == _zone")
RESULTS_OF_KIND_QUERY = _QUERY.format(also=" and r.kind == _kind")
RESULTS_OF_ZONE_AND_KIND_QUERY = _QUERY.format(also=" and r.zone == _zone and r.kind == _kind")


class InfluxResults:
    """Reads and writes results in one bucket, as `timeseries.results.ResultStore` says."""

    def __init__(self, http: InfluxHttp, bucket: str) -> None:
        self._http = http
        self._bucket = bucket

    async def write(self, results: Sequence[Result]) -> None:
        """Write results, in as many requests as it takes."""
        lines = [_line(checked_result(result)) for result in results]

        async def send(text: str) -> None:
            await self._http.write(self._bucket, text)

        for first in range(0, len(lines), BATCH_RESULTS):
            batch = await write_batch(send, lines[first : first + BATCH_RESULTS])
            if batch.undone:
                raise batch.undone[0][1]
            if batch.refused:
                raise UnavailableError(f"InfluxDB refuses results: {next(iter(batch.refused.values()))}")

    async def read(
        self,
        job: str,
        *,
        start: int,
        end: int,
        zone: str | None = None,
        kind: KindId | None = None,
        most: int = MAX_RESULTS,
    ) -> list[Result]:
        """The results of a job in [start, end)."""
        start, end = _representable(start), _representable(end)
        parameters: dict[str, Parameter] = {
            "_bucket": self._bucket,
            "_start": _EPOCH + timedelta(milliseconds=start),
            "_stop": _EPOCH + timedelta(milliseconds=end),
            "_job": f"result_{checked_job(job)}",
            "_most": (most + 1) * (MAX_VALUES + 1),
        }
        if zone is not None:
            parameters["_zone"] = checked_zone(zone)
        if kind is not None:
            parameters["_kind"] = checked_kind(kind)
        # InfluxDB calls an empty range an error.
        if start >= end:
            return []
        query = {
            (False, False): RESULTS_QUERY,
            (True, False): RESULTS_OF_ZONE_QUERY,
            (False, True): RESULTS_OF_KIND_QUERY,
            (True, True): RESULTS_OF_ZONE_AND_KIND_QUERY,
        }[zone is not None, kind is not None]
        return checked_number(_results(job, await self._http.rows(query, parameters)), most)

    async def replace(self, job: str, start: int, end: int, results: Sequence[Result]) -> None:
        """Delete all that a job had in [start, end), and write results."""
        checked_replacement(job, start, end, results)
        start, end = _representable(start), _representable(end)
        if start >= end:
            return
        try:
            # What is at the end stays: InfluxDB would delete that, too.
            await self._http.delete(self._bucket, f'_measurement="result_{job}"', start=start, last=end - 1)
        except AnswerError as error:
            raise error.unavailable() from error
        await self.write(results)


def _line(result: Result) -> str:
    values = ",".join(f"{name}={float(value)!r}" for name, value in result.values.items())
    names = " ".join(result.values)
    tags = f"kind={result.kind},other={result.other or NONE},zone={result.zone}"
    return f'result_{result.job},{tags} {values},{NAMES}="{names}" {result.at}'


def _results(job: str, rows: list[list[str]]) -> list[Result]:
    fields: dict[tuple[str, str, str, str], dict[str, str]] = defaultdict(dict)
    for row in rows:
        field, at, text, kind, other, zone = row[3:9]
        fields[at, zone, kind, other][field] = text
    found = [
        Result(
            job,
            zone,
            KindId(kind),
            "" if other == NONE else other,
            milliseconds(at),
            {name: float(texts[name]) for name in texts[NAMES].split(" ")},
        )
        for (at, zone, kind, other), texts in fields.items()
        # Where the answer was cut, the last of it may lack some.
        if NAMES in texts and set(texts[NAMES].split(" ")) <= texts.keys()
    ]
    return sorted(found, key=lambda result: (result.at, result.zone, result.kind, result.other))


def _representable(at_ms: int) -> int:
    return min(max(at_ms, -FARTHEST_MS), FARTHEST_MS)
