"""Reading the load: what the nodes say, what of it is a rate, and how far the decoders are behind."""

from collections import Counter
from typing import cast

import pytest
from aiohttp import ClientSession, web
from prometheus_client import generate_latest
from redis.asyncio import Redis

from autoscaler.nodes import HttpNodes, NodeFigures, parse_figures
from autoscaler.reading import Reader, decoder_lag
from broker.metrics import BrokerMetrics
from core.kinds import DEFAULT_KINDS
from core.messages import RawMessage
from state.raw import Finisher, Part
from tests.autoscaler.fakes import World
from tests.conftest import NOON, free_port
from tests.raw_streams import append, append_each, raw_key

OBSERVE_GROUP = "observe"


async def publish(client: Redis, partition: int, messages: int, partitions: int = 2) -> None:
    sent = [RawMessage("car-iotp", "", "anonymous", NOON, b"%d" % number) for number in range(messages)]
    await append_each(client, *sent[::2], partition=partition, partitions=partitions)
    await append(client, *sent[1::2], partition=partition, partitions=partitions)


async def test_nothing_published_is_no_lag(redis_client: Redis) -> None:
    assert await decoder_lag(redis_client, 2) == 0


async def test_messages_that_no_decoder_ever_asked_for_are_lag(redis_client: Redis) -> None:
    await publish(redis_client, 0, 3, 1)

    assert await decoder_lag(redis_client, 1) == 3


async def test_lag_is_what_was_not_delivered_and_what_was_not_acknowledged(redis_client: Redis) -> None:
    raw = raw_key(0, 2)
    await redis_client.xgroup_create(raw, OBSERVE_GROUP, id="0", mkstream=True)
    await publish(redis_client, 0, 10)
    await redis_client.xgroup_create(raw, "another", id="$")
    await redis_client.xreadgroup(OBSERVE_GROUP, "decoder-1", {raw: ">"}, count=2)
    (done, _), *_ = await redis_client.xrange(raw, count=1) or []
    finisher = Finisher(client=redis_client, partitions=2, dead_letters_max=10)
    await finisher.finish(0, [Part(cast("bytes", done), 0, None, 1)], totals=Counter())
    await publish(redis_client, 1, 5)

    assert await decoder_lag(redis_client, 2) == 9 + 5


def node_says(received: int, *, draining: bool = False) -> bytes:
    """What a real node's metrics look like."""
    metrics = BrokerMetrics(DEFAULT_KINDS)
    metrics.received[:] = [received - 1, 1, 0]
    metrics.gauges["broker_draining"] = ("1 once the node is leaving.", lambda: float(draining))
    return generate_latest(metrics.registry)


@pytest.mark.parametrize("draining", [False, True])
def test_a_nodes_metrics_say_how_much_it_has_received_and_whether_it_leaves(draining: bool) -> None:  # noqa: FBT001
    assert parse_figures(node_says(1234, draining=draining).decode()) == NodeFigures(1234, draining)


@pytest.mark.parametrize("text", ["", "up 1\n", "<html>", "broker_received_messages_total{qos=\n"])
def test_what_are_no_metrics_of_a_node_are_an_error(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the parser has its own words
        parse_figures(text)


async def test_nodes_are_asked_over_http_and_those_that_do_not_answer_are_left_out() -> None:
    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=node_says(7))

    app = web.Application()
    app.router.add_get("/metrics", metrics)
    runner = web.AppRunner(app)
    await runner.setup()
    port = free_port()
    world = World()
    answering, silent = world.add("broker", 1), world.add("broker", 2)
    object.__setattr__(answering, "addresses", ("127.0.0.2", "127.0.0.1"))
    object.__setattr__(silent, "addresses", ("127.0.0.3",))
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        async with ClientSession() as session:
            found = await HttpNodes(session=session, port=port).read([answering, silent])
    finally:
        await runner.cleanup()
    assert found == {answering.id: NodeFigures(7, draining=False)}


@pytest.fixture
def world() -> World:
    world = World(connections=100, messages=50)
    for number in (1, 2):
        world.add("broker", number)
    return world


def reader_of(world: World) -> Reader:
    return Reader(engine=world, proxy=world, nodes=world, lag=world.decoder_lag, clock=world.clock)


async def rate(reader: Reader) -> float | None:
    return (await reader.read()).load.messages


async def test_a_rate_takes_two_looks(world: World) -> None:
    reader = reader_of(world)
    assert await rate(reader) is None
    world.advance(10)
    assert await rate(reader) == pytest.approx(50)


async def test_a_node_that_was_started_again_counts_from_nothing(world: World) -> None:
    reader = reader_of(world)
    world.advance(1000)
    await rate(reader)
    for machine in world.machines.values():
        machine.received = 0
    world.advance(10)
    assert await rate(reader) == pytest.approx(50)


async def test_a_new_node_counts_and_one_that_is_gone_does_not(world: World) -> None:
    reader = reader_of(world)
    world.advance(10)
    await rate(reader)
    world.advance(5)
    del world.machines[next(iter(world.machines))]
    world.add("broker", 3)
    world.advance(5)
    # Half of what came in the first half went with the first node.
    assert await rate(reader) == pytest.approx((125 + 250) / 10)


async def test_the_rate_is_not_known_while_a_healthy_node_does_not_answer_and_right_after_that(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = reader_of(world)
    world.advance(10)
    await rate(reader)
    with monkeypatch.context() as patch:

        async def only_one(containers: list[object]) -> dict[str, NodeFigures]:
            del containers
            first = next(iter(world.machines.values()))
            return {first.container.id: NodeFigures(first.received, draining=False)}

        patch.setattr(reader, "_nodes", type("Silent", (), {"read": staticmethod(only_one)}))
        world.advance(10)
        assert await rate(reader) is None
    world.advance(10)
    assert await rate(reader) is None
    world.advance(10)
    assert await rate(reader) == pytest.approx(50)


async def test_connections_are_those_of_all_slots_also_of_nodes_that_leave(world: World) -> None:
    world.advance(1)
    await world.signal((await world.containers())[0], "SIGUSR1")
    world.advance(1)
    assert (await reader_of(world).read()).load.connections == 100
