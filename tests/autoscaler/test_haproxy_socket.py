"""HAProxy's runtime API, of a real HAProxy."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from autoscaler.haproxy import RuntimeSocket, Server
from core.errors import UnavailableError
from runtime.haproxy_socket import HaproxySocket
from tests.conftest import eventually, free_port, missing

CONFIGURATION = """
global
    stats socket {socket} mode 600 level admin
defaults
    mode tcp
    timeout connect 1s
    timeout client 10s
    timeout server 10s
    timeout check 1s
frontend mqtt
    bind 127.0.0.1:{port}
    default_backend brokers
backend brokers
    default-server check inter 100ms fall 1 rise 1
    server broker-1 127.0.0.1:{node}
    server broker-2 127.0.0.2:{closed}
    server broker-3 nowhere.invalid:1883 init-addr none
backend websockets
    server broker-1 127.0.0.1:{node}
backend api
    server api 127.0.0.1:{node}
"""


class Proxied:
    def __init__(self, folder: Path, port: int) -> None:
        self.path = folder / "admin.sock"
        self.socket = RuntimeSocket(self.path)
        self.port = port

    async def server(self, backend: str, name: str) -> Server:
        return next(each for each in await self.socket.servers() if (each.backend, each.name) == (backend, name))


@pytest.fixture
async def proxied() -> AsyncIterator[Proxied]:
    if shutil.which("haproxy") is None:
        missing("haproxy", "install Debian's haproxy")
    # Not tmp_path: a socket's path may have 107 bytes at the most.
    folder = Path(tempfile.mkdtemp(prefix="campus-haproxy-"))
    staying: set[asyncio.StreamWriter] = set()

    async def stay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        staying.add(writer)
        with suppress(ConnectionError):
            await reader.read()
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        staying.remove(writer)

    async def nobody_stays() -> bool:
        return not staying

    node = await asyncio.start_server(stay, "127.0.0.1", 0)
    proxied = Proxied(folder, free_port())
    (folder / "haproxy.cfg").write_text(
        CONFIGURATION.format(
            socket=proxied.path, port=proxied.port, node=node.sockets[0].getsockname()[1], closed=free_port()
        )
    )
    command = ["haproxy", "-q", "-db", "-f", str(folder / "haproxy.cfg")]
    process = await asyncio.create_subprocess_exec(*command)

    async def answers() -> bool:
        try:
            first, second = await proxied.server("brokers", "broker-1"), await proxied.server("brokers", "broker-2")
        except UnavailableError:
            return False
        return first.up and not second.up

    try:
        await eventually(answers)
        yield proxied
    finally:
        process.kill()
        await process.wait()
        node.close()
        await eventually(nobody_stays)
        shutil.rmtree(folder)


@asynccontextmanager
async def connection(port: int) -> AsyncIterator[None]:
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield
    finally:
        writer.close()
        await writer.wait_closed()


async def test_it_tells_the_slots_of_both_backends_and_what_is_in_them(proxied: Proxied) -> None:
    assert await proxied.socket.servers() == [
        Server("brokers", "broker-1", "127.0.0.1", 0, draining=False, up=True),
        Server("brokers", "broker-2", "127.0.0.2", 0, draining=False, up=False),
        Server("brokers", "broker-3", "", 0, draining=False, up=False),
        Server("websockets", "broker-1", "127.0.0.1", 0, draining=False, up=True),
    ]


async def test_it_counts_the_sessions_of_each(proxied: Proxied) -> None:
    async with connection(proxied.port), connection(proxied.port):

        async def counted() -> bool:
            return (await proxied.server("brokers", "broker-1")).sessions == 2

        await eventually(counted)


async def test_a_slot_that_drains_says_so_keeps_its_sessions_and_can_be_used_again(proxied: Proxied) -> None:
    async with connection(proxied.port):

        async def connected() -> bool:
            return (await proxied.server("brokers", "broker-1")).sessions == 1

        await eventually(connected)
        slot = await proxied.server("brokers", "broker-1")
        await proxied.socket.set_state(slot, "drain")
        slot = await proxied.server("brokers", "broker-1")
        assert (slot.draining, slot.sessions) == (True, 1)
        assert not (await proxied.server("websockets", "broker-1")).draining
        await proxied.socket.set_state(slot, "ready")
        assert not (await proxied.server("brokers", "broker-1")).draining


async def test_a_slot_that_is_down_and_drains_says_so_too(proxied: Proxied) -> None:
    slot = await proxied.server("brokers", "broker-2")
    await proxied.socket.set_state(slot, "drain")
    slot = await proxied.server("brokers", "broker-2")
    assert (slot.draining, slot.up) == (True, False)


async def test_what_haproxy_refuses_is_said(proxied: Proxied) -> None:
    with pytest.raises(UnavailableError, match="No such server"):
        await proxied.socket.set_state(Server("brokers", "broker-9", "", 0, draining=False, up=False), "drain")


async def test_commands_together_are_answered_together(proxied: Proxied) -> None:
    said = await HaproxySocket(proxied.path).ask("set server api/api state drain", "get weight api/api")
    assert "1 (initial 1)" in said


@pytest.mark.parametrize(
    ("command", "payload"),
    [
        ("get weight api/api; set server websockets/broker-1 state drain", ""),
        ("get weight api/api\nset server websockets/broker-1 state drain", ""),
        ("add map #0", "a 1\n\nset server websockets/broker-1 state drain"),
        ("add map #0", "a 1\n\r\nset server websockets/broker-1 state drain"),
        ("add map #0", "\nset server websockets/broker-1 state drain"),
        ("add map #0", "a 1\0"),
    ],
    ids=["a semicolon", "a line", "an empty line", "a line of a carriage return", "an empty payload", "a zero byte"],
)
async def test_what_would_be_another_command_to_haproxy_is_refused_before_it_is_sent(
    proxied: Proxied, command: str, payload: str
) -> None:
    with pytest.raises(ValueError, match="printable"):
        await HaproxySocket(proxied.path).ask(command, payload=payload)
    assert not (await proxied.server("websockets", "broker-1")).draining


async def test_haproxy_away_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="HAProxy does not answer"):
        await RuntimeSocket(tmp_path / "admin.sock").servers()
