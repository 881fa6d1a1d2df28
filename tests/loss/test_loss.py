"""Law 1, kept: what was acknowledged is stored, whatever dies. `make soak` does the same with 100,000 messages."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from tests.loss.trial import Disturbance, Plan, Result, try_to_lose

PLAN = Plan(messages=6000, kills=4, outages=2, seed=3)


@pytest.fixture
def folder() -> Iterator[Path]:
    # Not tmp_path: a socket's path may have 107 bytes at the most.
    made = Path(tempfile.mkdtemp(prefix="loss-"))
    yield made
    shutil.rmtree(made)


async def test_whatever_is_killed_every_acknowledged_message_is_in_the_stream(folder: Path) -> None:
    result = await try_to_lose(PLAN, folder, lambda _count, _what: None)
    assert not result.lost
    assert result.acknowledged == set(range(PLAN.messages)) == set(result.stored)
    assert (result.kills, result.outages) == (PLAN.kills, PLAN.outages)
    assert len(result.under_way) == len(result.left) == 6
    assert all(result.left), "a disturbance came after the last message"
    assert any(result.under_way), "no disturbance met a message"
    assert result.connects > PLAN.kills, "the kills met no client"


async def test_nor_is_one_lost_that_is_sealed_although_the_redis_of_keys_is_killed_too(folder: Path) -> None:
    plan = Plan(messages=3000, kills=2, outages=2, seed=19)
    result = await try_to_lose(plan, folder, lambda _count, _what: None, sealed=True)
    assert not result.lost
    assert result.acknowledged == set(range(plan.messages)) == set(result.stored)
    assert (result.kills, result.outages) == (plan.kills, plan.outages)
    assert any(result.under_way), "no disturbance met a message"


def test_a_message_that_is_acknowledged_and_nowhere_is_lost() -> None:
    result = Result(acknowledged={1, 2, 3})
    result.stored.update([1, 3, 3, 4])
    assert result.lost == {2}
    assert result.repeated == 1


def test_disturbances_come_in_the_midst_of_the_messages_in_an_order_that_the_seed_gives() -> None:
    plan = Plan(messages=1000, kills=10, outages=5, seed=1)
    planned, same, other = (plan.disturbances(Random(seed)) for seed in (1, 1, 2))  # noqa: S311 - repeatable
    assert planned == same != other
    assert [after for after, _ in planned] == sorted(after for after, _ in planned)
    assert all(0 < after < 1000 for after, _ in planned)
    assert [kind for _, kind in planned].count(Disturbance.KILL) == 10
