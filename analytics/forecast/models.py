"""Models that have to beat the baselines. They need the extra `forecast`."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analytics.forecast.backtest import HORIZON, Model
from analytics.forecast.baselines import WEEKS, median, typical
from analytics.forecast.past import DAY, WEEK, DayKind, Floats, Name, Past, day_kinds, shifted, weekdays

SEED = 18
ROUNDS = 150
LEAVES = 15
MOST_ROWS = 150_000
"""Rows that the trees learn from: a large campus has them of fewer days."""


def models() -> list[Model]:
    """Those whose libraries are there; without the extra `forecast` there is none."""
    try:
        import lightgbm  # noqa: F401, PLC0415 - a part of an extra
        import statsforecast  # noqa: F401, PLC0415 - a part of an extra
    except ImportError:
        return []
    return [Mstl(), Trees()]


class Mstl:
    """Each series by itself: a day, a week, a trend and the rest (statsforecast's MSTL), from its last eight weeks.

    It takes no gaps: hours that were not recorded are given the median of their hour of the week. Each series takes a
    third of a second: `only` says of which it is asked.
    """

    name = "mstl"

    def __init__(self) -> None:
        self.only: frozenset[Name] | None = None
        """The series of which it says anything; None: all."""

    def forecast(self, past: Past, hours: int, kind_of: DayKind) -> Floats:  # noqa: ARG002 - it knows no calendar
        """The next hours of each series; NaN for one that was recorded in less than two weeks, or is not asked for."""
        from statsforecast.models import MSTL  # noqa: PLC0415 - a part of an extra

        found = np.full((len(past.names), hours), np.nan)
        values = past.values[:, -WEEKS * WEEK :]
        for row, name in enumerate(past.names):
            if self.only is not None and name not in self.only:
                continue
            known = np.flatnonzero(~np.isnan(values[row]))
            if known.size < 2 * WEEK:
                continue
            filled = _filled(values[row, known[0] :])
            if filled.size < 2 * WEEK:
                continue
            if not filled.any():
                found[row] = 0.0
                continue
            with _quiet():
                found[row] = MSTL(season_length=[DAY, WEEK]).forecast(y=filled, h=hours)["mean"]
        bounded: Floats = np.maximum(found, 0.0)
        return bounded


@dataclass
class Trees:
    """One model for all zones and kinds (LightGBM): what the same hours of weeks before say, last days, calendar.

    It learns anew once a week: what it learned before an origin is good for the origins of the next six days, too.
    """

    name: str = "lightgbm"
    _learned: list[tuple[int, tuple[Any, ...], Any]] = field(default_factory=list, repr=False)

    def forecast(self, past: Past, hours: int, kind_of: DayKind) -> Floats:
        """The next hours of each series; NaN for one of which nothing is known."""
        booster = self._booster(past, kind_of)
        if booster is None:
            return np.full((len(past.names), hours), np.nan)
        columns = past.values.shape[1]
        rows, usual, scale = _features(past, columns, hours, kind_of)
        beside = booster.predict(rows, num_threads=1).reshape(len(past.names), hours)
        found = np.maximum(usual + beside * scale[:, None], 0.0)
        unknown = np.isnan(past.values).all(axis=1, keepdims=True)
        return np.where(unknown, np.nan, found)

    def _booster(self, past: Past, kind_of: DayKind) -> Any:  # noqa: ANN401 - of a library without types
        for end, names, booster in self._learned:
            # Never one that has seen what came after this past.
            if names == past.names and past.end - WEEK < end <= past.end:
                return booster
        booster = _learn(past, kind_of)
        self._learned = [(past.end, past.names, booster)]
        return booster


def _learn(past: Past, kind_of: DayKind) -> Any:  # noqa: ANN401 - of a library without types
    import lightgbm  # noqa: PLC0415 - a part of an extra

    columns = past.values.shape[1]
    parts: list[Floats] = []
    targets: list[Floats] = []
    rows = 0
    # At each earlier origin, what came is known.
    for origin in range(columns - HORIZON, WEEK, -DAY):
        features, usual, scale = _features(past, origin, HORIZON, kind_of)
        beside = ((past.values[:, origin : origin + HORIZON] - usual) / scale[:, None]).ravel()
        known = ~np.isnan(beside)
        parts.append(features[known])
        targets.append(beside[known])
        rows += int(known.sum())
        if rows >= MOST_ROWS or columns - origin >= WEEKS * WEEK:
            break
    if not rows:
        return None
    settings = {
        "objective": "quantile",
        "alpha": 0.5,
        "num_leaves": LEAVES,
        "learning_rate": 0.05,
        "min_data_in_leaf": 200,
        "num_threads": 1,
        "deterministic": True,
        "force_row_wise": True,
        "seed": SEED,
        "verbosity": -1,
    }
    data = lightgbm.Dataset(np.concatenate(parts), label=np.concatenate(targets), free_raw_data=True)
    return lightgbm.train(settings, data, num_boost_round=ROUNDS)


def _features(past: Past, origin: int, hours: int, kind_of: DayKind) -> tuple[Floats, Floats, Floats]:
    """What is known at a column, of each series and hour ahead; what is usual then; the size of each series.

    What is to be learned is how far it is from what is usual, in parts of that size.

    Columns from `origin` on are not read.
    """
    values = past.values[:, :origin]
    first = past.first + origin
    with warnings.catch_warnings():
        # numpy warns of series of which nothing is known.
        warnings.simplefilter("ignore", RuntimeWarning)
        scale = np.nan_to_num(np.nanmean(values[:, -WEEKS * WEEK :], axis=1))
    scale = np.where(scale > 0, scale, 1.0)
    usual, alike = _usual(past, origin, hours, kind_of)
    plain = typical(values, origin, hours)
    # How the last day was beside what is usual: a part of the year, or the weather.
    day = shifted(values, origin - DAY, DAY)
    level = _ratio(day, typical(values, origin - DAY, DAY))
    last = _ratio(day[:, -3:], typical(values, origin - 3, 3))
    week = _ratio(shifted(values, origin - WEEK, WEEK), typical(values, origin - WEEK, WEEK))
    ahead = np.arange(hours)
    shape = (len(past.names), hours)
    kinds = day_kinds(first, hours, kind_of)
    kinds_week_before = day_kinds(first - WEEK, hours, kind_of)
    kind_numbers = {kind: number for number, kind in enumerate(sorted({kind for _, kind in past.names}))}
    columns: Sequence[Floats | NDArray[Any]] = (
        usual / scale[:, None],
        (plain - usual) / scale[:, None],
        np.broadcast_to(alike, shape),
        (shifted(values, origin - WEEK, hours) - usual) / scale[:, None],
        (shifted(values, origin - 2 * WEEK, hours) - usual) / scale[:, None],
        (_mean(values, origin, hours) - usual) / scale[:, None],
        (np.roll(usual, 1, axis=1) - usual) / scale[:, None],
        (np.roll(usual, -1, axis=1) - usual) / scale[:, None],
        np.broadcast_to(level[:, None], shape),
        np.broadcast_to(last[:, None], shape),
        np.broadcast_to(week[:, None], shape),
        np.broadcast_to(ahead, shape),
        np.broadcast_to((first + ahead) % DAY, shape),
        np.broadcast_to(weekdays(first, hours), shape),
        np.broadcast_to(kinds, shape),
        np.broadcast_to(kinds_week_before, shape),
        np.broadcast_to(np.log1p(scale)[:, None], shape),
        np.broadcast_to(np.array([[kind_numbers[kind]] for _, kind in past.names]), shape),
    )
    return np.stack([np.asarray(column, dtype=np.float64).ravel() for column in columns], axis=1), usual, scale


def _usual(past: Past, origin: int, hours: int, kind_of: DayKind) -> tuple[Floats, NDArray[np.int64]]:
    """The median of the same hour of those of the last eight weeks whose day was of the same kind; and how many were.

    Where none was it is that of all.
    """
    first = past.first + origin
    kinds = day_kinds(first, hours, kind_of)
    weeks = []
    alike = np.zeros(hours, dtype=np.int64)
    for back in range(1, WEEKS + 1):
        same = day_kinds(first - back * WEEK, hours, kind_of) == kinds
        weeks.append(np.where(same, shifted(past.values[:, :origin], origin - back * WEEK, hours), np.nan))
        alike += same
    found = median(np.stack(weeks))
    return np.where(np.isnan(found), typical(past.values[:, :origin], origin, hours), found), alike


def _mean(values: Floats, origin: int, hours: int) -> Floats:
    weeks = np.stack([shifted(values, origin - back * WEEK, hours) for back in range(1, WEEKS + 1)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        found: Floats = np.nanmean(weeks, axis=0)
    return found


def _ratio(came: Floats, usual: Floats) -> Floats:
    """What came in parts of what was usual; 1 where that says nothing."""
    known = ~np.isnan(came) & ~np.isnan(usual)
    total = np.where(known, came, 0.0).sum(axis=1)
    expected = np.where(known, usual, 0.0).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(expected > 0, np.clip(total / expected, 0.0, 5.0), 1.0)


def _filled(values: Floats) -> Floats:
    """The series with the median of its hour of the week where it was not recorded, or 0 if there is none."""
    whole = np.full(-(-values.size // WEEK) * WEEK, np.nan)
    whole[: values.size] = values
    usual = np.tile(np.nan_to_num(median(whole.reshape(-1, WEEK))), whole.size // WEEK)
    found: Floats = np.where(np.isnan(whole), usual, whole)[: values.size]
    return found


@contextmanager
def _quiet() -> Iterator[None]:
    """The library's warnings are about what it is made of, and nothing that anybody here could change."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
