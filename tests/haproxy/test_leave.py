"""`haproxy/leave`: the clients of MQTT go a few at a time before HAProxy is stopped."""

import asyncio
import os
from collections.abc import Mapping
from datetime import datetime

import pytest

from tests.conftest import WAIT_SECONDS
from tests.haproxy.conftest import StartProxy
from tests.haproxy.nodes import FakeNode, NodePorts
from tests.haproxy.running import CONFIG, Proxy, Streams, two_fixed_nodes

LEAVE = CONFIG.with_name("leave")


@pytest.fixture
async def proxy(start: StartProxy, nodes: tuple[FakeNode, FakeNode], ports: NodePorts) -> Proxy:
    return await start(**two_fixed_nodes(nodes, ports))


async def left(environment: Mapping[str, str]) -> tuple[int, str]:
    """How it ended, and what it has said."""
    leaving = await asyncio.create_subprocess_exec(
        LEAVE,
        env={"PATH": os.environ["PATH"], "HAPROXY_LEAVE_NOTICE": "0", **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    told, _ = await leaving.communicate()
    return leaving.returncode or 0, told.decode()


async def ended(client: Streams) -> None:
    """Wait until its connection has ended."""
    async with asyncio.timeout(2 * WAIT_SECONDS):
        try:
            while await client[0].read(100):
                pass
        except ConnectionError:
            pass


async def test_clients_go_in_as_many_parts_as_there_are_seconds(proxy: Proxy) -> None:
    clients = [await proxy.mqtt(f"client-{number}") for number in range(12)]
    ends = asyncio.gather(*[ended(client) for client in clients])
    code, told = await left({"HAPROXY_SOCKET": str(proxy.socket), "HAPROXY_LEAVE_SECONDS": "4"})
    assert (code, told.strip()) == (0, "")
    await ends
    moments = sorted(
        datetime.fromisoformat(line["timestamp"])
        for line in proxy.lines()
        if line.get("end") and line["server"] != "<NOSRV>"
    )
    assert len(moments) == 12
    # Three of twelve each, and a second between two parts.
    for number in (3, 6, 9):
        assert (moments[number] - moments[number - 1]).total_seconds() > 0.5


async def test_requests_of_http_are_left_alone(proxy: Proxy) -> None:
    client = await proxy.mqtt("client")
    reader, writer = await proxy.open("HTTP_PORT")
    writer.write(b"GET /v1/occupancy HTTP/1.1\r\nHost: a\r\n\r\n")
    head = await reader.readuntil(b"\r\n\r\n")
    assert b" 200 " in head.split(b"\r\n")[0]
    code, _ = await left({"HAPROXY_SOCKET": str(proxy.socket), "HAPROXY_LEAVE_SECONDS": "1"})
    assert code == 0
    await ended(client)
    assert not reader.at_eof()
    # New ones are still let in: who sends them here has not heard of it yet.
    await proxy.mqtt("late")


async def test_it_is_over_when_nobody_is_left(proxy: Proxy) -> None:
    client = await proxy.mqtt("only")
    async with asyncio.timeout(2 * WAIT_SECONDS):
        code, _ = await left({"HAPROXY_SOCKET": str(proxy.socket), "HAPROXY_LEAVE_SECONDS": "3600"})
        assert code == 0
    await ended(client)


async def test_a_haproxy_that_does_not_answer_is_no_reason_to_fail() -> None:
    code, _ = await left({"HAPROXY_SOCKET": "/nowhere/admin.sock", "HAPROXY_LEAVE_SECONDS": "5"})
    assert code == 0
