"""What is over a user's rate waits in the user's own connections, and nobody else's."""

import asyncio
import base64
import gzip
from collections.abc import Callable
from functools import partial

import pytest
from redis.asyncio import Redis

from broker.session.user_rate import UserRate, UserRates
from core.kinds import Role
from runtime.position_rates import Rate
from tests.broker.conftest import PASSWORD, RunningNode, StartNode, put_user
from tests.kinds_of_tests import CAR_ROLE
from tests.mqtt.client import Connection
from tests.mqtt.wire import Ack, Kind, publish
from tests.raw_streams import raw_messages


class Seconds:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_user_has_a_burst_then_a_rate_and_owes_what_was_taken_over_it() -> None:
    seconds = Seconds()
    rate = UserRate(Rate(10, 100), seconds)
    assert rate.left == 100
    rate.take(130)
    assert rate.left == -30
    seconds.now = 4.0
    assert rate.left == 10
    seconds.now = 1000.0
    assert rate.left == 100
    assert rate.is_idle


async def test_those_who_wait_take_turns() -> None:
    rate = UserRate(Rate(1000, 1), asyncio.get_running_loop().time)
    turns: list[str] = []
    done = asyncio.Event()

    def go_on(name: str) -> None:
        rate.take(100)
        turns.append(name)
        if len(turns) == 6:
            done.set()
        rate.wait(partial(go_on, name))

    rate.take(1)
    for name in ("a", "b", "c"):
        rate.wait(partial(go_on, name))
    await done.wait()
    assert turns == ["a", "b", "c", "a", "b", "c"]
    rate.close()


def test_users_of_a_role_without_a_rate_have_none_and_those_who_were_silent_are_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("broker.session.user_rate.MAX_USERS", 3)
    rates = UserRates({CAR_ROLE: Rate(1, 10)}, Seconds())
    assert rates.of(Role.GATEWAY, "g") is None
    busy = rates.of(CAR_ROLE, "busy")
    assert busy is not None
    busy.take(1000)
    for number in range(10):
        rates.of(CAR_ROLE, f"car-{number}")
    assert rates.of(CAR_ROLE, "busy") is busy
    assert len(rates._users) <= 4


async def as_user(node: RunningNode, name: str, client_id: str, *, keepalive: int = 0) -> Connection:
    return await node.service.connect(client_id, user=name, password=PASSWORD, keepalive=keepalive)


@pytest.fixture
async def node(start_node: StartNode, redis_client: Redis) -> RunningNode:
    for name, role in (("car", CAR_ROLE), ("other", CAR_ROLE), ("gate", Role.GATEWAY)):
        await put_user(redis_client, name, role)
    return await start_node(position_rate="car=5:10")


def positions(count: int, size: int = 10) -> list[bytes]:
    return [publish("car-iotp", b"%d " % number + b"x" * size, qos=1, packet_id=number + 1) for number in range(count)]


async def acknowledged(client: Connection, count: int) -> list[int]:
    answers = [await client.receive(limit=15) for _ in range(count)]
    assert all(isinstance(answer, Ack) and answer.kind is Kind.PUBACK for answer in answers)
    return [answer.packet_id for answer in answers if isinstance(answer, Ack)]


async def test_what_is_too_fast_waits_and_is_neither_lost_nor_out_of_order(
    node: RunningNode, redis_client: Redis
) -> None:
    client, other = await as_user(node, "car", "c"), await as_user(node, "other", "o")
    gate = await as_user(node, "gate", "g")
    await client.send(*positions(20))
    assert await acknowledged(client, 10) == list(range(1, 11))
    assert node.counted("broker_throttled_total") == 1
    # Others are not concerned.
    await other.send(*positions(10))
    assert await acknowledged(other, 10) == list(range(1, 11))
    await gate.send(*positions(100))
    assert len(await acknowledged(gate, 100)) == 100
    assert await acknowledged(client, 10) == list(range(11, 21))
    mine = [int(message.payload.split()[0]) for message in await raw_messages(redis_client) if message.user == "car"]
    assert mine == list(range(20))


async def test_all_connections_of_a_user_share_its_rate(node: RunningNode) -> None:
    first, second = await as_user(node, "car", "c-1"), await as_user(node, "car", "c-2")
    await first.send(*positions(10))
    await acknowledged(first, 10)
    assert node.counted("broker_throttled_total") == 0
    await second.send(*positions(10))
    assert await acknowledged(second, 10) == list(range(1, 11))
    assert node.counted("broker_throttled_total") >= 1


async def test_a_large_message_counts_as_many(node: RunningNode) -> None:
    client = await as_user(node, "car", "c")
    await client.send(*positions(2, size=5000))
    await acknowledged(client, 2)
    assert node.counted("broker_throttled_total") >= 1


@pytest.mark.parametrize("qos", [0, 1])
@pytest.mark.parametrize("wrapped", [gzip.compress, lambda text: base64.b64encode(gzip.compress(text))])
async def test_a_message_in_gzip_counts_as_what_is_in_it(
    node: RunningNode, wrapped: Callable[[bytes], bytes], qos: int
) -> None:
    client = await as_user(node, "car", "c")
    small = wrapped(b" " * 5000)
    assert len(small) < 512
    # Of the same size, and no gzip: two of them are two.
    await client.send(*(publish("car-iotp/H4sI", b"x" * len(small), qos=1, packet_id=number) for number in (1, 2)))
    await acknowledged(client, 2)
    assert node.counted("broker_throttled_total") == 0
    await client.send(publish("car-iotp", small, qos=qos, packet_id=3 if qos else None), *positions(1))
    await acknowledged(client, 1 + qos)
    assert node.counted("broker_throttled_total") >= 1


async def test_who_waits_for_its_rate_is_not_silent(start_node: StartNode, redis_client: Redis) -> None:
    await put_user(redis_client, "car", CAR_ROLE)
    node = await start_node(position_rate="car=4:1")
    client = await as_user(node, "car", "c", keepalive=1)
    await client.send(*positions(9))
    assert await acknowledged(client, 9) == list(range(1, 10))
    assert await client.is_open()
    assert not node.refused("keepalive")


async def test_who_leaves_while_it_waits_is_gone(node: RunningNode) -> None:
    client = await as_user(node, "car", "c")
    await client.send(*positions(2000))
    await acknowledged(client, 10)
    await node.stop()
    await client.closed_whatever_came_before()
