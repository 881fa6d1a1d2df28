"""The jobs around forecasts: what they read from the time-series store, and what they put there.

Each night the forecast of the next two days, of the series of which a model beats the better baseline; every five
minutes the next two hours, and what has been unlike the forecast.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np
import structlog

from analytics.forecast.anomalies import anomaly
from analytics.forecast.backtest import HORIZON, Backtest, Model, backtest
from analytics.forecast.baselines import LastWeek, TypicalWeek
from analytics.forecast.choose import Choice, choose
from analytics.forecast.intervals import interval
from analytics.forecast.models import Mstl, models
from analytics.forecast.nowcast import LOOKED_AT, nowcast
from analytics.forecast.past import DAY, HOUR_MS, WEEK, DayKind, Floats, Gathered, Name, Past, hour_number
from analytics.forecast.scores import score
from analytics.forecast.spread import FIVE_MINUTES_MS, PARTS, RUN, SLOTS, Spread, slot_of, spread
from analytics.forecast.trial import promising
from timeseries import Result, TimeseriesStore, Width, hour_of
from timeseries.coverage import MINUTES, minute_of
from timeseries.results import COMPUTED_AT

DAY_MS = DAY * HOUR_MS
PAST_MS = 14 * WEEK * HOUR_MS
"""Four weeks of backtest, and ten before them."""
MONDAY_MS = 4 * DAY_MS
"""1970-01-05T00:00Z: the day whose slots stand for those of all days."""
FOREVER_MS = 366 * DAY_MS
"""How far ahead old forecasts are looked for, to be removed."""
SETTLED_MS = 60_000
"""How long after its end a window is taken as counted."""
LEAST_MINUTES = 4
"""Recorded minutes without which a 5m window says nothing."""
LOADED_MS = HOUR_MS
"""How long forecasts are kept in memory: somebody else may have made them anew."""
KEPT_MS = 92 * DAY_MS
"""How long forecasts, their scores, nowcasts and anomalies are kept."""

_log = structlog.stdlib.get_logger("analytics")


@dataclass(frozen=True, slots=True)
class Done:
    """What a forecast came to."""

    series: int
    """Of which anything was recorded."""
    scored: int
    """Of which there is a score: the past was long enough."""
    served: int
    """Of which a model beats the better baseline."""


@dataclass(frozen=True, slots=True)
class _Served:
    """The forecast of one series, as the store has it."""

    spread: Spread
    forecast: Mapping[int, float]


@dataclass(frozen=True, slots=True)
class _Found:
    """All that a night comes to."""

    choices: list[Choice]
    end: int
    forecasts: Mapping[Name, tuple[Floats, Floats, Floats]]
    """Value, low, high, by hours from `end` on."""
    tested: Backtest | None


class Forecasts:
    """Reads what was counted, writes results. Each method may be called again, and raises UnavailableError."""

    def __init__(
        self,
        store: TimeseriesStore,
        *,
        zone: ZoneInfo,
        kind_of: DayKind,
        competing: Callable[[], Sequence[Model]] = models,
    ) -> None:
        """`zone` is the campus's; `kind_of` says what kind of day a date is; `competing` makes the models anew."""
        self._store = store
        self._zone = zone
        self._kind_of = kind_of
        self._competing = competing
        self._hour_of = lru_cache(maxsize=4096)(lambda at: hour_number(at - at % FIVE_MINUTES_MS, zone))
        self._served: dict[Name, _Served] = {}
        self._loaded: int | None = None

    async def forecast(self, now: int) -> Done:
        """Test all models, choose, and write the next two days; `now` is when it is, ms since the epoch."""
        end = hour_of(now)
        past = await self._past(end)
        found = await asyncio.to_thread(self._work_out, past)
        slots = await self._slots(past, found)
        results = [
            Result("forecast", *name, "", at, {"value": value, "low": low, "high": high, COMPUTED_AT: float(now)})
            for name, bounds in found.forecasts.items()
            for at, value, low, high in self._by_time(end, found.end, bounds)
        ]
        await self._store.replace_results("forecast_score", end, end + HOUR_MS, list(_scores(found, end, now)))
        await self._store.replace_results("spread", MONDAY_MS, MONDAY_MS + DAY_MS, slots)
        await self._store.replace_results("forecast", end, end + FOREVER_MS, results)
        for job in ("forecast", "forecast_score", "nowcast", "anomalies"):
            await self._store.replace_results(job, 0, now - KEPT_MS, [])
        self._loaded = None
        done = Done(
            len(past.names), sum(each.baseline_mase is not None for each in found.choices), len(found.forecasts)
        )
        _log.info("forecast", series=done.series, scored=done.scored, served=done.served)
        return done

    async def backtest(self, now: int) -> list[Choice]:
        """What would be served, and why; nothing is written."""
        past = await self._past(hour_of(now))
        return (await asyncio.to_thread(self._work_out, past)).choices

    async def nowcast(self, now: int) -> int:
        """Write the windows of the next two hours; how many series have them."""
        begin = _last_window(now) + FIVE_MINUTES_MS
        counted = await self._counted(begin - LOOKED_AT * FIVE_MINUTES_MS, begin, now)
        found = {
            name: nowcast(begin, counted.get(name, {}), each.forecast, each.spread, self._hour_of)
            for name, each in self._served.items()
        }
        results = [
            Result(
                "nowcast",
                *name,
                "",
                said.at,
                {"value": said.value, "low": said.low, "high": said.high, COMPUTED_AT: float(now)},
            )
            for name, windows in found.items()
            for said in windows
        ]
        await self._store.replace_results("nowcast", begin, begin + FOREVER_MS, results)
        return sum(1 for windows in found.values() if windows)

    async def anomalies(self, now: int) -> int:
        """Write the windows of the last half hour that are unlike their forecast; how many series are so at its end."""
        last = _last_window(now)
        first = last - (LOOKED_AT - 1) * FIVE_MINUTES_MS
        counted = await self._counted(first - (RUN - 1) * FIVE_MINUTES_MS, last + FIVE_MINUTES_MS, now)
        results = []
        for name, each in self._served.items():
            for at in range(first, last + 1, FIVE_MINUTES_MS):
                found = anomaly(at, counted.get(name, {}), each.forecast, each.spread, self._hour_of)
                if found is not None:
                    values = {"value": found.value, "low": found.low, "high": found.high}
                    values |= {"devices": float(found.devices), COMPUTED_AT: float(now)}
                    results.append(Result("anomalies", *name, "", at, values))
        await self._store.replace_results("anomalies", first, last + FIVE_MINUTES_MS, results)
        return sum(1 for result in results if result.at == last)

    async def _past(self, end: int) -> Past:
        start = end - PAST_MS
        gathered = Gathered(start=start, end=end, zone=self._zone)
        # A day at a time: no store refuses that for being too long, and a large campus has millions of hours in all.
        for begin in range(start, end, DAY_MS):
            until = min(begin + DAY_MS, end)
            points = await self._store.windows(Width.HOUR, start=begin, end=until)
            gathered.add(points, await self._store.recorded(start=begin, end=until))
        return gathered.past()

    def _work_out(self, past: Past) -> _Found:
        baselines: list[Model] = [LastWeek(), TypicalWeek()]
        competing = list(self._competing())
        for model in competing:
            if isinstance(model, Mstl):
                model.only = promising(past, model, baselines, self._kind_of)
        tested = backtest(past, [*baselines, *competing], self._kind_of) if past.names else None
        if tested is None:
            return _Found([], past.end, {}, None)
        choices = choose(
            past.names,
            score(tested),
            baselines=[model.name for model in baselines],
            models=[model.name for model in competing],
        )
        forecasts: dict[Name, tuple[Floats, Floats, Floats]] = {}
        for model in competing:
            rows = [row for row, each in enumerate(choices) if each.served == model.name]
            if not rows:
                continue
            said = model.forecast(past, HORIZON, self._kind_of)
            for row in rows:
                low, high = interval(said[row], tested.said[model.name][:, row], tested.came[:, row])
                forecasts[past.names[row]] = said[row], low, high
        return _Found(choices, past.end, forecasts, tested)

    async def _slots(self, past: Past, found: _Found) -> list[Result]:
        if found.tested is None:
            return []
        results = []
        for row, choice in enumerate(found.choices):
            if choice.served is None:
                continue
            said = found.tested.said[choice.served][:, row, :DAY].ravel()
            came = found.tested.came[:, row, :DAY].ravel()
            windows = await self._windows(choice.name, found.tested.origins[0], said.size, past)
            if np.isnan(windows).all():
                continue
            results += list(_slots_of(choice.name, spread(found.tested.origins[0], said, came, windows)))
        return results

    async def _windows(self, name: Name, first: int, hours: int, past: Past) -> Floats:
        """The 5m windows of hours in a row, the first with the number `first`; NaN where not known or kept."""
        zone, kind = name
        found = np.zeros((hours, PARTS))
        start = first * HOUR_MS - DAY_MS
        end = (first + hours) * HOUR_MS + DAY_MS
        points = await self._store.history(zone=zone, kind=kind, width=Width.FIVE_MINUTES, start=start, end=end)
        for point in points:
            at = point.window.start
            hour = self._hour_of(at) - first
            if 0 <= hour < hours:
                found[hour, slot_of(0, at)] = point.devices
        kept = await self._store.kept_since(Width.FIVE_MINUTES)
        if kept is not None:
            # They may be kept for a shorter time than hours are: what is gone is no zero.
            found[: max(self._hour_of(kept) + 1 - first, 0)] = np.nan
        row = past.names.index(name)
        found[np.isnan(past.values[row, first - past.first : first - past.first + hours])] = np.nan
        return found

    def _by_time(
        self, end: int, first: int, bounds: tuple[Floats, Floats, Floats]
    ) -> Iterable[tuple[int, float, float, float]]:
        for at in range(end, end + HORIZON * HOUR_MS, HOUR_MS):
            # Where clocks go back, the hour that comes twice may begin before the first.
            hour = max(hour_number(at, self._zone) - first, 0)
            if hour < HORIZON and not np.isnan(bounds[0][hour]):
                value, low, high = (float(each[hour]) for each in bounds)
                yield at, value, low, high

    async def _counted(self, start: int, end: int, now: int) -> dict[Name, dict[int, int]]:
        """The windows of served series in [start, end) that were recorded; what is served is read anew once an hour."""
        if self._loaded is None or not 0 <= now - self._loaded < LOADED_MS:
            await self._load(end)
            self._loaded = now
        if not self._served:
            return {}
        points = await self._store.windows(Width.FIVE_MINUTES, start=start, end=end)
        devices = {(point.window.zone, point.window.kind, point.window.start): point.devices for point in points}
        found: dict[Name, dict[int, int]] = {}
        for each in await self._store.recorded(start=hour_of(start), end=end):
            name = each.zone, each.kind
            if name not in self._served:
                continue
            for at in range(max(each.hour, start), min(each.hour + HOUR_MS, end), FIVE_MINUTES_MS):
                if _minutes_of(each.minutes, at) >= LEAST_MINUTES:
                    found.setdefault(name, {})[at] = devices.get((*name, at), 0)
        return found

    async def _load(self, at: int) -> None:
        forecasts: dict[Name, dict[int, float]] = {}
        end = hour_of(at) + HORIZON * HOUR_MS
        for result in await self._store.results("forecast", start=hour_of(at) - 2 * HOUR_MS, end=end, most=10**6):
            forecasts.setdefault((result.zone, result.kind), {})[result.at] = result.values["value"]
        served: dict[Name, _Served] = {}
        # A zone at a time: of a large campus the slots of all are hundreds of megabytes.
        for zone in sorted({zone for zone, _ in forecasts}):
            slots: dict[Name, list[Result]] = {}
            for result in await self._store.results("spread", start=MONDAY_MS, end=MONDAY_MS + DAY_MS, zone=zone):
                slots.setdefault((result.zone, result.kind), []).append(result)
            served |= {
                name: _Served(_spread_of(results), forecasts[name])
                for name, results in slots.items()
                if len(results) == SLOTS and name in forecasts
            }
        self._served = served


def _last_window(now: int) -> int:
    """The start of the newest 5m window that is counted."""
    return (now - SETTLED_MS) // FIVE_MINUTES_MS * FIVE_MINUTES_MS - FIVE_MINUTES_MS


def _minutes_of(mask: int, at: int) -> int:
    """How many minutes of the 5m window that begins at `at` were recorded, by the mask of its hour."""
    window = mask >> (MINUTES - minute_of(at) - 5)
    return (window & 0b11111).bit_count()


def _scores(found: _Found, at: int, now: int) -> Iterable[Result]:
    for choice in found.choices:
        for model, mase in choice.mases.items():
            values = {"served": float(choice.served == model), COMPUTED_AT: float(now)}
            if mase is not None:
                values["mase"] = mase
            if choice.baseline_mase is not None:
                values["baseline_mase"] = choice.baseline_mase
            yield Result("forecast_score", *choice.name, model, at, values)


def _slots_of(name: Name, found: Spread) -> Iterable[Result]:
    for slot in range(SLOTS):
        values = {
            "share": float(found.share[slot]),
            "low": float(found.low[slot]),
            "high": float(found.high[slot]),
            "far_low": found.far_low,
            "far_high": found.far_high,
        }
        yield Result("spread", *name, "", MONDAY_MS + slot * FIVE_MINUTES_MS, values)


def _spread_of(results: Sequence[Result]) -> Spread:
    def column(name: str) -> Floats:
        return np.array([result.values[name] for result in results])

    return Spread(
        column("share"),
        column("low"),
        column("high"),
        results[0].values["far_low"],
        results[0].values["far_high"],
    )
