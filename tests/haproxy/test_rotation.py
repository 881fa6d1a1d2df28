"""Who goes to which node, and how one is taken out of rotation."""

import asyncio
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.broker.frames import frame, request
from tests.conftest import WAIT_SECONDS, eventually
from tests.haproxy.conftest import StartProxy
from tests.haproxy.nodes import CONNACK, FakeNode
from tests.haproxy.running import Proxy
from tests.mqtt.servers import OneNode, one_node
from tests.mqtt.wire import connect


async def node_of(proxy: Proxy, nodes: tuple[FakeNode, FakeNode], client_id: str) -> FakeNode:
    """The node that a client reaches."""
    before = [len(node.connects) for node in nodes]
    assert await proxy.ask(connect(client_id)) == CONNACK
    (reached,) = [node for node, count in zip(nodes, before, strict=True) if len(node.connects) > count]
    return reached


async def test_a_client_comes_back_to_its_node_though_another_has_fewer_connections(
    in_front: StartProxy, nodes: tuple[FakeNode, FakeNode]
) -> None:
    proxy = await in_front()
    first = await node_of(proxy, nodes, "car")
    while len(first.open) < 3:
        await proxy.mqtt(f"other-{sum(len(node.connects) for node in nodes)}")
    for _ in range(3):
        assert await node_of(proxy, nodes, "car") is first


async def test_new_clients_go_where_there_are_fewest(in_front: StartProxy, nodes: tuple[FakeNode, FakeNode]) -> None:
    proxy = await in_front()
    for number in range(20):
        await proxy.mqtt(f"car-{number}")
    assert [len(node.open) for node in nodes] == [10, 10]


async def test_long_ids_that_begin_alike_are_different_clients(
    in_front: StartProxy, nodes: tuple[FakeNode, FakeNode]
) -> None:
    proxy = await in_front()
    for number in range(4):
        await proxy.mqtt("c" * 500 + str(number))
    assert [len(node.open) for node in nodes] == [2, 2]


async def test_a_drained_node_keeps_its_clients_and_gets_no_new_ones(
    in_front: StartProxy, nodes: tuple[FakeNode, FakeNode]
) -> None:
    proxy = await in_front()
    reader, writer = await proxy.mqtt("held")
    held = next(node for node in nodes if node.open)
    other = next(node for node in nodes if node is not held)
    server = f"broker-{nodes.index(held) + 1}"
    assert await proxy.command(f"set server brokers/{server} state drain") == "\n"
    for number in range(6):
        assert await node_of(proxy, nodes, f"new-{number}") is other
    writer.write(b"still there?")
    assert await reader.readexactly(12) == b"still there?"
    # Draining lets those come back who know the node; that it says itself that it is not ready, ends this, too.
    assert await node_of(proxy, nodes, "held") is held
    held.ready = False

    async def noticed() -> bool:
        return (await proxy.status())[server].startswith("DOWN")

    await eventually(noticed)
    assert await node_of(proxy, nodes, "held") is other
    writer.write(b"and now?")
    assert await reader.readexactly(8) == b"and now?"


async def test_the_socket_of_the_runtime_api_is_for_its_group_where_it_is_told(in_front: StartProxy) -> None:
    for mode, told in ((0o600, {}), (0o660, {"HAPROXY_SOCKET_MODE": "660"})):
        proxy = await in_front(**told)
        assert stat.S_IMODE(proxy.socket.stat().st_mode) == mode


@pytest.fixture
def real_node(tmp_path: Path) -> Iterator[OneNode]:
    with one_node(tmp_path, BROKER_PROXY_PROTOCOL="1") as node:
        yield node


async def test_nodes_are_told_the_address_of_the_client_over_tcp_and_websocket(
    start: StartProxy, real_node: OneNode
) -> None:
    proxy = await start(
        BROKER_SEND_PROXY="1",
        BROKER_1_PORT=str(real_node.mqtt[1]),
        BROKER_1_WS_PORT=str(real_node.websocket[1]),
        BROKER_1_OPS_PORT=real_node.ops.rpartition(":")[2],
    )

    async def in_rotation() -> bool:
        both = [await proxy.status(backend) for backend in ("brokers", "websockets")]
        return both == [{"broker-1": "UP", "broker-2": "DOWN"}] * 2

    await eventually(in_rotation)
    # A packet that no client may send: the node logs who sent it.
    forbidden = b"\xf0\0"
    reader, writer = await proxy.mqtt("car", source="127.0.0.8")
    writer.write(forbidden)
    async with asyncio.timeout(WAIT_SECONDS):
        assert await reader.read() == b""
        reader, writer = await proxy.open("HTTP_PORT", source="127.0.0.9")
        writer.write(request() + frame(connect("phone")))
        assert (await reader.readuntil(b"\x82\x04" + CONNACK)).startswith(b"HTTP/1.1 101 ")
        writer.write(frame(forbidden))

    async def mentioned() -> bool:
        log = real_node.log.read_text()
        return "127.0.0.8" in log and "127.0.0.9" in log

    await eventually(mentioned)
