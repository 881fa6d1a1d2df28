"""What the log says of those who were turned away: who, why, and how many."""

import asyncio
import re
from dataclasses import dataclass
from typing import Any

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from broker.metrics import BrokerMetrics
from broker.protocol.reasons import Refusal
from broker.session.log_names import LogNames
from broker.session.refusals import Refusals
from core.kinds import DEFAULT_KINDS, Role
from runtime.addresses import network_of
from runtime.service import Stop
from tests.broker.conftest import RunningNode, put_user
from tests.conftest import WAIT_SECONDS
from tests.kinds_of_tests import CAR_ROLE
from tests.mqtt.wire import Connack, connect


@dataclass
class Client:
    user: str = ""
    peer: str = "192.0.2.1"
    role: Role = Role.GATEWAY
    address: str = ""

    def __post_init__(self) -> None:
        self.address = network_of(self.peer)


class Seconds:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def refusals(clock: Seconds) -> Refusals:
    return Refusals(metrics=BrokerMetrics(DEFAULT_KINDS), max_payload=100, now=clock, names=LogNames(b"k" * 16))


async def test_thirteen_wrong_passwords_are_two_lines_that_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("broker.session.refusals.EVERY_SECONDS", 0.01)
    clock, stop = Seconds(), Stop()
    turned_away = refusals(clock)
    with capture_logs() as lines:
        for _ in range(13):
            turned_away.refuse(Refusal.REFUSED_CONNECT, "no such user, or a wrong password", Client(), user="ann")
        running = asyncio.create_task(turned_away.run(stop))
        clock.now += 60
        async with asyncio.timeout(WAIT_SECONDS):
            while len(lines) < 2:  # noqa: ASYNC110 - a line of the log is no event
                await asyncio.sleep(0.01)
        stop.set()
        await running
    assert lines == [
        {
            "event": "refused",
            "log_level": "warning",
            "reason": "refused_connect",
            "detail": "no such user, or a wrong password",
            "user": "ann",
            "peer": "192.0.2.1",
            "held_back": 0,
        },
        {
            "event": "more of the same were turned away",
            "log_level": "warning",
            "reason": "refused_connect",
            "count": 12,
        },
    ]


async def test_what_is_held_back_is_said_at_the_end_too() -> None:
    stop = Stop()
    turned_away = refusals(Seconds())
    with capture_logs() as lines:
        running = asyncio.create_task(turned_away.run(stop))
        for reason in (Refusal.PUBLISH, Refusal.PUBLISH, Refusal.PUBLISH, Refusal.TOO_LARGE, Refusal.TOO_LARGE):
            turned_away.refuse(reason, "", Client("ann"))
        await asyncio.sleep(0)
        stop.set()
        await running
    assert {(line["reason"], line["count"]) for line in lines if "count" in line} == {("publish", 2), ("too_large", 1)}


async def test_a_later_line_says_how_many_there_were_since() -> None:
    clock = Seconds()
    turned_away = refusals(clock)
    with capture_logs() as lines:
        for seconds in (0, 1, 1, 60):
            clock.now += seconds
            turned_away.refuse(Refusal.PUBLISH, "", Client("ann"))
    assert [line["held_back"] for line in lines] == [0, 2]


async def refused_as(node: RunningNode, user: str) -> dict[str, Any]:
    """What the log says of a login with a wrong password."""
    # Each from an address of which nothing was said yet.
    node.node.refusals._throttle._logged.clear()
    with capture_logs() as lines:
        client = await node.service.dial()
        await client.send(connect("phone", user=user, password=b"wrong"))
        assert await client.receive() == Connack(session_present=False, code=4)
        await client.closed()
    (line,) = [line for line in lines if line["event"] == "refused"]
    return dict(line)


def test_one_client_with_a_whole_network_of_ipv6_has_one_line() -> None:
    turned_away = refusals(Seconds())
    with capture_logs() as lines:
        for number in range(5):
            turned_away.refuse(Refusal.REFUSED_CONNECT, "", Client(peer=f"2001:db8:0:1::{number}"), user="unknown")
        turned_away.refuse(Refusal.REFUSED_CONNECT, "", Client(peer="2001:db8:0:2::1"), user="unknown")
    assert [line["peer"] for line in lines] == ["2001:db8:0:1::0", "2001:db8:0:2::1"]


def test_a_device_is_not_named_and_lines_about_one_are_told_from_lines_about_many() -> None:
    turned_away = refusals(Seconds())
    with capture_logs() as lines:
        for reason in (Refusal.PUBLISH, Refusal.TOO_LARGE):
            turned_away.refuse(reason, "", Client("ann", role=CAR_ROLE))
        turned_away.throttle(Client("bob", role=CAR_ROLE))
    ann, again, bob = (line["user"] for line in lines)
    assert ann == again != bob
    assert re.fullmatch("device-[0-9a-f]{8}", ann)
    assert "ann" not in str(lines)
    # In another life of the node it has another name.
    assert LogNames().shown("ann", CAR_ROLE) != LogNames().shown("ann", CAR_ROLE)


async def test_the_log_names_a_user_that_there_is_if_it_is_no_device(node: RunningNode, redis_client: Redis) -> None:
    await put_user(redis_client, "ann", Role.GATEWAY)
    await put_user(redis_client, "b" * 100, Role.APP)
    await put_user(redis_client, "phone-of-bob", CAR_ROLE)
    assert (await refused_as(node, "ann"))["user"] == "ann"
    of_a_device = await refused_as(node, "phone-of-bob")
    assert re.fullmatch("device-[0-9a-f]{8}", of_a_device["user"])
    assert "phone-of-bob" not in str(of_a_device)
    # A password in the field of the user.
    assert (await refused_as(node, "correct horse battery"))["user"] == "unknown"
    assert (await refused_as(node, "b" * 100))["user"] == "b" * 64
