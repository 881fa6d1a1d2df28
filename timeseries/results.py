"""What jobs found out: visits, flows, profiles, forecasts and so on, as numbers of a zone and kind at a time.

Nothing here tells of a single device. Counts are true ones: who shows them to others suppresses small ones.

Jobs, when their results are, and the names of values. Times are ms since the epoch; each result also has `computed_at`,
a time, which is when the job had it.

- `visits`, an hour: entries, exits, devices, visits, dwell_q1, dwell_median, dwell_q3 (seconds), dwell_devices, cut.
- `flows`, an hour; `zone` is the origin, `other` the destination, or empty for the pairs that are not named: count,
  devices.
- `profiles`, an hour of a week that stands for all, from Monday 1970-01-05 00:00 in the clock of the campus; `other` is
  empty for all days, `term` or `holiday`: q1, median, q3, hours.
- `forecast`, an hour: value, low, high.
- `forecast_score`, the hour that the forecast begins with; `other` is the model: mase, baseline_mase (left out where
  they are undefined), served (0 or 1). The newest of a series tell why nothing is served of it.
- `spread`, a 5m window of a day that stands for all (1970-01-05, in the clock of the campus): share, low, high,
  far_low, far_high: how the forecast of an hour becomes one of its windows (`analytics/forecast/spread.py`).
- `days`, the beginning of a day (UTC) that visits or flows have been worked out of, whether there were any; `other` is
  the job, `zone` the campus, `kind` is `all`: until, a time. So what is known tells nothing of what was found.
- `runs`, when a job that is done was due; `other` is its name, `zone` the campus, `kind` the first there is: seconds.
- `nowcast`, a 5m window: value, low, high.
- `anomalies`, a 5m window: value, low, high, devices.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from core.kinds import KIND_ID, KindId
from core.windows import ZONE_ID

MAX_RESULTS = 100_000
"""The most results that `ResultStore.results` gives, unless who asks says otherwise."""
MAX_VALUES = 16
COMPUTED_AT = "computed_at"
"""The value that says when a job had a result, ms since the epoch."""
DAYS, UNTIL = "days", "until"
"""The job, and the value, that say how far others have been."""
_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}", re.ASCII)
_LABEL = re.compile(ZONE_ID, re.ASCII)
_KIND = re.compile(KIND_ID, re.ASCII)


@dataclass(frozen=True, slots=True)
class Result:
    """What a job says of a zone and a kind at one time; of these, `other` and the time there is one at most."""

    job: str
    zone: str
    kind: KindId
    other: str
    """Another zone, a model, a part of the year: what the job has it for; empty where there is none."""
    at: int
    """Milliseconds since the epoch."""
    values: Mapping[str, float]


class ResultStore(Protocol):
    """Keeps results. Every method raises `core.errors.UnavailableError` where the store does not answer."""

    async def write_results(self, results: Sequence[Result]) -> None:
        """Write results, each in the place of the one that was there, with all of its values.

        Of several for one place the last counts. Raises ValueError, and writes nothing, for what `checked_result`
        refuses.
        """

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
        """The results of a job with a time in [start, end), ms since the epoch, of one zone and kind or of all.

        In order of time, zone, kind and other. Raises ValueError for more than `most`, and for a name that is none.
        """

    async def replace_results(self, job: str, start: int, end: int, results: Sequence[Result]) -> None:
        """Write results, and remove what else the job had in [start, end): so a job can be done again.

        A server does it in two steps: for a moment a reader may see too few. Raises ValueError, and changes nothing,
        where a result is of another job or time, or `checked_result` refuses it.
        """


def checked_job(job: str) -> str:
    """The name of a job, unchanged. Raises ValueError for what cannot be one: it ends up in names and queries."""
    if not _NAME.fullmatch(job):
        raise ValueError(f"{job[:80]!r} is no name of a job: 1 to 32 small letters, digits and _, the first a letter")
    return job


def checked_kind(kind: str) -> str:
    """The id of a kind, unchanged. Raises ValueError for what cannot be one."""
    if not _KIND.fullmatch(kind):
        raise ValueError(f"{kind[:80]!r} is no id of a kind, such as car")
    return kind


def checked_result(result: Result) -> Result:
    """The result, unchanged. Raises ValueError where a name in it is none, or a value is no number."""
    checked_job(result.job)
    checked_kind(result.kind)
    for label in (result.zone, result.other) if result.other else (result.zone,):
        if not _LABEL.fullmatch(label):
            raise ValueError(
                f"{label[:80]!r} is no zone or other of a result: 1 to 64 letters, digits, -, _ and ., the first a "
                "letter or digit"
            )
    if not 1 <= len(result.values) <= MAX_VALUES:
        raise ValueError(f"a result has 1 to {MAX_VALUES} values, and that of {result.job} has {len(result.values)}")
    for name, value in result.values.items():
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name[:80]!r} is no name of a value: 1 to 32 small letters, digits and _")
        if not math.isfinite(value):
            raise ValueError(f"{name} of a result of {result.job} is {value}: leave out what is not known")
    return result


def checked_replacement(job: str, start: int, end: int, results: Sequence[Result]) -> None:
    """Raise ValueError where results do not belong into what they replace."""
    checked_job(job)
    for result in results:
        checked_result(result)
        if result.job != job or not start <= result.at < end:
            raise ValueError(f"a result of {result.job} at {result.at} is not one of {job} from {start} until {end}")


def checked_number(results: list[Result], most: int) -> list[Result]:
    """The results, unchanged. Raises ValueError for more than `most`."""
    if len(results) > most:
        raise ValueError(f"more than {most:,} results: ask for a shorter time or for one zone")
    return results
