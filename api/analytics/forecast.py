"""The forecast of one zone, where it has earned its place, and what of it the last minutes have changed."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field

from api.analytics.body import (
    DAY_MS,
    HOUR_MS,
    Basis,
    Begins,
    ComputedAt,
    Counted,
    DataBegin,
    DataEnd,
    Ends,
    RecordedMinutes,
    Suppressed,
    ZoneOf,
    ZoneOfTimes,
    answered,
    data_of,
    minutes_of,
    newest,
)
from api.analytics.dependencies import AnalyticsResources
from api.http.instants import TimeZone, name_of, writer
from api.http.kinds import Kind
from api.http.released import Protected, unset
from api.privacy import ShownForecast, released_basis, shown_after, shown_forecast
from core.kinds import KindId
from timeseries import Result, TimeseriesStore, Width, nominal_ms

AHEAD_MS = 7 * DAY_MS
"""So far ahead hours are looked for."""
WINDOW_MS = nominal_ms[Width.FIVE_MINUTES]
_SCORES_MS = 35 * DAY_MS
_LOOKED_AT = 7
"""Windows before a nowcast by which it may have been corrected: half an hour, and one that was not settled yet."""
_TRAINED_MS = 98 * DAY_MS
"""So long before it is computed are the hours that a forecast rests on."""


class ForecastQuery(BaseModel):
    """Whose forecast is asked for; the table of kinds says which there are (`api.analytics.routes`)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Kind
    tz: TimeZone = Field(
        default=None,
        description="IANA name of the time zone whose offset the times of the answer are written with; by default they "
        "are in UTC.",
    )


_NOTHING = ShownForecast(None, None, None)

Likely = Annotated[float | None, Field(examples=[41.5])]


@dataclass(frozen=True, slots=True)
class ForecastPoint:
    """How many devices are thought likely in a window."""

    start: Begins
    end: Ends
    value: Annotated[Likely, Field(description="How many; null where withheld.")]
    low: Annotated[Likely, Field(description="The lower end of the interval that eight of ten windows lie in.")]
    high: Annotated[Likely, Field(description="The upper end of it.")]
    suppressed: Suppressed


@dataclass(frozen=True, slots=True)
class Forecast:
    """How many devices of one kind are thought likely in one zone, hour by hour from now on."""

    zone: ZoneOf
    kind: Counted
    timezone: ZoneOfTimes
    model: Annotated[
        str | None, Field(description="What computed it; null where nothing was computed.", examples=["mstl"])
    ]
    mase: Annotated[
        float | None,
        Field(
            description="Mean absolute scaled error of the model over the last four weeks, on hours it had not seen.",
            examples=[0.71],
        ),
    ]
    baseline_mase: Annotated[
        float | None,
        Field(
            description="That of the better of two baselines: the same hour last week, the typical week.",
            examples=[0.93],
        ),
    ]
    served: Annotated[
        bool,
        Field(
            description="Whether the forecast is given: only where it is better than the baselines.", examples=[True]
        ),
    ]
    reason: Annotated[
        str | None,
        Field(description="Why there are no points; null where there are some.", examples=[None]),
    ]
    points: Annotated[list[ForecastPoint], Field(description="Hour by hour, from the present one on.")]
    nowcast: Annotated[
        list[ForecastPoint],
        Field(description="Windows of five minutes, from the present one on: the forecast after the last half hour."),
    ]
    data_begin: DataBegin
    data_end: DataEnd
    computed_at: ComputedAt
    recorded_minutes: RecordedMinutes
    basis: Basis
    protected: Protected = field(default_factory=unset)


async def forecast(
    resources: AnalyticsResources, zone: str, kind: KindId, *, shown_in: ZoneInfo | None = None
) -> Forecast:
    """The body of the answer. Raises UnavailableError if the store does not answer in time."""
    now = resources.clock()
    hour, window = now // HOUR_MS * HOUR_MS, now // WINDOW_MS * WINDOW_MS

    least = resources.least_of(kind)

    async def read() -> tuple[Result | None, list[Result], list[Result], bool, dict[int, int]]:
        store = resources.store
        scores = await store.results("forecast_score", start=now - _SCORES_MS, end=now + 1, zone=zone, kind=kind)
        score = _chosen(scores)
        if score is None:
            return None, [], [], False, {}
        at = score.at // HOUR_MS * HOUR_MS
        hours = await store.results("forecast", start=hour, end=hour + AHEAD_MS, zone=zone, kind=kind)
        near = await store.results("nowcast", start=window, end=window + DAY_MS, zone=zone, kind=kind)
        told = not least or not near or shown_after(await _counts_before(store, zone, kind, newest(near) or 0), least)
        return score, hours, near, told, await minutes_of(store, zone, kind, at - _TRAINED_MS, at)

    score, hours, near, near_is_told, minutes = await answered(read)
    served = score is not None and score.values["served"] == 1
    reason = _reason(score, hours)
    trained = sorted(minutes)
    data = data_of(
        minutes,
        trained,
        computed_at=None if score is None else newest([score, *(hours if served else [])]),
    )
    write = writer(shown_in)
    return Forecast(
        zone=zone,
        kind=kind,
        timezone=name_of(shown_in),
        model=score.other if score else None,
        mase=_score(score, "mase"),
        baseline_mase=_score(score, "baseline_mase"),
        served=served,
        reason=reason,
        points=[] if reason else _points(hours, HOUR_MS, least, shown_in),
        nowcast=[] if reason else _points(near, WINDOW_MS, least, shown_in, told=near_is_told),
        data_begin=None if data.begin is None else write(data.begin),
        data_end=None if data.end is None else write(data.end),
        computed_at=None if data.computed_at is None else write(data.computed_at),
        recorded_minutes=data.minutes,
        basis=[*_basis(least), *released_basis(resources.policy)],
        **resources.told(),
    )


def _chosen(scores: Sequence[Result]) -> Result | None:
    """The score that counts: of the newest day, of the model that is served, or else of the best that was tried."""
    if not scores:
        return None
    at = max(score.at for score in scores)
    return max(
        (score for score in scores if score.at == at),
        key=lambda score: (score.values["served"], -score.values.get("mase", float("inf"))),
    )


def _score(score: Result | None, name: str) -> float | None:
    value = score.values.get(name) if score else None
    return None if value is None else round(value, 3)


def _reason(score: Result | None, hours: Sequence[Result]) -> str | None:
    if score is None:
        return "No forecast has been computed: too little is recorded yet, or analytics does not run."
    if score.values["served"] != 1:
        mase, least = _score(score, "mase"), _score(score, "baseline_mase")
        if mase is None or least is None:
            return "It is not known how good a forecast would be, so none is given."
        return f"The best model has a MASE of {mase}, and a baseline {least}: what is no better is not given."
    if not hours:
        return "What was computed is of hours that are over: analytics has not run since."
    return None


async def _counts_before(store: TimeseriesStore, zone: str, kind: KindId, computed_at: int) -> list[int]:
    """The counts by which a nowcast may have been corrected; a window without a point had, or is taken for, 0."""
    end = computed_at // WINDOW_MS * WINDOW_MS
    starts = range(end - _LOOKED_AT * WINDOW_MS, end, WINDOW_MS)
    points = await store.history(zone=zone, kind=kind, width=Width.FIVE_MINUTES, start=starts.start, end=end)
    devices = {point.window.start: point.devices for point in points}
    return [devices.get(start, 0) for start in starts]


def _points(
    results: Sequence[Result], width: int, least: int, shown_in: ZoneInfo | None, *, told: bool = True
) -> list[ForecastPoint]:
    write = writer(shown_in)
    points = []
    for each in results:
        shown = (
            shown_forecast(each.values["value"], each.values["low"], each.values["high"], least) if told else _NOTHING
        )
        points.append(
            ForecastPoint(
                write(each.at), write(each.at + width), shown.value, shown.low, shown.high, suppressed=shown.suppressed
            )
        )
    return points


def _basis(least: int) -> list[str]:
    withheld = [
        f"What is under {least} is withheld, each end of an interval by itself.",
        "A nowcast is withheld where a count of the half hour before it is, for that could be computed from it.",
    ]
    return [
        "The error (MASE) is that of four weeks of hours that the model had not seen.",
        "A forecast is given where it is smaller than that of the same hour last week and that of the typical week.",
        "The model was chosen by these weeks, so its error is a little too good.",
        "Of these weeks' hours eight of ten were within intervals made in the same way.",
        "An hour that was not recorded is no zero: it is in no forecast.",
        *(withheld if least else []),
    ]
