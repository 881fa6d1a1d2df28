import asyncio

import pytest

from tests.broker.frames import request
from tests.conftest import eventually
from tests.haproxy.conftest import StartProxy
from tests.haproxy.nodes import CONNACK, FakeNode
from tests.haproxy.running import Proxy
from tests.mqtt.wire import connect

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
    assert await proxy.ask(GET, "HTTP_PORT") == b"", "the ports share the limit"
    assert await proxy.ask(connect("another"), source=ELSEWHERE) == CONNACK

    first.close()
    await eventually(lambda: accepted(proxy))


async def accepted(proxy: Proxy) -> bool:
    return await proxy.ask(connect("after one has left")) == CONNACK


async def test_one_address_comes_so_often_and_others_are_not_concerned(in_front: StartProxy) -> None:
    proxy = await in_front(ADDRESS_CONNECT_RATE="4")
    for number in range(2):
        assert await proxy.ask(connect(f"car-{number}")) == CONNACK
        assert (await proxy.ask(GET, "HTTP_PORT")).startswith(b"HTTP/1.1 200 ")
    assert await proxy.ask(connect("one more")) == b""
    assert await proxy.ask(GET, "HTTP_PORT") == b""
    assert await proxy.ask(connect("another"), source=ELSEWHERE) == CONNACK
    counted = await proxy.statistics()
    assert [counted[name, "FRONTEND"]["dcon"] for name in ("mqtt", "http")] == ["1", "1"]


async def test_one_client_id_comes_so_often_wherever_from_and_others_are_not_concerned(in_front: StartProxy) -> None:
    proxy = await in_front(CLIENT_CONNECT_RATE="3")
    for source in ("", ELSEWHERE, ""):
        assert await proxy.ask(connect("flapping"), source=source) == CONNACK
    assert await proxy.ask(connect("flapping")) == b""
    assert await proxy.ask(connect("flapping"), source=ELSEWHERE) == b""
    assert await proxy.ask(connect("flapping-2")) == CONNACK
    # They share no id: each is given one of its own.
    for _ in range(5):
        assert await proxy.ask(connect("")) == CONNACK


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
    async with asyncio.timeout(5):
        assert await reader.read(4)
