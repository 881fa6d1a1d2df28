"""`DURABILITY=replicated`, kept: what counted is there. `python -m tests.loss.failovers` tries it more often."""

import pytest

from state.durability import Durability
from tests.loss.failovers import On, Outcome, Plan, try_failovers

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


@pytest.mark.parametrize(("on", "replicas"), [(On.CLUSTER, 1), (On.SENTINEL, 2)])
async def test_whoever_fails_over_no_write_that_counted_is_lost(on: On, replicas: int) -> None:
    outcome = await try_failovers(Plan(on, 3, Durability.REPLICATED, replicas, seed=5), lambda _line: None)
    assert not outcome.lost
    assert len(outcome.counted) > 1000
    assert (outcome.killed + outcome.paused, len(outcome.waits)) == (3, 3)


def test_a_write_that_counted_and_is_not_there_is_lost() -> None:
    assert Outcome(counted={1, 2, 3}, stored={1, 3, 4}).lost == {2}
