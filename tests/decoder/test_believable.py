"""Presence beside the truth: who stands still stays where it is, and who walks is seen in each building, once.

`python -m bench.believable` has the same for more devices, places and noise.
"""

import pytest

from bench.believable import BUILDINGS, EVERY, START_MS, Score, at_the_wall, campus, said_of, score, through_all
from decoder.settings import DecoderSettings
from simulator.truth import TrueFix, standing, walking
from state.client import Redis

FENCE = campus()
DEFAULT = DecoderSettings(_env_file=None)
EACH_IS_SURE = DecoderSettings(_env_file=None, presence_margin=0)
NOISE = 15.0
"""Metres, as phones report it: 68 % of the fixes are within it, which is 10 m on each axis."""


async def scored(client: Redis, fixes: list[TrueFix], settings: DecoderSettings = DEFAULT) -> Score:
    await client.flushall()
    return score(FENCE, fixes, await said_of(client, FENCE, fixes, settings, "device"))


def an_hour(inside: float, seed: int) -> list[TrueFix]:
    return standing(at_the_wall(inside), start_ms=START_MS, seconds=3600, every=EVERY, noise=NOISE, seed=seed)


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("inside", [-15, 0, 15])
async def test_who_stands_an_hour_near_a_wall_changes_zones_once_at_most(
    service_redis: Redis, inside: float, seed: int
) -> None:
    found = await scored(service_redis, an_hour(inside, seed))
    assert found.transitions <= 1


@pytest.mark.parametrize("inside", [-15, 15])
async def test_a_position_alone_lets_it_flap_and_be_wrong_for_longer(service_redis: Redis, inside: float) -> None:
    before = await scored(service_redis, an_hour(inside, 1), EACH_IS_SURE)
    after = await scored(service_redis, an_hour(inside, 1))
    assert before.transitions > 25
    assert before.wrong_fixes > 10
    assert after.wrong_fixes <= 2


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
@pytest.mark.parametrize("noise", [0, 5])
async def test_who_walks_through_three_buildings_enters_each_once(
    service_redis: Redis, noise: float, seed: int
) -> None:
    fixes = walking(through_all(), start_ms=START_MS, speed=1.4, every=10, noise=noise, seed=seed)
    found = await scored(service_redis, fixes)
    assert found.entered == dict.fromkeys(BUILDINGS, 1)
    assert found.transitions == 6
    # It is believed one or two fixes after it has happened.
    assert found.wrong_fixes <= 2 * 6
