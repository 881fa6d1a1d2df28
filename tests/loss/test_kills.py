"""Nodes die again and again: nothing is missing, nothing of QoS 2 comes twice, and everybody is through again."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.loss.kills import Outcome, Plan, try_kills

PLAN = Plan(kills=20, seconds=60, seed=11)


@pytest.fixture
def folder() -> Iterator[Path]:
    # Not tmp_path: a socket's path may have 107 bytes at the most.
    made = Path(tempfile.mkdtemp(prefix="loss-"))
    yield made
    shutil.rmtree(made)


async def test_after_twenty_kills_in_a_minute_nothing_is_missing_or_doubled_and_nobody_is_stuck(folder: Path) -> None:
    outcome = await try_kills(PLAN, folder, lambda _: None)
    assert outcome.kills == 20
    assert outcome.missing == []
    assert outcome.doubled == []
    assert outcome.lost_sessions == 0
    assert outcome.stuck == []
    assert outcome.sent > 1000
    assert outcome.connects > 20, "the kills met no client"


def test_an_outcome_is_as_slow_as_its_slowest_client() -> None:
    assert Outcome(through={"a": 1.0, "b": 3.5}).slowest == 3.5
    assert Outcome().slowest == 0.0
