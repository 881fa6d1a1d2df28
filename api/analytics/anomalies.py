"""What is not as it was expected: a zone that was outside the interval of its forecast for a quarter of an hour."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import Field

from api.analytics.body import HOUR_MS, Begins, ComputedAt, Counted, Ends, ZoneOf, answered, newest
from api.analytics.dependencies import AnalyticsResources
from api.analytics.forecast import WINDOW_MS
from api.http.instants import writer
from api.http.released import Protected, unset
from api.privacy import shown_count, shown_forecast
from timeseries import Result

LASTS_MS = HOUR_MS // 3
"""An anomaly whose last window began so long ago is over; the newest that was looked at began some minutes later."""


@dataclass(frozen=True, slots=True)
class Anomaly:
    """A count that was outside the interval of its forecast for three windows or more."""

    kind: Counted
    start: Annotated[Begins, Field(description="When its newest window began, RFC 3339.")]
    end: Ends
    devices: Annotated[int, Field(description="How many devices were seen in it.", examples=[214])]
    value: Annotated[float, Field(description="How many were expected.", examples=[96.2])]
    low: Annotated[float, Field(description="The lower end of the interval.", examples=[71.0])]
    high: Annotated[float, Field(description="The upper end of it.", examples=[120.5])]


@dataclass(frozen=True, slots=True)
class Anomalies:
    """What of a zone is not as expected, now."""

    zone: ZoneOf
    anomalies: Annotated[
        list[Anomaly],
        Field(
            description="One for each kind at the most; none where all is as expected, where nothing is forecast, and "
            "where a count or an interval is withheld."
        ),
    ]
    computed_at: ComputedAt
    protected: Protected = field(default_factory=unset)


def as_expected(resources: AnalyticsResources, zone: str) -> Anomalies:
    """The body about a zone without any anomaly."""
    return Anomalies(zone, [], None, **resources.told())


async def anomalies(resources: AnalyticsResources, zone: str) -> Anomalies:
    """The body of the answer about one zone. Raises UnavailableError if the store does not answer in time."""
    found = await read_anomalies(resources, zone)
    return found.get(zone) or as_expected(resources, zone)


async def read_anomalies(resources: AnalyticsResources, zone: str | None = None) -> dict[str, Anomalies]:
    """The anomalies that last, by zone; of one zone, or of all. Raises UnavailableError."""
    now = resources.clock()

    async def read() -> list[Result]:
        return await resources.store.results("anomalies", start=now - LASTS_MS, end=now + 1, zone=zone)

    by_zone: defaultdict[str, dict[str, Result]] = defaultdict(dict)
    for each in await answered(read):
        # In the order of time: the newest window of each kind stays.
        by_zone[each.zone][each.kind] = each
    told = {each: _shown(resources, list(found.values())) for each, found in by_zone.items()}
    write = writer(None)
    return {
        each: Anomalies(
            each,
            [anomaly for _, anomaly in found],
            write(newest(result for result, _ in found) or 0),
            **resources.told(),
        )
        for each, found in told.items()
        if found
    }


def _shown(resources: AnalyticsResources, results: Sequence[Result]) -> list[tuple[Result, Anomaly]]:
    """Those of which all may be shown: nothing is said of the others, not even that they are there."""
    write = writer(None)
    found = []
    for each in results:
        if each.kind not in resources.kinds.ids:
            continue
        values, least = each.values, resources.least_of(each.kind)
        devices, _ = shown_count(int(values["devices"]), least)
        shown = shown_forecast(values["value"], values["low"], values["high"], least)
        if devices is not None and shown.value is not None and shown.low is not None and shown.high is not None:
            said = Anomaly(
                each.kind, write(each.at), write(each.at + WINDOW_MS), devices, shown.value, shown.low, shown.high
            )
            found.append((each, said))
    return found
