"""Nodes that come and go with the answers of DNS, as containers do."""

import asyncio
from collections.abc import AsyncIterator
from typing import NamedTuple

import pytest

from tests.conftest import WAIT_SECONDS, eventually
from tests.haproxy.conftest import StartProxy
from tests.haproxy.dns import FakeDns, fake_dns
from tests.haproxy.nodes import CONNACK, FakeNode, NodePorts
from tests.haproxy.running import Proxy, Streams
from tests.mqtt.wire import connect

FIRST, SECOND = "127.0.1.1", "127.0.1.2"


class Discovering(NamedTuple):
    proxy: Proxy
    dns: FakeDns

    async def addresses(self, backend: str = "brokers") -> dict[str, str]:
        """Which server has which address, of those that clients are sent to."""
        up = await self.proxy.up(backend)
        return {
            server: row["addr"].partition(":")[0]
            for (proxy, server), row in (await self.proxy.statistics()).items()
            if proxy == backend and server in up
        }

    async def until(self, *addresses: str) -> None:
        """Wait until exactly these are in rotation, for MQTT and WebSocket."""

        async def so_it_is() -> bool:
            found = [sorted((await self.addresses(backend)).values()) for backend in ("brokers", "websockets")]
            return found == [sorted(addresses)] * 2

        await eventually(so_it_is)


@pytest.fixture
async def discovering(
    start: StartProxy, nodes: tuple[FakeNode, FakeNode], ports: NodePorts
) -> AsyncIterator[Discovering]:
    del nodes  # they listen
    async with fake_dns(FIRST) as dns:
        proxy = await start(
            BROKER_FQDN="broker",
            BROKER_PORT=str(ports.mqtt),
            BROKER_WS_PORT=str(ports.websocket),
            BROKER_OPS_PORT=str(ports.ops),
            API_FQDN="api",
            API_PORT=str(ports.ops),
            DNS_ADDR=dns.address,
        )
        running = Discovering(proxy, dns)
        await running.until(FIRST)
        yield running


async def echoes(client: Streams) -> bool:
    """Whether the node at the other end is still there."""
    reader, writer = client
    writer.write(b"still there?")
    async with asyncio.timeout(WAIT_SECONDS):
        return await reader.read(100) == b"still there?"


async def test_a_new_node_is_in_rotation_within_seconds(
    discovering: Discovering, nodes: tuple[FakeNode, FakeNode]
) -> None:
    held = await discovering.proxy.mqtt("first")
    discovering.dns.addresses = [SECOND, FIRST]
    async with asyncio.timeout(WAIT_SECONDS):
        await discovering.until(FIRST, SECOND)
    await discovering.proxy.mqtt("second")
    assert [len(node.connects) for node in nodes] == [1, 1]
    assert await echoes(held)


async def test_so_it_has_the_size_of_a_container(discovering: Discovering) -> None:
    counted = await discovering.proxy.statistics()
    assert [counted[name, "FRONTEND"]["slim"] for name in ("mqtt", "http")] == ["5000", "900"]


async def test_the_api_is_found_as_well(discovering: Discovering) -> None:
    async def found() -> bool:
        return "api-1" in await discovering.proxy.up("api")

    await eventually(found)
    assert (await discovering.proxy.ask(b"GET / HTTP/1.0\r\n\r\n", "HTTP_PORT")).startswith(b"HTTP/1.1 200 ")
    assert b" 200 " in await discovering.proxy.ask(b"GET /readyz HTTP/1.0\r\n\r\n", "HAPROXY_OPS_PORT")


async def test_while_dns_does_not_answer_all_goes_on(discovering: Discovering) -> None:
    held = await discovering.proxy.mqtt("held")
    discovering.dns.silent = True
    unanswered = discovering.dns.asked

    async def given_up() -> bool:
        # Both names, three attempts each: whoever asks a fourth time has given one resolution up.
        return discovering.dns.asked > unanswered + 6

    await eventually(given_up)
    assert await echoes(held)
    assert await discovering.proxy.ask(connect("new")) == CONNACK


async def test_a_node_that_dns_no_longer_names_keeps_its_clients_and_another_takes_its_slot(
    discovering: Discovering, nodes: tuple[FakeNode, FakeNode]
) -> None:
    slots = await discovering.addresses()
    held = await discovering.proxy.mqtt("held")
    discovering.dns.addresses = [SECOND]
    await discovering.until(SECOND)
    assert await echoes(held)
    assert await discovering.proxy.ask(connect("held")) == CONNACK
    assert [len(node.connects) for node in nodes] == [1, 1]
    discovering.dns.addresses = [SECOND, FIRST]
    await discovering.until(FIRST, SECOND)
    assert set(slots) <= set(await discovering.addresses())
    assert await echoes(held)


async def test_a_slot_that_was_drained_serves_again_once_it_is_told(
    discovering: Discovering, nodes: tuple[FakeNode, FakeNode]
) -> None:
    (slot,) = await discovering.addresses()
    discovering.dns.addresses = [FIRST, SECOND]
    await discovering.until(FIRST, SECOND)
    for backend in ("brokers", "websockets"):
        server = next(name for name, address in (await discovering.addresses(backend)).items() if address == FIRST)
        await discovering.proxy.command(f"set server {backend}/{server} state drain")
    discovering.dns.addresses = [SECOND]

    async def vacant() -> bool:
        return (await discovering.proxy.status())[slot].startswith("MAINT")

    await eventually(vacant)
    for backend in ("brokers", "websockets"):
        for server in await discovering.proxy.status(backend):
            await discovering.proxy.command(f"set server {backend}/{server} state ready")
    discovering.dns.addresses = [SECOND, FIRST]
    await discovering.until(FIRST, SECOND)
    await discovering.proxy.mqtt("a")
    await discovering.proxy.mqtt("b")
    assert [len(node.connects) for node in nodes] == [1, 1]
