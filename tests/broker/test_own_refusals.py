"""What was refused of a device reaches the device itself and services, and nobody else, at whichever node they are."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from core.clock import system_clock
from core.kinds import DEFAULT_KINDS, Role
from decoder.metrics import DecoderMetrics
from decoder.settings import DecoderSettings
from decoder.stages import Assembly
from geofence import load_campus
from runtime.devices import device_hasher
from runtime.service import Stop, work_until_stopped
from state.client import open_redis
from state.refusals import Refusals
from tests.broker.conftest import PASSWORD, RunningNode, TwoNodes, has, put_user
from tests.conftest import eventually
from tests.kinds_of_tests import CAR_ROLE, MOBILE_ROLE
from tests.mqtt.client import Connection
from tests.mqtt.wire import Publish

OWN, OF_CARS = "devices/car-7/refused", "$SYS/broker/refused/car"
FAILURE = 0x80


@pytest.fixture
async def users(redis_client: Redis) -> None:
    for name, role in (
        ("car-7", CAR_ROLE),
        ("car-8", CAR_ROLE),
        ("phone", MOBILE_ROLE),
        ("gate", Role.GATEWAY),
        ("reports", Role.SERVICE),
        ("a/b", CAR_ROLE),
        ("+", CAR_ROLE),
        ("#", CAR_ROLE),
    ):
        await put_user(redis_client, name, role)


async def logged_in(node: RunningNode, user: str, **fields: Any) -> Connection:
    return await node.service.connect(user=user, password=PASSWORD, **fields)


async def tell(node: RunningNode, *messages: tuple[str, bytes]) -> None:
    """As a decoder does."""
    async with open_redis(node.settings) as client:
        assert await Refusals(client).publish(messages) == 0


@pytest.mark.usefixtures("users")
@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_a_device_hears_of_its_own_at_any_node_at_qos_0(nodes: TwoNodes, qos: int) -> None:
    for node in (nodes.first, nodes.second):
        device = await logged_in(node, "car-7")
        assert await device.subscribe((OWN, qos)) == (qos,)
        other = await logged_in(node, "car-8")
        assert await other.subscribe(("devices/car-8/refused", qos)) == (qos,)
        await tell(node, (OWN, b"mine"), ("devices/x/refused", b"another's"))
        assert await device.message() == Publish(OWN, b"mine", 0)
        await other.nothing_more()
        await device.nothing_more()
        assert await device.subscribe(("v1/#", 0)) == (0,)


@pytest.mark.usefixtures("users")
@pytest.mark.parametrize("user", ["car-7", "car-8", "phone", "gate", "a/b", "+", "#"])
async def test_nobody_but_a_service_follows_others(nodes: TwoNodes, redis_client: Redis, user: str) -> None:
    filters = [
        *("devices/#", "devices/+/refused", "+/+/refused", "#", "devices", "devices/car-7/#", "devices/car-7/+"),
        *("$SYS/#", "$SYS/broker/#", "$SYS/broker/refused/#", OF_CARS, "$SYS/+/refused/+", "devices/a/b/refused"),
        *("devices/car-7/refused/#", "devices/+/#"),
    ]
    if user != "car-7":
        filters.append(OWN)
    client = await logged_in(nodes.first, user)
    assert await client.subscribe(*((each, 1) for each in filters)) == (FAILURE,) * len(filters)
    await tell(nodes.first, (OWN, b"1"), (OF_CARS, b"2"), ("devices/a/b/refused", b"3"))
    await client.nothing_more()
    assert await redis_client.exists("routes:{mqtt}") == 0


async def test_clients_without_a_user_hear_nothing_whatever_they_are_granted(nodes: TwoNodes) -> None:
    client = await nodes.first.service.connect()
    refused = (OWN, "devices/#", "devices/+/refused", "$SYS/broker/refused/#", OF_CARS)
    assert await client.subscribe(*((each, 1) for each in refused)) == (FAILURE,) * 5
    assert await client.subscribe(("#", 1), ("+/+/refused", 1), ("+/#", 1), ("$SYS/#", 0), ("$SYS/+/refused/+", 0)) == (
        *(1, 1, 1),
        *(0, 0),
    )
    await tell(nodes.first, (OWN, b"1"), (OF_CARS, b"2"))
    # What was told came before this, through the same inbox.
    writer = await nodes.second.service.connect()
    await writer.publish("notices", b"last", qos=1)
    while (message := await client.message()).topic != "notices":
        assert message.topic.startswith("$SYS/broker/")
        assert not message.topic.startswith("$SYS/broker/refused")


@pytest.mark.usefixtures("users")
async def test_a_service_follows_all_of_a_kind_or_all(nodes: TwoNodes) -> None:
    of_cars, of_all = await logged_in(nodes.first, "reports"), await logged_in(nodes.second, "reports")
    assert await of_cars.subscribe((OF_CARS, 1)) == (1,)
    assert await of_all.subscribe(("$SYS/broker/refused/+", 1), ("devices/+/refused", 1)) == (1, 1)
    await tell(nodes.first, (OF_CARS, b"1"), ("$SYS/broker/refused/mobile", b"2"), (OWN, b"3"))
    assert [(await of_cars.message()).payload] == [b"1"]
    assert [(await of_all.message()).payload for _ in range(3)] == [b"1", b"2", b"3"]
    await of_cars.nothing_more()


@pytest.mark.usefixtures("users")
async def test_nothing_waits_for_who_is_away_and_nothing_is_retained(nodes: TwoNodes, redis_client: Redis) -> None:
    device = await logged_in(nodes.first, "car-7", client_id="radio", clean=False)
    assert await device.subscribe((OWN, 2)) == (2,)
    await device.disconnect()
    await tell(nodes.first, (OWN, b"missed"))
    back = await logged_in(nodes.second, "car-7", client_id="radio", clean=False)
    assert back.session_present
    await back.nothing_more()
    await tell(nodes.first, (OWN, b"heard"))
    assert (await back.message()).payload == b"heard"
    assert await redis_client.exists("retained:{mqtt}", "queue:{mqtt}:radio", "brief:{mqtt}:radio") == 0


@pytest.mark.usefixtures("users")
async def test_nobody_publishes_there_or_leaves_a_will(nodes: TwoNodes, redis_client: Redis) -> None:
    reports = await logged_in(nodes.first, "reports")
    assert await reports.subscribe(("#", 1), ("devices/#", 1), ("$SYS/broker/refused/#", 1)) == (1, 1, 1)
    for user in ("car-7", "gate", "reports"):
        writer = await logged_in(nodes.second, user)
        for topic in (OWN, "devices", "devices/car-7", OF_CARS):
            await writer.publish(topic, b"made up", qos=1, retain=True)
    anonymous = await nodes.second.service.connect()
    await anonymous.publish(OWN, b"made up", qos=1, retain=True)
    assert nodes.second.refused("publish") == 13
    await reports.nothing_more()
    assert await redis_client.exists("retained:{mqtt}") == 0


@pytest.mark.usefixtures("users")
async def test_who_is_another_user_by_now_hears_nothing_by_the_session_of_before(
    nodes: TwoNodes, redis_client: Redis
) -> None:
    device = await logged_in(nodes.first, "car-7", client_id="radio", clean=False)
    assert await device.subscribe((OWN, 1)) == (1,)
    # The user becomes a gateway: connections end, and what is asked for is asked anew.
    await put_user(redis_client, "car-7", Role.GATEWAY)
    await device.closed()
    back = await logged_in(nodes.first, "car-7", client_id="radio", clean=False)
    reports = await logged_in(nodes.first, "reports")
    assert await reports.subscribe((OWN, 0)) == (0,)
    await tell(nodes.first, (OWN, b"not for a gateway"))
    assert (await reports.message()).payload == b"not for a gateway"
    await back.nothing_more()


@pytest.mark.usefixtures("users")
async def test_a_flood_ends_no_connection_and_takes_no_room_of_others(nodes: TwoNodes) -> None:
    node = nodes.first
    reports = await logged_in(node, "reports")
    assert await reports.subscribe(("$SYS/broker/refused/#", 0)) == (0,)
    async with open_redis(node.settings) as client:
        refusals = Refusals(client)
        for _ in range(100):
            await refusals.publish([(OF_CARS, b"x" * 400)] * 100)
    heard = 0
    while heard < 1000:
        assert (await reports.message()).payload == b"x" * 400
        heard += 1
    await eventually(lambda: has(lambda: node.node.problem is None))
    writer = await nodes.second.service.connect()
    reader = await node.service.subscriber(("notices", 1))
    await writer.publish("notices", b"through", qos=1)
    assert (await reader.take()).payload == b"through"


@pytest.mark.usefixtures("users")
@pytest.mark.parametrize("echo", [True, False])
async def test_what_a_decoder_refuses_reaches_the_device_that_sent_it_only_if_the_setting_says_so(
    nodes: TwoNodes, tmp_path: Path, *, echo: bool
) -> None:
    settings = DecoderSettings(redis_url=nodes.first.settings.redis_url, data_dir=tmp_path, echo_refusals=echo)
    device, reports = await logged_in(nodes.first, "car-7"), await logged_in(nodes.second, "reports")
    assert await device.subscribe((OWN, 1)) == (1,)
    assert await reports.subscribe((OF_CARS, 1), (OWN, 1)) == (1, 1)
    stop = Stop()
    async with open_redis(settings) as client:
        assembly = Assembly(
            settings=settings, kinds=DEFAULT_KINDS, client=client, clock=system_clock, metrics=DecoderMetrics()
        )
        stages = assembly.observe(load_campus(None), device_hasher(settings))
        running = asyncio.create_task(work_until_stopped(stages, stop))
        try:
            await device.publish("car-iotp", b"%%%", qos=1)
            said = {"reason": "not_base64", "user": "car-7"}
            assert said.items() <= json.loads((await reports.message()).payload).items()
            if echo:
                body = json.loads((await device.message()).payload)
                assert body.keys() == {"reason", "detail", "received_at"}
                assert body["reason"] == "not_base64"
                assert (await reports.message()).topic == OWN
            await device.nothing_more()
            await reports.nothing_more()
        finally:
            stop.set()
            await running
