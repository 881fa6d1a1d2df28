"""A nowcast is corrected by the counts of the last half hour, and so tells them: one phone comes to a known crowd.

What the night would have worked out is put into the store that is told from: forecasts of a crowd that is always the
same. The windows, the nowcast and the answer are those of the system.
"""

import random
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from analytics.forecast.jobs import FOREVER_MS, MONDAY_MS, SETTLED_MS, Forecasts
from analytics.forecast.spread import SLOTS
from core.kinds import KindId
from tests.analytics.forecast.made_up import no_calendar
from tests.privacy.attacks.outcome import Outcome, outcome
from tests.privacy.attacks.place import AWAY, centre
from tests.privacy.attacks.system import HOUR_MS, SLOT_MS, System
from timeseries import Result

ZONE, KIND = "crowd-0", KindId("mobile")
CROWD = 90
_WINDOW_MS = 300_000
_WINDOWS = 7
"""Of a trial: as many as an answer looks back."""
_ARRIVAL = 3
"""In which of them the phone comes; it leaves with the end of it."""
_DAYS = 30


@dataclass(frozen=True, slots=True)
class Trial:
    """What was told of the next five minutes."""

    came: bool
    value: float
    """0 where nothing was."""


async def play(system: System, arrivals: int, *, seed: int = 1) -> list[Trial]:
    """So many trials with an arrival, and as many without."""
    rng = random.Random(seed)  # noqa: S311 - the same at every run
    await _forecast(system, system.clock.now)
    jobs = Forecasts(system.parts.store, zone=ZoneInfo("Europe/Dublin"), kind_of=no_calendar)
    coins = [came for came in (True, False) for _ in range(arrivals)]
    rng.shuffle(coins)
    trials = []
    for number, came in enumerate(coins):
        await system.forget_walks()
        for window in range(_WINDOWS):
            # Each is seen once in each window, whoever stays.
            crowd = [(f"other-{n}", centre(ZONE)) for n in range(CROWD)]
            phone = [(f"phone-{number}", centre(ZONE))] if came and window == _ARRIVAL else []
            await system.send([*crowd, *phone])
            for _ in range(_WINDOW_MS // SLOT_MS):
                await system.beat()
                await system.end_slot()
            if phone:
                await system.send([(f"phone-{number}", AWAY)])
        await jobs.nowcast(system.clock.now + SETTLED_MS)
        told = await system.get(f"/v1/zones/{ZONE}/forecast", kind=KIND)
        trials.append(Trial(came, float(told["nowcast"][0]["value"] or 0) if told["nowcast"] else 0.0))
    return trials


async def _forecast(system: System, now: int) -> None:
    """As the night would have left it."""
    store, begin = system.parts.store, now // HOUR_MS * HOUR_MS
    even = {"share": 1.0, "low": 0.0, "high": 0.0, "far_low": -9.0, "far_high": 9.0}
    slots = [Result("spread", ZONE, KIND, "", MONDAY_MS + slot * _WINDOW_MS, even) for slot in range(SLOTS)]
    values = {"value": float(CROWD), "low": float(CROWD), "high": float(CROWD), "computed_at": float(now)}
    hours = [Result("forecast", ZONE, KIND, "", begin + hour * HOUR_MS, values) for hour in range(24 * _DAYS)]
    score = {"served": 1.0, "mase": 0.5, "baseline_mase": 0.9, "computed_at": float(now)}
    await store.replace_results("spread", MONDAY_MS, MONDAY_MS + SLOTS * _WINDOW_MS, slots)
    await store.replace_results("forecast", begin, begin + FOREVER_MS, hours)
    await store.replace_results(
        "forecast_score", begin, begin + HOUR_MS, [Result("forecast_score", ZONE, KIND, "mstl", begin, score)]
    )


def outcomes(trials: list[Trial]) -> list[Outcome]:
    """Whether the phone came."""
    arrived, others = ([{"value": trial.value} for trial in trials if trial.came is came] for came in (True, False))
    return [outcome("what a nowcast is corrected by", arrived, others)]
