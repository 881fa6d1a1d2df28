import platform
import re
import signal
from datetime import datetime
from uuid import UUID

import pytest

from tests.broker.frames import request
from tests.haproxy.conftest import Certificates, StartProxy
from tests.haproxy.running import Proxy
from tests.mqtt.wire import Will, connect

HOSTILE = [
    b'"}\n{"event":"forged"}',
    b"\\u0000\\",
    b"\xff\xfe\x80 no UTF-8 \xc3",
    "日本語 🚗 \u2028\u202e".encode(),
    b"%[env(PATH)] %ci ${HOME}",
    b"\x1b[2J\x07",
    b"A" * 6000,
]
IDS = ["quotes", "backslashes", "no UTF-8", "UTF-8", "format", "terminal", "long"]


@pytest.mark.parametrize("text", HOSTILE, ids=IDS)
async def test_whatever_a_client_sends_a_line_of_the_log_is_one_of_json(in_front: StartProxy, text: bytes) -> None:
    proxy = await in_front()
    quoted = b"".join(b"%%%02x" % byte for byte in text)
    asked = [
        b"GET /" + text + b" HTTP/1.0\r\n\r\n",
        b"GET /" + quoted[:12_000] + b" HTTP/1.0\r\n\r\n",
        b"GET / HTTP/1.0\r\nHost: " + text + b"\r\nUser-Agent: " + text + b"\r\n\r\n",
        text.split(b" ")[0] + b" / HTTP/1.0\r\n\r\n",
        text + b"\r\n\r\n",
    ]
    for first in asked:
        await proxy.ask(first, "HTTP_PORT")
    for packet in (connect(text), connect("car", user=text, will=Will(text)), text):
        await proxy.ask(packet)
    await proxy.ask(b"GET /end HTTP/1.0\r\n\r\n", "HTTP_PORT")
    await proxy.logged(path="/end")
    await last_of(proxy)

    lines = proxy.lines()
    assert {line["event"] for line in lines} <= {"request", "connection", "refused"}
    assert len([line for line in lines if line["event"] == "connection"]) == 4
    assert max(len(line) for line in proxy.log.read_bytes().splitlines()) < 4096


async def last_of(proxy: Proxy) -> None:
    """Wait until the connection of one more client is logged, the last in mode tcp."""
    reader, writer = await proxy.mqtt("last")
    port = writer.get_extra_info("sockname")[1]
    writer.close()
    await reader.read()
    await proxy.logged(port=port)


async def test_what_is_logged_of_a_connection(in_front: StartProxy) -> None:
    proxy = await in_front()
    reader, writer = await proxy.mqtt("car-4711")
    port = writer.get_extra_info("sockname")[1]
    writer.close()
    await reader.read()
    line = await proxy.logged(event="connection")
    assert datetime.fromisoformat(line.pop("timestamp")).tzinfo is not None
    assert line.pop("milliseconds") >= 0
    assert line.pop("server") in {"broker-1", "broker-2"}
    assert line == {
        "level": "info",
        "service": "haproxy",
        "node": platform.node(),
        "logger": "haproxy.mqtt",
        "event": "connection",
        "address": "127.0.0.1",
        "port": port,
        "tls": "-",
        "bytes_in": len(connect("car-4711")),
        "bytes_out": 4,
        "end": "--",
        "retries": "0",
    }


async def test_what_is_logged_of_a_request(in_front: StartProxy, certificates: Certificates) -> None:
    proxy = await in_front(**certificates.server)
    await proxy.ask(b"GET /v1/zones?x=1 HTTP/1.0\r\n\r\n", "HTTPS_PORT", tls=certificates.context())
    line = await proxy.logged(event="request")
    wanted = {"method": "GET", "path": "/v1/zones", "status": 200, "backend": "api", "server": "api", "tls": "TLSv1.3"}
    assert line.items() >= wanted.items()
    assert UUID(line["request"]).version == 4
    assert (line["service"], line["node"]) == ("haproxy", platform.node())
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["timestamp"])


async def test_a_request_has_one_id_in_the_log_and_in_the_answer_and_it_is_not_the_clients(
    in_front: StartProxy,
) -> None:
    proxy = await in_front()
    chosen = b"X-Request-ID: 11111111-1111-4111-8111-111111111111\r\n"
    answer = await proxy.ask(b"GET /v1/zones HTTP/1.0\r\n" + chosen * 2 + b"\r\n", "HTTP_PORT")
    line = await proxy.logged(path="/v1/zones")
    (told,) = re.findall(rb"(?im)^x-request-id: (\S+)\r$", answer)
    assert told.decode() == line["request"]
    assert b"11111111-1111" not in answer
    # What HAProxy answers itself has one, too.
    refused = await proxy.ask(b"GET /apps/nobody HTTP/1.0\r\n\r\n", "HTTP_PORT")
    assert b"404" in refused[:20]
    assert UUID(re.findall(rb"(?im)^x-request-id: (\S+)\r$", refused)[0].decode())


@pytest.mark.parametrize(
    "secret",
    [
        b"GET /v1/devices/car-4711/positions HTTP/1.0\r\n\r\n",
        b"DELETE /v1/%64evices/car-4711%0ax HTTP/1.0\r\n\r\n",
        b"GET /v1/positions?device=car-4711 HTTP/1.0\r\n\r\n",
        b"GET /v1/positions?%0acar-4711 HTTP/1.0\r\n\r\n",
        b"GET / HTTP/1.0\r\nAuthorization: Bearer car-4711\r\nCookie: car-4711\r\n\r\n",
        request("/mqtt?access_token=car-4711"),
    ],
)
async def test_no_device_and_no_key_is_logged_of_a_request(in_front: StartProxy, secret: bytes) -> None:
    proxy = await in_front()
    await proxy.ask(secret, "HTTP_PORT")
    await proxy.logged(event="request")
    assert "4711" not in proxy.log.read_text()


async def test_no_client_id_no_user_and_no_password_is_logged_or_kept_in_a_table(in_front: StartProxy) -> None:
    proxy = await in_front()
    await proxy.ask(connect("car-4711", user="user-4711", password=b"secret-4711"))
    await last_of(proxy)
    assert "4711" not in proxy.log.read_text()
    assert "used:2" in (entries := await proxy.command("show table brokers"))
    assert "4711" not in entries
    for table in ("addresses", "http_addresses", "http_requests"):
        assert "4711" not in await proxy.command(f"show table {table}")


async def test_at_level_notice_connections_are_not_logged(in_front: StartProxy) -> None:
    proxy = await in_front(HAPROXY_LOG_LEVEL="notice")
    await proxy.ask(connect("car"))
    await proxy.ask(b"GET / HTTP/1.0\r\n\r\n", "HTTP_PORT")
    proxy.process.send_signal(signal.SIGTERM)
    await proxy.process.wait()
    assert not [line for line in proxy.log.read_text().splitlines() if line.startswith("{")]


async def test_what_operators_ask_is_not_logged(in_front: StartProxy) -> None:
    proxy = await in_front()
    for path in (b"/healthz", b"/readyz", b"/metrics", b"/stats"):
        assert b" 200 " in (await proxy.ask(b"GET " + path + b" HTTP/1.0\r\n\r\n", "HAPROXY_OPS_PORT"))[:20]
    await proxy.ask(b"GET /end HTTP/1.0\r\n\r\n", "HTTP_PORT")
    await proxy.logged(path="/end")
    assert {line["logger"] for line in proxy.lines()} == {"haproxy.http"}
