import asyncio
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest

from broker.transport import proxy_protocol
from broker.transport.proxy_protocol import BadHeaderError, Header, ProxyProtocol, parse_header
from tests.broker.fake_transport import FakeTransport, Recorder
from tests.broker.frames import frame, request
from tests.conftest import WAIT_SECONDS, eventually
from tests.mqtt.servers import Address, OneNode, one_node
from tests.mqtt.wire import PINGREQ, connect

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
V1_BYTES = 107
V2_BYTES = 1040

PINGRESP = b"\xd0\0"
V1 = b"PROXY TCP4 203.0.113.7 192.0.2.1 56324 1883\r\n"


def version_2(
    source: str = "203.0.113.7", *, command: int = 0x21, family: int | None = None, more: bytes = b""
) -> bytes:
    """A header of version 2 for a client at that address, port 4660."""
    address = ip_address(source)
    body = address.packed * 2 + b"\x12\x34\x07\x5b" + more
    kind = family if family is not None else {4: 0x11, 6: 0x21}[address.version]
    return SIGNATURE + bytes((command, kind)) + len(body).to_bytes(2, "big") + body


@pytest.mark.parametrize(
    ("data", "peer"),
    [
        (V1, ("203.0.113.7", 56324)),
        (b"PROXY TCP6 2001:db8::7 2001:db8::1 65535 0\r\n", ("2001:db8::7", 65535)),
        (b"PROXY UNKNOWN\r\n", None),
        (b"PROXY UNKNOWN " + b"f" * (V1_BYTES - 16) + b"\r\n", None),
        (version_2(), ("203.0.113.7", 0x1234)),
        (version_2("2001:db8::7"), ("2001:db8::7", 0x1234)),
        (version_2(more=b"\x04\x00\x05extra"), ("203.0.113.7", 0x1234)),
        (version_2(more=b"x" * (V2_BYTES - 28)), ("203.0.113.7", 0x1234)),
        (version_2(command=0x20), None),
        (SIGNATURE + b"\x20\x00\x00\x00", None),
        (version_2(family=0x00), None),
        (version_2(family=0x31), None),
    ],
)
def test_a_header_says_who_the_client_is_wherever_it_is_cut(data: bytes, peer: tuple[str, int] | None) -> None:
    assert parse_header(data) == Header(len(data), peer)
    assert parse_header(data + b"\x10\x0c\r\n") == Header(len(data), peer)
    assert [parse_header(data[:end]) for end in range(len(data))] == [None] * len(data)


@pytest.mark.parametrize(
    "data",
    [
        b"\x10\x0c\0\4MQTT",
        b"GET / HTTP/1.1\r\n",
        b"PROXY TCP4\r\n",
        b"PROXY \r\n",
        b"PROXY TCP4 203.0.113.7 192.0.2.1 56324\r\n",
        b"PROXY TCP4 203.0.113.7 192.0.2.1 56324 1883 more\r\n",
        b"PROXY TCP6 203.0.113.7 192.0.2.1 56324 1883\r\n",
        b"PROXY UDP4 203.0.113.7 192.0.2.1 56324 1883\r\n",
        b"PROXY TCP4 203.0.113.777 192.0.2.1 56324 1883\r\n",
        b"PROXY TCP4 203.0.113.7 nowhere 56324 1883\r\n",
        b"PROXY TCP4 203.0.113.7 192.0.2.1 65536 1883\r\n",
        b"PROXY TCP4 203.0.113.7 192.0.2.1 -1 1883\r\n",
        b"PROXY TCP4 203.0.113.7 192.0.2.1 5_6 1883\r\n",
        b"PROXY TCP4 203.0.113.7 192.0.2.1 56324 \xff\r\n",
        b"PROXY TCP6 fe80::1%a-zone 2001:db8::1 1 2\r\n",
        b"PROXY TCP4 \xff\xfe 192.0.2.1 56324 1883\r\n",
        b"PROXY UNKNOWN " + b"f" * V1_BYTES,
        SIGNATURE + b"\x11\x11\x00\x0c" + b"\0" * 12,
        SIGNATURE + b"\x22\x11\x00\x0c" + b"\0" * 12,
        SIGNATURE + b"\x21\x11\x00\x0b" + b"\0" * 11,
        SIGNATURE + b"\x21\x21\x00\x23" + b"\0" * 35,
        SIGNATURE + b"\x21\x11\xff\xff",
    ],
)
def test_anything_else_is_no_header(data: bytes) -> None:
    with pytest.raises(BadHeaderError):
        parse_header(data)


class Proxied:
    def __init__(self) -> None:
        self.inner = Recorder()
        self.transport = FakeTransport()
        self.protocol = ProxyProtocol(lambda: self.inner)
        self.protocol.connection_made(self.transport)

    def connection(self) -> asyncio.Transport | None:
        """What the connection behind it was given to write to."""
        return self.inner.transport


@pytest.fixture
async def proxied() -> Proxied:
    return Proxied()


@pytest.fixture
def brief_header(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxy_protocol, "HEADER_SECONDS", 0.05)


async def test_what_follows_the_header_is_the_clients_and_comes_from_its_address(proxied: Proxied) -> None:
    stream = version_2() + b"packets"
    for index in range(len(stream) - len(b"packets") - 1):
        proxied.protocol.data_received(stream[index : index + 1])
    assert proxied.connection() is None
    proxied.protocol.data_received(stream[-len(b"packets") - 1 :])
    transport = proxied.connection()
    assert transport is not None
    assert transport.get_extra_info("peername") == ("203.0.113.7", 0x1234)
    assert transport.get_extra_info("other", 7) == 7
    assert proxied.inner.received == b"packets"


async def test_the_socket_then_belongs_to_the_connection(proxied: Proxied) -> None:
    proxied.protocol.data_received(V1)
    assert proxied.transport.protocol is proxied.inner
    assert proxied.protocol._timer.cancelled()
    transport = proxied.connection()
    assert transport is not None
    transport.write(b"answer")
    assert proxied.transport.taken() == b"answer"
    transport.pause_reading()
    paused = proxied.transport.paused
    transport.resume_reading()
    assert (paused, proxied.transport.paused) == (True, False)
    transport.close()
    assert proxied.transport.closed
    transport.abort()
    assert proxied.transport.aborted
    assert transport.is_closing()


async def test_a_proxy_that_speaks_for_itself_has_its_own_address(proxied: Proxied) -> None:
    proxied.protocol.data_received(b"PROXY UNKNOWN\r\n")
    transport = proxied.connection()
    assert transport is not None
    assert transport.get_extra_info("peername") == ("192.0.2.1", 40_000)


async def test_without_a_header_it_ends_and_nothing_is_kept(proxied: Proxied) -> None:
    proxied.protocol.data_received(connect("client"))
    assert proxied.transport.aborted
    proxied.protocol.data_received(V1)
    assert not proxied.inner.calls
    assert not proxied.protocol._data


@pytest.mark.usefixtures("brief_header")
async def test_a_header_that_does_not_come_in_time_ends_it() -> None:
    proxied = Proxied()

    async def aborted() -> bool:
        return proxied.transport.aborted

    await eventually(aborted)


async def test_a_connection_lost_before_its_header_leaves_no_timer(proxied: Proxied) -> None:
    proxied.protocol.data_received(V1[:10])
    proxied.protocol.connection_lost(None)
    assert proxied.protocol._timer.cancelled()
    assert not proxied.inner.calls


@pytest.fixture(scope="module")
def behind_proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OneNode]:
    with one_node(tmp_path_factory.mktemp("proxied"), BROKER_PROXY_PROTOCOL="1") as node:
        yield node


async def exchange(address: Address, sent: bytes, until: bytes) -> bytes:
    """The answer as far as that is in it; all of it where the node closes before."""
    reader, writer = await asyncio.open_connection(*address)
    try:
        writer.write(sent)
        async with asyncio.timeout(WAIT_SECONDS):
            return await reader.readuntil(until)
    except asyncio.IncompleteReadError as error:
        return error.partial
    except ConnectionError:
        return b""
    finally:
        writer.transport.abort()


@pytest.mark.parametrize(
    ("header", "client"),
    [(V1, "203.0.113.7"), (version_2("198.51.100.9"), "198.51.100.9"), (version_2("2001:db8::9"), "2001:db8::9")],
)
async def test_clients_get_in_and_are_known_by_their_own_address(
    behind_proxy: OneNode, header: bytes, client: str
) -> None:
    answer = await exchange(behind_proxy.mqtt, header + connect("proxied") + PINGREQ, PINGRESP)
    assert answer == b"\x20\x02\0\0\xd0\0"
    assert await exchange(behind_proxy.mqtt, header + b"\xf0\0", PINGRESP) == b""
    await eventually(lambda: mentioned(behind_proxy.log, client))


async def mentioned(log: Path, client: str) -> bool:
    return client in await asyncio.to_thread(log.read_text)


@pytest.mark.parametrize("header", [V1, version_2()])
async def test_websocket_clients_get_in(behind_proxy: OneNode, header: bytes) -> None:
    answer = await exchange(
        behind_proxy.websocket, header + request() + frame(connect("proxied-ws") + PINGREQ), PINGRESP
    )
    assert answer.startswith(b"HTTP/1.1 101 ")


async def test_a_websocket_client_is_known_by_its_own_address(behind_proxy: OneNode) -> None:
    sent = version_2("198.51.100.77") + request() + frame(b"\xf0\0")
    assert (await exchange(behind_proxy.websocket, sent, b"\x88\x02\x03\xe8")).startswith(b"HTTP/1.1 101 ")
    await eventually(lambda: mentioned(behind_proxy.log, "198.51.100.77"))


async def test_whoever_comes_without_a_proxy_stays_outside(behind_proxy: OneNode) -> None:
    assert await exchange(behind_proxy.mqtt, connect("direct"), PINGRESP) == b""
    assert await exchange(behind_proxy.websocket, request(), PINGRESP) == b""
