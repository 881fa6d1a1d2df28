import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.broker.frames import request
from tests.conftest import WAIT_SECONDS, eventually
from tests.haproxy import http2
from tests.haproxy.conftest import Certificates, StartProxy
from tests.haproxy.nodes import CONNACK, FakeNode
from tests.haproxy.running import Proxy
from tests.mqtt.servers import OneNode, one_node
from tests.mqtt.wire import Will, connect

ELSEWHERE = "127.0.0.9"
GET = b"GET /v1/zones HTTP/1.0\r\n\r\n"
JUNK = {
    "nothing of MQTT": b"GET / HTTP/1.1\r\nHost: broker\r\n\r\n",
    "TLS on the plain port": bytes.fromhex("160301002f0100002b0303") + bytes(40),
    "a PUBLISH first": b"\x30\x07\0\5topic",
    "a CONNACK": CONNACK,
    "a CONNECT of no known protocol": connect("car", protocol="MQXX"),
    "a length of five bytes": b"\x10\xff\xff\xff\xff\x7f",
    "a client id longer than the packet": b"\x10\x0e\0\4MQTT\4\2\0\0\xff\xffca",
    "PROXY protocol": b"PROXY TCP4 203.0.113.7 192.0.2.1 56324 1883\r\n" + connect("car"),
}


@pytest.mark.parametrize("junk", JUNK.values(), ids=JUNK.keys())
async def test_what_is_no_connect_is_cut_off_and_no_node_sees_it(
    in_front: StartProxy, nodes: tuple[FakeNode, FakeNode], junk: bytes
) -> None:
    proxy = await in_front()
    assert await proxy.ask(junk) == b""
    assert not any(node.connects for node in nodes)
    assert (await proxy.logged(logger="haproxy.mqtt"))["end"] == "PR"


async def test_one_address_has_so_many_connections_and_others_are_not_concerned(in_front: StartProxy) -> None:
    proxy = await in_front(ADDRESS_CONNECTIONS="3")
    _, first = await proxy.mqtt("car-1")
    for number in (2, 3):
        await proxy.mqtt(f"car-{number}")
    assert await proxy.ask(connect("one more")) == b""
    assert b" 200 " in await proxy.ask(GET, "HTTP_PORT"), "HTTP has a limit of its own"
    assert await proxy.ask(connect("another"), source=ELSEWHERE) == CONNACK

    first.close()
    await eventually(lambda: accepted(proxy))


@pytest.mark.parametrize("path", ["/metrics", "/readyz", "/metrics?name=up", "/%6detrics", "/readyz?"])
async def test_what_is_for_operators_is_refused_also_where_something_behind_would_answer(
    in_front: StartProxy, path: str
) -> None:
    proxy = await in_front()
    answer = await proxy.ask(f"GET {path} HTTP/1.0\r\n\r\n".encode(), "HTTP_PORT")
    assert answer.startswith(b"HTTP/1.1 404 ")
    assert b"application/problem+json" in answer
    assert (await proxy.ask(b"GET /healthz HTTP/1.0\r\n\r\n", "HTTP_PORT")).startswith(b"HTTP/1.1 200 ")


async def accepted(proxy: Proxy) -> bool:
    return await proxy.ask(connect("after one has left")) == CONNACK


async def test_one_address_comes_so_often_and_others_are_not_concerned(in_front: StartProxy) -> None:
    proxy = await in_front(ADDRESS_CONNECT_RATE="2")
    for number in range(2):
        assert await proxy.ask(connect(f"car-{number}")) == CONNACK
        assert (await proxy.ask(GET, "HTTP_PORT")).startswith(b"HTTP/1.1 200 ")
    assert await proxy.ask(connect("one more")) == b""
    assert await proxy.ask(GET, "HTTP_PORT") == b""
    assert await proxy.ask(connect("another"), source=ELSEWHERE) == CONNACK
    counted = await proxy.statistics()
    assert [counted[name, "FRONTEND"]["dcon"] for name in ("mqtt", "http")] == ["1", "1"]


async def test_one_address_has_so_many_connections_to_http_and_others_are_not_concerned(in_front: StartProxy) -> None:
    proxy = await in_front(ADDRESS_HTTP_CONNECTIONS="3", HTTP_MAXCONN="5")
    for _ in range(3):
        reader, writer = await proxy.open("HTTP_PORT")
        writer.write(request())
        assert (await reader.readline()).startswith(b"HTTP/1.1 101 ")
    assert await proxy.ask(GET, "HTTP_PORT") == b""
    assert b" 200 " in await proxy.ask(GET, "HTTP_PORT", source=ELSEWHERE)
    assert await proxy.ask(connect("car")) == CONNACK, "MQTT has a limit of its own"


async def test_one_address_has_so_many_requests_under_way_in_however_few_connections(
    in_front: StartProxy, certificates: Certificates, nodes: tuple[FakeNode, FakeNode]
) -> None:
    proxy = await in_front(ADDRESS_HTTP_CONNECTIONS="3", **certificates.server)
    nodes[0].holds = True
    context = certificates.context()
    context.set_alpn_protocols(["h2"])
    reader, writer = await proxy.open("HTTPS_PORT", tls=context)
    writer.write(http2.opening() + b"".join(http2.get("/v1/zones", stream) for stream in (1, 3, 5, 7)))
    async with asyncio.timeout(WAIT_SECONDS):
        await reader.readuntil(b"as many requests under way as one may")
    statistics = await proxy.statistics()
    assert statistics["api", "BACKEND"]["scur"] == "3"


async def test_nothing_is_counted_by_client_id_for_anybody_can_send_it(in_front: StartProxy) -> None:
    proxy = await in_front()
    for _ in range(70):
        assert await proxy.ask(connect("gateway"), source=ELSEWHERE) == CONNACK
    assert await proxy.ask(connect("gateway")) == CONNACK


async def test_by_default_one_address_may_come_with_hundreds_of_devices_at_once(in_front: StartProxy) -> None:
    proxy = await in_front()
    await asyncio.gather(*(proxy.mqtt(f"car-{number}") for number in range(300)))
    counted = await proxy.statistics()
    assert counted["mqtt", "FRONTEND"]["scur"] == "300"


@pytest.mark.parametrize(("port", "first"), [("MQTT_PORT", connect("car")), ("HTTP_PORT", request())])
async def test_where_all_connections_are_taken_operators_are_still_answered(
    in_front: StartProxy, port: str, first: bytes
) -> None:
    proxy = await in_front(MQTT_MAXCONN="2", HTTP_MAXCONN="2", HAPROXY_MAXCONN="10")
    for _ in range(2):
        reader, writer = await proxy.open(port)
        writer.write(first)
        assert await reader.read(4)
    reader, writer = await proxy.open(port)
    writer.write(first)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await reader.read(4)
    assert b" 200 " in await proxy.ask(b"GET /readyz HTTP/1.0\r\n\r\n", "HAPROXY_OPS_PORT")
    proxy.opened[-3].transport.abort()
    # It was not refused, it waited.
    async with asyncio.timeout(WAIT_SECONDS):
        assert await reader.read(4)


async def test_a_connect_that_does_not_fit_reaches_a_node_and_one_that_does_is_checked(
    in_front: StartProxy, nodes: tuple[FakeNode, FakeNode]
) -> None:
    proxy = await in_front()
    for size in (11_900, 12_300, 16_300, 17_000, 60_000):
        assert await proxy.ask(connect("car", will=Will("t", b"x" * size))) == CONNACK, size
    assert await proxy.ask(connect("car", protocol="MQXX", will=Will("t", b"x" * 11_900))) == b""
    assert sum(len(node.connects) for node in nodes) == 5


@pytest.mark.skipif(sys.platform != "linux", reason="HAProxy can do this on Linux alone")
async def test_who_takes_nothing_of_what_is_sent_to_it_keeps_no_connection(
    in_front: StartProxy, nodes: tuple[FakeNode, FakeNode]
) -> None:
    proxy = await in_front(CLIENT_WRITE_TIMEOUT="1s")
    for node in nodes:
        node.greeting = CONNACK + bytes(20_000_000)
    # A reader stops reading from its socket once twice 64 kB wait in it.
    _, writer = await proxy.open()
    writer.write(connect("deaf"))
    await eventually(lambda: connections_are(proxy, "1"))
    await eventually(lambda: connections_are(proxy, "0"), limit=60)


async def connections_are(proxy: Proxy, number: str) -> bool:
    return (await proxy.statistics())["mqtt", "FRONTEND"]["scur"] == number


@pytest.fixture
def real_node(tmp_path: Path) -> Iterator[OneNode]:
    with one_node(tmp_path) as node:
        yield node


async def test_a_node_behind_haproxy_answers_a_will_of_17_kilobytes(start: StartProxy, real_node: OneNode) -> None:
    proxy = await start(
        BROKER_1_PORT=str(real_node.mqtt[1]), BROKER_1_OPS_PORT=real_node.ops.rpartition(":")[2], API_PORT="1"
    )
    await eventually(lambda: one_is_up(proxy))
    for size, code in ((11_900, 0), (17 * 1024, 5), (60_000, 5)):
        assert await proxy.ask(connect("car", will=Will("t", b"x" * size))) == bytes((0x20, 2, 0, code)), size


async def one_is_up(proxy: Proxy) -> bool:
    return await proxy.status() == {"broker-1": "UP", "broker-2": "DOWN"}
