"""A model is served where it beats the better baseline, and nowhere else."""

import numpy as np
import pytest

from analytics.forecast.choose import choose
from analytics.forecast.scores import Scores
from tests.kinds_of_tests import CAR

NAN = float("nan")


@pytest.mark.parametrize(
    ("week", "typical", "mstl", "trees", "served", "baseline"),
    [
        (1.0, 0.9, 0.8, 0.7, "lightgbm", 0.9),
        (1.0, 0.9, 0.7, 0.8, "mstl", 0.9),
        (0.75, 0.9, 0.8, 0.7, "lightgbm", 0.75),
        (0.75, 0.9, 0.8, 0.76, None, 0.75),
        (0.75, 0.9, 0.8, 0.75, None, 0.75),
        (1.0, 0.9, NAN, 0.8, "lightgbm", 0.9),
        (1.0, 0.9, NAN, NAN, None, 0.9),
        (NAN, NAN, NAN, NAN, None, None),
        (0.9, 1.0, 0.0, 0.5, "mstl", 0.9),
    ],
)
def test_the_best_model_is_served_where_it_beats_the_better_baseline(
    week: float, typical: float, mstl: float, trees: float, served: str | None, baseline: float | None
) -> None:
    mases = {"last-week": week, "typical-week": typical, "mstl": mstl, "lightgbm": trees}
    (choice,) = choose(
        [("campus", CAR)],
        Scores({name: np.array([mase]) for name, mase in mases.items()}),
        baselines=["last-week", "typical-week"],
        models=["mstl", "lightgbm"],
    )
    assert (choice.served, choice.baseline_mase) == (served, baseline)
    assert choice.mases == {"mstl": None if np.isnan(mstl) else mstl, "lightgbm": None if np.isnan(trees) else trees}


def test_without_models_nothing_is_served() -> None:
    scores = Scores({"last-week": np.array([1.0]), "typical-week": np.array([0.5])})
    (choice,) = choose([("campus", CAR)], scores, baselines=["last-week", "typical-week"], models=[])
    assert (choice.served, choice.baseline_mase, choice.mases) == (None, 0.5, {})
