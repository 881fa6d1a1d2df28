"""MQTT over WebSocket as a client speaks it: a frame for each packet, as browsers' clients have it."""

import socket
from itertools import cycle

from bench.broker.connection import HOST, LIMIT_SECONDS, BrokenError, expect
from bench.broker.packets import CONNACK, Ring, connect
from bench.broker.publisher import Publisher

_MASK = b"\x37\xfa\x21\x3d"
_SHORT, _LONG = 125, 127
_REQUEST = (
    b"GET /mqtt HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"
)


def framed(packet: bytes) -> bytes:
    """A masked binary frame with a packet."""
    size = len(packet)
    header = bytes((0x82, 0x80 | size)) if size <= _SHORT else b"\x82\xfe" + size.to_bytes(2, "big")
    return header + _MASK + bytes(one ^ other for one, other in zip(packet, cycle(_MASK), strict=False))


def connected(port: int, client_id: str) -> socket.socket:
    """A blocking connection that was accepted. Raises Broken where it was not."""
    opened = socket.create_connection((HOST, port), timeout=LIMIT_SECONDS)
    try:
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        opened.sendall(_REQUEST)
        _await_answer(opened)
        opened.sendall(framed(connect(client_id)))
        expect(opened, bytes((0x82, len(CONNACK))) + CONNACK)
    except BaseException:
        opened.close()
        raise
    return opened


def _await_answer(opened: socket.socket) -> None:
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        part = opened.recv(1)
        if not part:
            raise BrokenError(f"no WebSocket: {answer[:100]!r}")
        answer += part


class FramedRing(Ring):
    """A ring whose packets have a frame each."""

    def packed(self, packet: bytes) -> bytes:
        """The frame of a packet."""
        return framed(packet)


class FramedPublisher(Publisher):
    """Takes acknowledgements out of the frames that they come in."""

    def __init__(self, opened: socket.socket, ring: Ring, window: int) -> None:
        super().__init__(opened, ring, window)
        self._frames = b""

    def take(self, received: memoryview) -> None:
        """Keep what the complete frames carry, and the rest for later."""
        data = self._frames + bytes(received)
        position, size = 0, len(data)
        while position + 2 <= size:
            length, start = data[position + 1], position + 2
            if length > _SHORT:
                start += 8 if length == _LONG else 2
                length = int.from_bytes(data[position + 2 : start], "big")
            if start + length > size or start > size:
                break
            self._received += data[start : start + length]
            position = start + length
        self._frames = data[position:]
