"""A quick trial of a model that is slow: of which series it is worth a whole backtest."""

from collections.abc import Sequence

from analytics.forecast.backtest import Model, backtest
from analytics.forecast.choose import choose
from analytics.forecast.past import DayKind, Name, Past
from analytics.forecast.scores import score

EVERY = 4
"""Of the origins of a backtest each fourth is tried: with 28 it is seven forecasts of a series."""
MOST_SERIES = 1_000
"""More are not tried at all: of 0.3 s each that is 35 minutes of a processor for those that come to nothing."""


def promising(past: Past, model: Model, baselines: Sequence[Model], kind_of: DayKind) -> frozenset[Name]:
    """The series of which a model beats the better baseline at each fourth origin; none of too many of them."""
    if len(past.names) > MOST_SERIES:
        return frozenset()
    tested = backtest(past, [*baselines, model], kind_of, every=EVERY)
    if tested is None:
        return frozenset()
    choices = choose(past.names, score(tested), baselines=[each.name for each in baselines], models=[model.name])
    return frozenset(each.name for each in choices if each.served)
