"""What an attacker with a read key and twenty devices recovers: all of it under `open`, next to nothing otherwise."""

import pytest

from disclosure.policy import Privacy
from tests.privacy.attacks import drawn
from tests.privacy.attacks.outcome import Outcome, bound, outcome
from tests.privacy.attacks.suite import (
    SUITES,
    Suite,
    attacked,
    of_a_car,
    of_a_crowded_campus,
    of_a_known_id,
    of_a_phone_alone,
    of_crowded_zones,
    of_forecasts,
    of_zones_that_are_drawn,
)

pytestmark = pytest.mark.timeout(600)
OPEN_ARRIVALS = 40
PROTECTED_ARRIVALS: dict[Suite, int] = {
    of_a_phone_alone: 100,
    of_a_car: 60,
    of_crowded_zones: 400,
    of_a_crowded_campus: 100,
    of_a_known_id: 100,
    of_zones_that_are_drawn: 60,
    of_forecasts: 50,
}
"""As many as there is time for; `python -m tests.privacy` has a thousand."""
TELLS_NOTHING = {"what is not modified"}
"""Under `open`: each body has the time at which it was made, so that none is as before."""
MOST_OF_THEM = 0.85


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.__name__.removeprefix("of_"))
async def test_an_attack_recovers_arrivals_while_counts_are_told_as_they_are(redis_server: str, suite: Suite) -> None:
    async with attacked(redis_server, Privacy.OPEN) as system:
        found = await suite(system, OPEN_ARRIVALS)

    for each in found:
        print(each)  # noqa: T201 - with -s, and where it fails
    works = {each.attack for each in found if isinstance(each, Outcome) and each.advantage > MOST_OF_THEM}
    assert works == {each.attack for each in found} - TELLS_NOTHING


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.__name__.removeprefix("of_"))
async def test_an_attack_is_no_better_than_guessing_where_counts_are_protected(redis_server: str, suite: Suite) -> None:
    async with attacked(redis_server, Privacy.PROTECTED) as system:
        found = await suite(system, PROTECTED_ARRIVALS[suite])

    for each in found:
        print(each)  # noqa: T201 - with -s, and where it fails
    assert [each for each in found if not each.is_no_better_than_guessing] == []


def test_an_attack_that_cannot_tell_raises_no_alarm() -> None:
    nothing = outcome("nothing", [{"count": 7}] * 12, [{"count": 7}] * 12)

    assert (nothing.recovered, nothing.alarms, nothing.advantage) == (0, 0, 0)
    assert str(nothing) == "nothing: 0 of 9 recovered, 0 of 9 false alarms, advantage 0.0% ± 0.0%"


def test_an_attack_is_told_by_trials_that_chose_nothing() -> None:
    arrived = [{"count": 9, "noise": at < 3} for at in range(12)]
    others = [{"count": 3, "noise": at > 3} for at in range(12)]
    found = outcome("the count", arrived, others)

    assert (found.recovered, found.arrivals, found.alarms, found.without, found.by) == (9, 9, 0, 9, "count")
    assert not found.is_no_better_than_guessing
    # Turned round, it is the lesser count that tells.
    assert outcome("the count", others, arrived).advantage == 1
    # What only the first ones have tells nothing of the others.
    only_noise = [[{"noise": each["noise"]} for each in trials] for trials in (arrived, others)]
    assert outcome("noise", *only_noise).advantage < 0


async def test_where_counts_are_protected_no_zone_can_be_drawn_that_is_as_small_as_a_person(redis_server: str) -> None:
    async with attacked(redis_server, Privacy.PROTECTED) as system:
        _, protected = await drawn.play(system, 1)
    async with attacked(redis_server, Privacy.OPEN) as system:
        _, as_they_are = await drawn.play(system, 1)

    assert protected == [drawn.WITH, drawn.WITHOUT]
    assert as_they_are == [drawn.WITH, drawn.WITHOUT, drawn.TINY]


def test_what_is_as_likely_without_the_device_is_worth_nothing_and_what_cannot_be_is_worth_all() -> None:
    assert bound("nothing", [0.0] * 4).most == 0
    assert str(bound("half", [0.0, float("-inf")])) == "half: at the most 50.00% ± 35.36%, in 2 trials"
