"""Event streams over real connections: what uvicorn and the system hold for a client is bounded, too."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import uvicorn

from api.http.server import Http, Server
from api.live.poller import poll_once
from bench.presence import leave
from tests.api.conftest import Parts, arrive
from tests.conftest import NOON, WAIT_SECONDS, eventually
from tests.kinds_of_tests import CAR

REQUEST = b"GET /v1/events HTTP/1.1\r\nHost: campus\r\n\r\n"


@asynccontextmanager
async def serving(parts: Parts) -> AsyncIterator[tuple[Server, int]]:
    """A server over this parts, and its port."""
    config = uvicorn.Config(parts.app(), http=Http, lifespan="off", ws="none", log_config=None, access_log=False)
    server = Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        task = asyncio.create_task(server.serve(sockets=[listener]))
        yield server, listener.getsockname()[1]
        parts.change_log.close()
        server.should_exit = True
        async with asyncio.timeout(WAIT_SECONDS):
            await task


async def connected(port: int) -> socket.socket:
    """A connection that has asked for the events, and has room for little."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.settimeout(0)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(client, ("127.0.0.1", port))
    await loop.sock_sendall(client, REQUEST)
    return client


async def all_change(parts: Parts, look_number: int) -> None:
    """Let something change in every zone."""
    for zone in parts.campus.everything:
        await leave(parts.redis, zone.id, CAR)
        await arrive(parts.redis, zone.id, CAR, *[NOON] * (1 + look_number % 2))
    await poll_once(parts.live)


async def test_a_client_that_does_not_read_is_cut_off_and_holds_up_nobody(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.live.events.SEND_SECONDS", 0.2)
    await poll_once(parts.live)
    received = bytearray()

    async def until(name: str, value: float) -> None:
        async def so() -> bool:
            return parts.metrics.registry.get_sample_value(name) == value

        await eventually(so)

    async def read(reader: asyncio.StreamReader) -> None:
        while data := await reader.read(65536):
            received.extend(data)

    async with serving(parts) as (server, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(REQUEST)
        reading = asyncio.create_task(read(reader))
        with await connected(port):
            await until("api_event_streams", 2)
            looks = 0

            async def cut_off() -> bool:
                nonlocal looks
                looks += 1
                await all_change(parts, looks)
                return parts.metrics.registry.get_sample_value("api_event_streams_cut_off_total") == 1

            await eventually(cut_off)
            # By itself, the system would let megabytes wait.
            assert len(received) < 1_000_000
            await until("api_event_streams", 1)

            async def ended() -> bool:
                return len(server.server_state.connections) == 1

            # Although nobody reads what was still to be sent.
            await eventually(ended)
        await all_change(parts, looks + 1)

        async def arrived() -> bool:
            return f"id: {parts.change_log.event_id(parts.change_log.number)}\n".encode() in received

        await eventually(arrived)
        writer.close()
        await reading


@pytest.mark.parametrize(
    ("request_head", "status"),
    [
        (b"GET /%b HTTP/1.1\r\nHost: campus\r\n\r\n" % (b"a" * 300_000), b"400"),
        (
            b"POST /v1/positions HTTP/1.1\r\nHost: campus\r\nContent-Length: 99999999\r\n\r\n%b" % (b"a" * 300_000),
            b"413",
        ),
    ],
    ids=["a target that is too long", "a body that is too large"],
)
async def test_a_client_that_is_refused_while_it_sends_gets_the_whole_answer(
    parts: Parts, request_head: bytes, status: bytes
) -> None:
    async with serving(parts) as (_, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for start in range(0, len(request_head), 16_384):
            writer.write(request_head[start : start + 16_384])
            # The server answers meanwhile, and has then not read what is sent after.
            await asyncio.sleep(0)
            await writer.drain()
        answer = await reader.read()
        writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.split()[1] == status
    assert body


async def test_a_refused_client_that_sends_on_and_on_is_cut_off(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.http.server.LINGER_SECONDS", 0.2)
    async with serving(parts) as (_, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"nothing that is HTTP\r\n\r\n")
        assert b"400" in await reader.read()

        async def cut_off() -> bool:
            try:
                writer.write(b"more")
                await writer.drain()
            except ConnectionError:
                return True
            return False

        await eventually(cut_off)
