"""The PROXY protocol, versions 1 and 2: a proxy says whose connection it hands on, before anything else."""

import asyncio
import re
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any, NamedTuple, cast

from broker.transport.relay import Relay

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
V1_BYTES = 107
"""A header of version 1 is a line of no more than this."""
V2_BYTES = 16 + 1024
"""A header of version 2 that this reads; what HAProxy sends without extensions has up to 232."""
HEADER_SECONDS = 5.0
_ADDRESSES = {0x11: (4, 12), 0x21: (16, 36)}
"""TCP over IPv4 and IPv6: bytes of an address, and of all addresses and ports."""
_PORT = re.compile(r"[0-9]{1,5}")


class BadHeaderError(Exception):
    """What came first is no header of a proxy."""


class Header(NamedTuple):
    """What a proxy says."""

    size: int
    """Bytes that it has."""
    peer: tuple[str, int] | None
    """Address and port of the client; None where the proxy speaks for itself."""


def parse_header(data: bytes) -> Header | None:
    """The header at the beginning of `data`; None while it is not complete. Raises BadHeaderError."""
    if data.startswith(SIGNATURE[: len(data)]):
        return _version_2(data)
    if data.startswith(b"PROXY "[: len(data)]):
        return _version_1(data)
    raise BadHeaderError("no PROXY header")


def _version_1(data: bytes) -> Header | None:
    end = data.find(b"\r\n", 0, V1_BYTES)
    if end < 0:
        if len(data) >= V1_BYTES:
            raise BadHeaderError("a PROXY line without an end")
        return None
    words = data[:end].decode("ascii", "replace").split(" ")
    if words[1:2] == ["UNKNOWN"]:
        return Header(end + 2, None)
    if len(words) != 6:  # noqa: PLR2004 - PROXY, the family, two addresses and two ports
        raise BadHeaderError("a PROXY line that is malformed")
    _, family, source, destination, source_port, destination_port = words
    _endpoint(family, destination, destination_port)
    return Header(end + 2, _endpoint(family, source, source_port))


def _endpoint(family: str, written: str, port: str) -> tuple[str, int]:
    try:
        address = ip_address(written)
    except ValueError as error:
        raise BadHeaderError("a PROXY line with an address that is none") from error
    # Python allows a zone after the address, of any characters.
    if family != f"TCP{address.version}" or "%" in written:
        raise BadHeaderError("a PROXY line with an address of another family")
    if not _PORT.fullmatch(port) or int(port) > 0xFFFF:  # noqa: PLR2004 - what a port may be
        raise BadHeaderError("a PROXY line with a port that is none")
    return str(address), int(port)


def _version_2(data: bytes) -> Header | None:
    if len(data) < 16:  # noqa: PLR2004 - the part of the header that all have
        return None
    size = 16 + int.from_bytes(data[14:16], "big")
    if data[12] not in (0x20, 0x21) or size > V2_BYTES:
        raise BadHeaderError("a PROXY header of another version, or too long")
    if len(data) < size:
        return None
    address_bytes, all_bytes = _ADDRESSES.get(data[13], (0, 0))
    if data[12] == 0x20 or not address_bytes:  # noqa: PLR2004 - LOCAL: the proxy's own health check
        return Header(size, None)
    if size < 16 + all_bytes:
        raise BadHeaderError("a PROXY header that ends within its addresses")
    address = ip_address(data[16 : 16 + address_bytes])
    port = 16 + 2 * address_bytes
    return Header(size, (str(address), int.from_bytes(data[port : port + 2], "big")))


class ProxyProtocol(asyncio.Protocol):
    """Reads the header, and leaves the socket to a protocol of `factory`, which sees the client's own address."""

    __slots__ = ("_data", "_factory", "_timer", "_transport")

    def __init__(self, factory: Callable[[], asyncio.Protocol]) -> None:
        self._factory = factory
        self._data = b""
        self._transport: asyncio.Transport
        self._timer: asyncio.TimerHandle

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A proxy that has yet to say for whom it comes."""
        self._transport = cast("asyncio.Transport", transport)
        self._timer = asyncio.get_running_loop().call_later(HEADER_SECONDS, self._transport.abort)

    def data_received(self, data: bytes) -> None:
        """The header, and perhaps the first that the client sends."""
        if self._transport.is_closing():
            return
        self._data += data
        try:
            header = parse_header(self._data)
        except BadHeaderError:
            self._data = b""
            self._transport.abort()
            return
        if header is None:
            return
        self._timer.cancel()
        inner = self._factory()
        # From here on the socket speaks with it directly.
        self._transport.set_protocol(inner)
        inner.connection_made(cast("asyncio.BaseTransport", ProxiedTransport(self._transport, header.peer)))
        if rest := self._data[header.size :]:
            inner.data_received(rest)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - part of asyncio's interface
        """It was over before the header was complete."""
        self._timer.cancel()


class ProxiedTransport(Relay):
    """The transport of the proxy's connection, with the address of the client."""

    __slots__ = ("_peer",)

    def __init__(self, transport: asyncio.Transport, peer: tuple[str, int] | None) -> None:
        super().__init__(transport)
        self._peer = peer

    def get_extra_info(self, name: str, default: Any = None) -> Any:  # noqa: ANN401 - as asyncio has it
        """What is known of the connection; its peer is the client."""
        if name == "peername" and self._peer is not None:
            return self._peer
        return super().get_extra_info(name, default)
