import asyncio
import socket
import ssl

import pytest

from tests.broker.frames import request
from tests.conftest import WAIT_SECONDS
from tests.haproxy.conftest import Certificates, StartProxy
from tests.haproxy.nodes import CONNACK
from tests.haproxy.running import Proxy
from tests.mqtt.wire import connect

PORTS = ("MQTTS_PORT", "HTTPS_PORT")
PROTOCOL_VERSION = bytes((21, 3, 2, 0, 2, 2, 70))
"""An alert that says no to the version of TLS (RFC 4346, 7.2)."""


def client_hello(version: int) -> bytes:
    """That of a client of TLS 1.0 to 1.2, as `version` says: 1, 2 or 3."""
    suites = bytes.fromhex("c00ac009c014c013c02bc02f0035002f")
    groups = (
        bytes.fromhex("000a00060004001d0017")
        + bytes.fromhex("000b00020100")
        + bytes.fromhex("000d000a00080403050308040401")
    )
    body = (
        bytes((3, version))
        + bytes(32)
        + b"\0"
        + len(suites).to_bytes(2)
        + suites
        + b"\1\0"
        + len(groups).to_bytes(2)
        + groups
    )
    handshake = b"\1" + len(body).to_bytes(3) + body
    return bytes((22, 3, 1)) + len(handshake).to_bytes(2) + handshake


async def negotiated(proxy: Proxy, port: str, context: ssl.SSLContext) -> tuple[str, str, str | None]:
    """Version, cipher and application protocol."""
    _, writer = await proxy.open(port, tls=context)
    tls = writer.get_extra_info("ssl_object")
    writer.transport.abort()
    return tls.version(), tls.cipher()[0], tls.selected_alpn_protocol()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_tls_1_2_and_1_3_are_spoken(
    in_front: StartProxy, certificates: Certificates, version: ssl.TLSVersion
) -> None:
    proxy = await in_front(**certificates.server)
    context = certificates.context()
    context.minimum_version = context.maximum_version = version
    for port in PORTS:
        spoken, cipher, _ = await negotiated(proxy, port, context)
        assert spoken == version.name.replace("_", ".")
        assert "GCM" in cipher or "CHACHA20" in cipher
    assert await proxy.ask(connect("car"), "MQTTS_PORT", tls=context) == CONNACK
    assert (await proxy.logged(logger="haproxy.mqtt"))["tls"] == version.name.replace("_", ".")


async def test_older_versions_are_refused(in_front: StartProxy, certificates: Certificates) -> None:
    proxy = await in_front(**certificates.server)
    for port in PORTS:
        for version in (1, 2):
            refusal = await proxy.ask(client_hello(version), port)
            assert (refusal[0], refusal[-2:]) == (PROTOCOL_VERSION[0], PROTOCOL_VERSION[-2:])
        assert (await proxy.ask(client_hello(3), port))[0] == 22
    refused = await proxy.logged(event="refused", logger="haproxy.mqtt")
    assert "SSL handshake" in refused["error"]
    assert "unsupported protocol" in refused["tls_error"]


async def test_ciphers_without_forward_secrecy_or_authentication_are_refused(
    in_front: StartProxy, certificates: Certificates
) -> None:
    proxy = await in_front(**certificates.server)
    context = certificates.context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE-ECDSA-AES128-SHA256:ECDHE-ECDSA-AES128-SHA")
    with pytest.raises(ssl.SSLError, match="HANDSHAKE_FAILURE"):
        await proxy.open("MQTTS_PORT", tls=context)


async def test_https_speaks_http_2_and_1_1(in_front: StartProxy, certificates: Certificates) -> None:
    proxy = await in_front(**certificates.server)
    for offered, chosen in ((["h2", "http/1.1"], "h2"), (["http/1.1"], "http/1.1")):
        context = certificates.context()
        context.set_alpn_protocols(offered)
        assert (await negotiated(proxy, "HTTPS_PORT", context))[2] == chosen


async def test_without_a_certificate_there_are_no_such_ports(in_front: StartProxy) -> None:
    proxy = await in_front(TLS_CERTIFICATE="")
    for port in PORTS:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", proxy.ports[port]), timeout=5)


async def asked(proxy: Proxy, first: bytes, port: str, context: ssl.SSLContext) -> bytes:
    """The answer; nothing where the handshake is broken off, at once or, as TLS 1.3 has it, a little later."""
    try:
        return await proxy.ask(first, port, tls=context)
    except ssl.SSLError:
        return b""


async def test_where_client_certificates_are_required_mqtt_is_for_those_who_have_one(
    in_front: StartProxy, certificates: Certificates
) -> None:
    proxy = await in_front(**certificates.clients("required"))
    nobody, stranger, known = certificates.context(), certificates.context("unknown"), certificates.context("trusted")
    assert await asked(proxy, connect("car"), "MQTTS_PORT", nobody) == b""
    assert await asked(proxy, connect("car"), "MQTTS_PORT", stranger) == b""
    assert await asked(proxy, connect("car"), "MQTTS_PORT", known) == CONNACK
    assert (await asked(proxy, request(), "HTTPS_PORT", nobody)).startswith(b"HTTP/1.1 403 ")
    assert await asked(proxy, request(), "HTTPS_PORT", stranger) == b""
    assert (await asked(proxy, request(), "HTTPS_PORT", known)).startswith(b"HTTP/1.1 101 ")
    # Whoever looks at the map has none.
    assert (await asked(proxy, b"GET / HTTP/1.0\r\n\r\n", "HTTPS_PORT", nobody)).startswith(b"HTTP/1.1 200 ")


async def test_where_they_are_optional_those_without_get_in_and_those_with_a_bad_one_do_not(
    in_front: StartProxy, certificates: Certificates
) -> None:
    proxy = await in_front(**certificates.clients("optional"))
    for port, first, answer in (("MQTTS_PORT", connect("car"), CONNACK), ("HTTPS_PORT", request(), b"HTTP/1.1 101 ")):
        assert (await asked(proxy, first, port, certificates.context())).startswith(answer)
        assert (await asked(proxy, first, port, certificates.context("trusted"))).startswith(answer)
        assert await asked(proxy, first, port, certificates.context("unknown")) == b""


@pytest.mark.parametrize("port", ["HTTP_PORT", "HTTPS_PORT"])
async def test_mqtt_over_websocket_goes_to_a_node_and_what_it_says_comes_back(
    in_front: StartProxy, certificates: Certificates, port: str
) -> None:
    proxy = await in_front(**certificates.server)
    tls = certificates.context() if port == "HTTPS_PORT" else None
    reader, writer = await proxy.open(port, tls=tls)
    writer.write(request())
    async with asyncio.timeout(WAIT_SECONDS):
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
        writer.write(b"\x82\x80 frames \x00\xff")
        assert await reader.readexactly(12) == b"\x82\x80 frames \x00\xff"
    writer.close()
    assert (await proxy.logged(event="request", status=101))["backend"] == "websockets"


async def test_what_is_not_an_upgrade_on_that_path_is_for_the_api(in_front: StartProxy) -> None:
    proxy = await in_front()
    assert (await proxy.ask(b"GET /mqtt HTTP/1.0\r\n\r\n", "HTTP_PORT")).startswith(b"HTTP/1.1 200 ")
    assert (await proxy.logged(event="request"))["backend"] == "api"
