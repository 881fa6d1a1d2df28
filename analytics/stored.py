"""What jobs on the lake found, as results in the time-series store, where the API reads them."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from analytics.hours import HOUR_MS, MONDAY_MS
from analytics.running import DAY_MS, Slice
from core.kinds import KindId
from timeseries import Result, ResultStore
from timeseries.results import COMPUTED_AT, DAYS, UNTIL

MOST_PAIRS = 2_000
"""Pairs of zones of an hour that are named, those with the most devices; the rest is one result of the campus."""
KEYS = frozenset({"zone", "kind", "other", "at"})
WEEK_MS = 168 * HOUR_MS
OF_DAYS = frozenset({"visits", "flows"})
"""Jobs of which the API tells how far they have been."""
ALL_KINDS = KindId("all")


async def store_slice(store: ResultStore, job: str, found: Slice, *, campus: str, now: int) -> int:
    """Put what a job found of a range in the place of what the store had of it; how many results that is.

    Of profiles all are replaced: there is one typical week. Of visits and flows it is kept until when a day (UTC) was
    worked out, afterwards, and also where nothing was found. `campus` is the id of the campus as a zone, `now` when it
    was found, ms since the epoch. Raises UnavailableError.
    """
    results = [_result(job, row, now) for row in found.rows.to_pylist()]
    if job == "flows":
        results = _named(results, campus, now)
    start, end = (MONDAY_MS, MONDAY_MS + WEEK_MS) if job == "profiles" else (found.start, found.end)
    await store.replace_results(job, start, end, results)
    if job in OF_DAYS:
        values = {UNTIL: float(found.end), COMPUTED_AT: float(now)}
        await store.write_results([Result(DAYS, campus, ALL_KINDS, job, found.start - found.start % DAY_MS, values)])
    return len(results)


def _result(job: str, row: dict[str, str | int | float | None], now: int) -> Result:
    values = {name: float(value) for name, value in row.items() if name not in KEYS and value is not None}
    return Result(
        job,
        str(row["zone"]),
        KindId(str(row["kind"])),
        str(row["other"]),
        int(row["at"] or 0),
        {**values, COMPUTED_AT: float(now)},
    )


def _named(flows: Sequence[Result], campus: str, now: int) -> list[Result]:
    hours: dict[int, list[Result]] = defaultdict(list)
    for flow in flows:
        hours[flow.at].append(flow)
    found: list[Result] = []
    for at, of_hour in hours.items():
        of_hour.sort(
            key=lambda flow: (-flow.values["devices"], -flow.values["count"], flow.zone, flow.other, flow.kind)
        )
        found += of_hour[:MOST_PAIRS]
        rest: dict[KindId, list[Result]] = defaultdict(list)
        for flow in of_hour[MOST_PAIRS:]:
            rest[flow.kind].append(flow)
        # One device may be in several pairs: of the rest, devices are counted once for each.
        found += [
            Result("flows", campus, kind, "", at, {**_sums(flows_of), COMPUTED_AT: float(now)})
            for kind, flows_of in rest.items()
        ]
    return found


def _sums(flows: Iterable[Result]) -> dict[str, float]:
    total = {"count": 0.0, "devices": 0.0}
    for flow in flows:
        for name in total:
            total[name] += flow.values[name]
    return total
