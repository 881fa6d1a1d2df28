"""Clients of brokers that nobody is meant to be on any more are moved, a tenth at a time, by a real HAProxy."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from controller import maps
from controller.moving import Mover, abandoned
from core.errors import UnavailableError
from core.versions import BROKER, Route, changed, first_route
from runtime.haproxy_socket import HaproxySocket
from tests.conftest import WAIT_SECONDS, eventually
from tests.haproxy.dns import fake_dns
from tests.haproxy.nodes import FakeNode, NodePorts, fake_node
from tests.haproxy.running import Proxy, Streams, haproxy
from tests.mqtt.wire import connect

CURRENT = first_route(BROKER, "current")
TO_NEXT = changed(CURRENT, shares={"current": 0, "next": 100}, move=True)
STATISTICS = "show stat -1 2 -1"
CLIENTS = 25


class Front:
    """HAProxy, and a node of each version."""

    def __init__(self, proxy: Proxy, present: FakeNode, following: FakeNode) -> None:
        self.proxy = proxy
        self.present = present
        self.following = following
        self.mover = Mover(HaproxySocket(proxy.socket))
        self.clients: list[Streams] = []
        """Those that came before, in the order in which they came."""

    async def step(self, route: Route | None) -> None:
        await self.mover.step(route, await self.proxy.command(STATISTICS))

    async def until(self, present: int) -> None:
        """Wait until so many clients are on the present version."""

        async def are() -> bool:
            return len(self.present.open) == present

        await eventually(are)

    async def answered(self) -> int:
        """How many of those that came before still have an answer to a PINGREQ."""
        return sum([await ping(*each) for each in self.clients])

    async def up(self, backend: str, *, is_up: bool = True) -> None:
        """Wait until HAProxy knows of a server of this backend, or of none."""

        async def known() -> bool:
            return bool(await self.proxy.up(backend)) == is_up

        await eventually(known)


async def ping(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """Whether a PINGREQ comes back, as a node of these tests answers it: False where the connection was ended."""
    writer.write(b"\xc0\0")
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            return await reader.readexactly(2) == b"\xc0\0"
    except (ConnectionError, asyncio.IncompleteReadError):
        return False


@pytest.fixture
async def front() -> AsyncIterator[Front]:
    """The rule gives everybody to `next`; 25 clients came before, to the present version."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="campus-haproxy-")))
        ports = NodePorts()
        dns = await stack.enter_async_context(fake_dns())
        dns.named = {"brokers.test": ["127.0.1.1"], "brokers-next.test": ["127.0.1.2"]}
        present = await stack.enter_async_context(fake_node("127.0.1.1", ports))
        following = await stack.enter_async_context(fake_node("127.0.1.2", ports))
        places, slots = {"broker/current": 19, "broker/next": 20}, {BROKER: 2}
        (folder / "routes").mkdir()
        for name, lines in {
            "apps": maps.apps(slots),
            "shares": maps.shares({BROKER: CURRENT}, slots, places),
            **{name: [] for name in ("forced", "groups", "persons", "faults")},
        }.items():
            maps.write(folder / "routes", name, lines)
        by_dns = {
            "BROKER_FQDN": "brokers.test",
            "BROKER_NEXT_FQDN": "brokers-next.test",
            "DNS_ADDR": dns.address,
            "BROKER_PORT": str(ports.mqtt),
            "BROKER_WS_PORT": str(ports.websocket),
            "BROKER_OPS_PORT": str(ports.ops),
            "MQTT_MAXCONN": "200",
            "HTTP_MAXCONN": "200",
        }
        made = Front(await stack.enter_async_context(haproxy(folder, by_dns)), present, following)
        for backend in ("brokers", "brokers-next"):
            await made.up(backend)
        for number in range(CLIENTS):
            made.clients.append(await made.proxy.mqtt(f"client-{number}"))
        yield made


async def test_a_tenth_of_those_that_were_there_is_ended_at_each_look_and_nobody_twice(front: Front) -> None:
    for left in (22, 19, 16, 13, 10, 7, 4, 1, 0, 0):
        await front.step(TO_NEXT)
        await front.until(left)

    # Who comes to the present version now, for whatever reason, is left alone.
    await front.proxy.mqtt("late")
    await front.step(TO_NEXT)
    await front.step(TO_NEXT)
    assert await ping(*await front.proxy.mqtt("later"))
    assert len(front.present.open) == 2


async def test_mqtt_over_websocket_is_moved_too_and_requests_are_not(front: Front) -> None:
    reader, writer = await front.proxy.open("HTTP_PORT")
    handshake = b"GET /mqtt HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    writer.write(handshake + b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
    assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
    writer.write(connect("by-websocket"))
    await front.until(CLIENTS + 1)
    for _ in range(10):
        await front.step(TO_NEXT)
    await front.until(0)


async def test_nobody_is_ended_while_the_others_have_no_broker(front: Front) -> None:
    front.following.ready = False
    await front.up("brokers-next", is_up=False)
    with capture_logs() as logs:
        await front.step(TO_NEXT)
        await front.step(TO_NEXT)
    assert [line["reason"] for line in logs] == ["brokers-next of HAProxy has no broker"]
    assert await front.answered() == CLIENTS

    front.following.ready = True
    await front.up("brokers-next")
    await front.step(TO_NEXT)
    await front.until(CLIENTS - 3)


async def test_without_being_asked_for_it_ends_nobody_and_a_rule_that_changes_ends_the_moving(front: Front) -> None:
    await front.step(changed(CURRENT, shares={"current": 0, "next": 100}))
    await front.step(None)
    await front.step(TO_NEXT)
    await front.until(CLIENTS - 3)
    back = changed(TO_NEXT, shares={"current": 100, "next": 0})
    for _ in range(5):
        await front.step(back)
    assert await front.answered() == CLIENTS - 3


async def test_the_others_stay_where_the_version_that_they_would_come_to_goes_down_meanwhile(front: Front) -> None:
    await front.step(TO_NEXT)
    await front.until(CLIENTS - 3)
    front.following.ready = False
    await front.up("brokers-next", is_up=False)
    with capture_logs() as logs:
        for _ in range(5):
            await front.step(TO_NEXT)
    assert [line["reason"] for line in logs] == ["brokers-next of HAProxy has no broker"]
    assert await front.answered() == CLIENTS - 3

    front.following.ready = True
    await front.up("brokers-next")
    for left in (CLIENTS - 6, CLIENTS - 9):
        await front.step(TO_NEXT)
        await front.until(left)


class Told(HaproxySocket):
    """HAProxy where each connection lies where the test says."""

    def __init__(self) -> None:
        super().__init__(Path())
        self.sessions: dict[str, str] = {}
        self.ended: list[str] = []

    async def ask(self, *commands: str, payload: str = "") -> str:
        assert not payload
        self.ended += [command for command in commands if command != "show sess"]
        lines = [
            f"{name}: proto=tcpv4 src={source} fe=mqtt be=brokers srv=node1 ts=00 epoch=0 age=2s calls=2 "
            for name, source in self.sessions.items()
        ]
        return "\n".join(lines) + "\n"


async def test_who_comes_to_lie_where_one_was_that_left_by_itself_is_left_alone() -> None:
    socket = Told()
    socket.sessions = {f"0x{number}": f"10.0.0.{number}:4000" for number in (1, 2, 3)}
    mover = Mover(socket)
    both = rows("brokers", "brokers-next")
    await mover.step(TO_NEXT, both)
    assert socket.ended == ["shutdown session 0x1"]
    socket.sessions = {"0x2": "10.0.0.2:4001", "0x3": "10.0.0.3:4000"}
    await mover.step(TO_NEXT, both)
    await mover.step(TO_NEXT, both)
    assert socket.ended == ["shutdown session 0x1", "shutdown session 0x3"]


def rows(*up: str) -> str:
    status = {name: ("DOWN,0", "UP,1")[name in up] for name in ("brokers", "brokers-next")}
    lines = [f"{name},BACKEND,{said}" for name, said in status.items()]
    return "\n".join(("# pxname,svname,status,act", *lines, ""))


def test_only_a_version_that_nobody_is_meant_to_get_is_left() -> None:
    both = rows("brokers", "brokers-next")
    assert abandoned(TO_NEXT, both) == {"brokers", "websockets"}
    assert abandoned(changed(TO_NEXT, shares={"current": 100, "next": 0}), both) == {"brokers-next", "websockets-next"}
    assert abandoned(changed(CURRENT, shares={"current": 1, "next": 99}), both) == set()
    assert abandoned(changed(CURRENT, shares={"current": 0, "next": 100}, users={"ann": "current"}), both) == set()
    with pytest.raises(UnavailableError, match="does not say"):
        abandoned(TO_NEXT, "")
