"""What a node queues of positions for services that are away, or that never acknowledge them."""

import pytest
from redis.asyncio import Redis

from core.kinds import Role
from state.sessions import brief
from tests.broker.conftest import PASSWORD, RunningNode, StartNode, put_user
from tests.conftest import RAW, eventually
from tests.kinds_of_tests import CAR_ROLE
from tests.mqtt.client import Connection
from tests.mqtt.wire import Publish

BRIEF = "brief:{mqtt}"

PACKET_IDS = 65_535


async def report(node: RunningNode, *filters: str) -> Connection:
    """The client of a service, with a persistent session."""
    client = await node.service.connect("report", clean=False, user="report", password=PASSWORD)
    for topic_filter in filters:
        assert await client.subscribe((topic_filter, 1)) == (1,)
    return client


@pytest.fixture
async def users(redis_client: Redis) -> None:
    await put_user(redis_client, "report", Role.SERVICE)
    await put_user(redis_client, "car", CAR_ROLE)


@pytest.mark.usefixtures("users")
async def test_positions_go_though_the_service_never_comes_back_and_are_in_raw_all_the_same(
    start_node: StartNode, redis_client: Redis
) -> None:
    node = await start_node(queue_positions_max_age=1)
    client = await report(node, "car-iotp/#", "chat")
    await client.disconnect()
    car = await node.service.connect(user="car", password=PASSWORD)
    await car.publish("car-iotp/7", b"somewhere", qos=1, retain=True)
    await car.publish("car-iotp/7", b"somewhere else", qos=2)
    publisher = await node.service.connect()
    await publisher.publish("chat", b"hello", qos=1)

    async def gone() -> bool:
        return not await redis_client.exists(brief("report"), BRIEF)

    await eventually(gone)
    assert await redis_client.xlen(RAW) == 2
    assert await redis_client.exists("retained:{mqtt}") == 0
    assert (await (await report(node)).take()).payload == b"hello"
    assert node.counted("broker_dropped_queue_age_total") == 2


@pytest.mark.usefixtures("users")
async def test_a_message_never_has_the_identifier_of_a_position_that_is_gone_and_not_acknowledged(
    start_node: StartNode, redis_client: Redis
) -> None:
    node = await start_node()
    client = await report(node, "car-iotp", "chat")
    car = await node.service.connect(user="car", password=PASSWORD)
    await car.publish("car-iotp", b"somewhere", qos=1)
    position = await client.receive()
    assert isinstance(position, Publish)
    # As if it had become too old, and as many messages had come and been acknowledged meanwhile.
    await redis_client.delete(brief("report"))
    sent = int(await redis_client.hget("session:{mqtt}:report", "sent") or 0)
    numbers = {"next": sent + PACKET_IDS, "sent": sent + PACKET_IDS - 1, "floor": sent + PACKET_IDS}
    await redis_client.hset("session:{mqtt}:report", mapping={name: str(number) for name, number in numbers.items()})
    publisher = await node.service.connect()
    await publisher.publish("chat", b"hello", qos=1)
    await client.closed()
    assert node.refused("superseded") == 1
    message = await (await report(node)).receive()
    assert isinstance(message, Publish)
    assert (message.payload, message.packet_id) == (b"hello", position.packet_id)
