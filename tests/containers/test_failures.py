"""Whatever dies on the way: what was acknowledged is counted, and counted once."""

import time
from collections.abc import Callable
from functools import partial

import pytest

from core.clock import system_clock
from tests.containers.conftest import Figures
from tests.containers.engine import docker
from tests.containers.numbered import Numbered
from tests.containers.people import People
from tests.containers.results import device_key, differences, wait_until_done
from tests.containers.senders import LEAKS, run_senders
from tests.containers.stack import Stack, until

pytestmark = [pytest.mark.containers, pytest.mark.timeout(2400), *LEAKS]
TRAFFIC = Numbered(prefix="failures", day="2019-03-05")
MESSAGES = 6000
RATE = 400.0


def has(acknowledged: Callable[[], int], enough: int) -> bool:
    return acknowledged() >= enough


def test_nothing_acknowledged_is_lost_when_a_broker_and_a_decoder_die_and_redis_starts_again(
    stack: Stack, people: People, figures: Figures
) -> None:
    broker, decoder = stack.containers("broker")[0], stack.containers("decoder")[0]
    redis = stack.one("redis")
    under_way: list[int] = []

    def disturb(acknowledged: Callable[[], int]) -> None:
        acts: list[Callable[[], object]] = [
            lambda: stack.kill(broker),
            lambda: stack.kill(decoder),
            lambda: docker("restart", redis.id),
            lambda: stack.kill(stack.containers("broker")[1]),
        ]
        for number, act in enumerate(acts, 1):
            enough = number * MESSAGES // (len(acts) + 1)
            until(partial(has, acknowledged, enough), f"{enough} are acknowledged", 300, told=acknowledged)
            under_way.append(acknowledged())
            act()

    began = time.monotonic()
    doors = list(people.doors(stack).values())
    acknowledged = run_senders(doors, people.gateway, "failures", TRAFFIC.messages(MESSAGES), rate=RATE, beside=disturb)
    seconds = time.monotonic() - began

    # Each of them met messages that were still to come.
    assert len(under_way) == 4
    assert under_way[-1] < MESSAGES
    assert acknowledged == MESSAGES
    for killed in (broker, decoder, redis):
        stack.wait_until_back(killed)
    until(lambda: not stack.unwell(), "all are well again", 300, told=stack.unwell)
    wait_until_done(stack, limit=300)
    truth = TRAFFIC.truth(range(MESSAGES), device_key(stack), user=people.gateway.name, now=system_clock())
    assert len(truth.documents) > MESSAGES // 2
    assert differences(stack, people, truth, TRAFFIC.day) == []
    figures.say(
        f"{acknowledged} acknowledged in {seconds:.0f} s over {len(doors)} ways in, while two brokers and a decoder"
        f" were killed and Redis was restarted: {len(truth.documents)} documents and {len(truth.windows)} windows as"
        " the oracle has them"
    )
