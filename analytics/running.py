"""Runs a job on an engine: which files it reads, a day (UTC) at a time, and what it gives.

Each day stands alone: it can be worked out again when late positions have come, and memory is that of two days however
long a range is. For what is under way when a day begins, positions of the day before it are read, too.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import pyarrow as pa

from analytics.calendar import Calendar
from analytics.engines import Engine
from analytics.hours import HOUR_MS, hours_between
from analytics.jobs import CHECK, RESULTS, Job, text
from core.clock import AHEAD_MS
from lake import layout
from lake.reading import paths
from lake.store import Lake

DAY_MS = 24 * HOUR_MS
LONGEST_MS = DAY_MS
"""A visit that is longer is cut: how long it was is not told."""
PAUSE_MS = 2 * HOUR_MS
"""The most between two visits of which one led to the other."""
RUN_MS = 12 * HOUR_MS
"""Within it lie all arrivals of a path."""
LEAST_MINUTES = 54
"""Recorded minutes of an hour that a typical week is made of."""
_LOOKS = 5


@dataclass(frozen=True)
class Sources:
    """What jobs read beside their engine."""

    lake: Lake
    related: pa.Table
    """Zones of which one holds the other, as `analytics.zones.related_zones` has them."""
    zone: ZoneInfo
    """The campus's."""
    calendar: Calendar
    presence_ttl_ms: int
    """How long a device is present after its newest position: PRESENCE_TTL."""


@dataclass(frozen=True, slots=True)
class Slice:
    """What a job found of a part of its range; [start, end) are milliseconds since the epoch."""

    start: int
    end: int
    rows: pa.Table


def run_job(engine: Engine, job: Job, start: int, end: int, sources: Sources) -> pa.Table:
    """What a job finds of [start, end), ms since the epoch, both whole hours.

    Columns of all but paths: `zone`, `kind`, `other` (text, empty where there is none), `at` (ms since the epoch), and

    - visits: `at` is an hour. `entries`, `exits`; `devices` and `visits`: how many entered or left, a device and a
      visit once each; `dwell_q1`, `dwell_median`, `dwell_q3`: seconds, quartiles of the visits that ended in the hour,
      null where there is none, and `dwell_devices`, whose visits these were; `cut`: exits after more than a day, which
      are not in the quartiles.
    - flows: `zone` is the origin, `other` the destination, `at` the hour of the arrival: `count`, `devices`.
    - profiles: `at` is an hour of the week as `analytics.hours.week_ms` has it, `other` the kind of day
      (`analytics.calendar`): `q1`, `median`, `q3` of the devices of such an hour, and `hours`, how many were recorded.
    - paths: `path` (zones joined by >), `kind`, `at`: the hour of the last arrival, `zones`: how many there are in the
      path, `count`, `devices`.

    An hour in which there was nothing has no row. Rows are in the order of the columns up to `at`. Raises ValueError
    for a range that is empty or not of whole hours, and UnavailableError where the lake is.
    """
    found = [each.rows for each in slices(engine, job, start, end, sources)]
    return _in_order(pa.concat_tables(found), RESULTS[job])


def slices(engine: Engine, job: Job, start: int, end: int, sources: Sources) -> Iterator[Slice]:
    """The same by days (UTC), in order, for whoever shows how far it is; of profiles there is one for all."""
    if start >= end or start % HOUR_MS or end % HOUR_MS:
        raise ValueError("a range is of whole hours, and ends after it begins")
    if job == "profiles":
        yield Slice(start, end, _tried(lambda: _profiles(engine, start, end, sources)))
        return
    for begin, until in days_between(start, end):
        yield Slice(begin, until, _tried(lambda: _day(engine, job, begin, until, sources)))  # noqa: B023 - called here


def check(engine: Engine, visits: pa.Table, start: int, end: int, sources: Sources) -> pa.Table:
    """The hours of [start, end) of which entries less exits is not how presence changed; `visits` are as of `run_job`.

    Presence is worked out from the positions by a query that knows nothing of visits: `before` and `after` are devices
    that were present at both ends of the hour. None is how it should be; late positions, which came after the visits
    were worked out, are one reason why it is not.
    """
    hours = visits.select(["zone", "kind", "at", "entries", "exits"]).rename_columns(
        ["zone", "kind", "at_ms", "entries", "exits"]
    )

    def day(begin: int, until: int) -> pa.Table:
        _positions(engine, begin - sources.presence_ttl_ms, until, sources)
        engine.explode("position_zones", "positions")
        engine.table("visit_hours", hours)
        engine.table("moments", pa.table({"moment": pa.array(range(begin, until + HOUR_MS, HOUR_MS), pa.int64())}))
        return _result(engine, CHECK, start=begin, end=until, ttl=sources.presence_ttl_ms)

    found = [_tried(lambda: day(begin, until)) for begin, until in days_between(start, end)]  # noqa: B023 - called here
    return _in_order(pa.concat_tables(found), RESULTS[CHECK])


def days_between(start: int, end: int) -> Iterator[tuple[int, int]]:
    """The parts of the days (UTC) that lie in [start, end), ms since the epoch."""
    while start < end:
        until = min(start - start % DAY_MS + DAY_MS, end)
        yield start, until
        start = until


def _day(engine: Engine, job: Job, start: int, end: int, sources: Sources) -> pa.Table:
    # A visit that began before the first position that is read, or at it, is over a day old by `start`.
    _positions(engine, start - LONGEST_MS - sources.presence_ttl_ms, end, sources)
    engine.explode("position_zones", "positions")
    engine.keep("stays", text("stays", ttl=sources.presence_ttl_ms))
    if job != "visits":
        engine.table("related", sources.related)
        first = start - RUN_MS if job == "paths" else start
        engine.keep("links", text("links", first=first, end=end, pause=PAUSE_MS))
    return _result(engine, job, start=start, end=end, longest=LONGEST_MS)


def _positions(engine: Engine, since: int, until: int, sources: Sources) -> None:
    first, last = layout.date_of(since), layout.date_of(until - 1 + DAY_MS)
    engine.files("positions", paths(sources.lake, layout.POSITIONS, first, last))
    engine.view("positions", text("positions", since=since, until=until, ahead=AHEAD_MS))


def _profiles(engine: Engine, start: int, end: int, sources: Sources) -> pa.Table:
    first, last = layout.date_of(start), layout.date_of(end - 1 + DAY_MS)
    for table in (layout.OCCUPANCY, layout.COVERAGE):
        engine.files(table, paths(sources.lake, table, first, last))
    engine.table("hours", hours_between(start, end, sources.zone, sources.calendar))
    return _result(engine, "profiles", start=start, end=end, least=LEAST_MINUTES)


def _result(engine: Engine, job: str, **parameters: int) -> pa.Table:
    rows = engine.rows(text(job, **parameters))
    named = rows.rename_columns(["at" if name == "at_ms" else name for name in rows.column_names])
    return _in_order(named.select(RESULTS[job].names).cast(RESULTS[job]), RESULTS[job])


def _in_order(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    keys = schema.names[: schema.names.index("at") + 1]
    return rows.sort_by([(name, "ascending") for name in keys])


def _tried(work: Callable[[], pa.Table]) -> pa.Table:
    """What is gone when it is opened was rewritten since it was listed: it is listed again."""
    for _ in range(_LOOKS - 1):
        try:
            return work()
        except FileNotFoundError:
            continue
    return work()
