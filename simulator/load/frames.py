"""What WebSocket puts around MQTT (RFC 6455), as a client writes and reads it: small, for a load must cost little."""

import base64
import secrets

_HEAD_MAX = 8192
_BINARY, _CLOSE, _PING, _PONG = 0x2, 0x8, 0x9, 0xA
_TWO_BYTES, _EIGHT_BYTES = 126, 127
_SWITCHING = b"HTTP/1.1 101 "


class UpgradeError(Exception):
    """The server does not speak WebSocket there; the message is a sentence without who it is."""


class Frames:
    """One connection, from the client's side."""

    def __init__(self, host: str) -> None:
        """`host` is for the head of the request."""
        self.request = (
            f"GET /mqtt HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {base64.b64encode(secrets.token_bytes(16)).decode()}\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"
        ).encode()
        """To be sent first."""
        self.open = False
        """Whether the server has agreed."""
        self.pongs = b""
        """To be sent next: answers to pings."""
        self._received = b""

    def taken(self, data: bytes) -> bytes:
        """What is in the frames that have come in whole with `data`. Raises UpgradeError."""
        self._received += data
        if not self.open and not self._is_open():
            return b""
        found, at = [], 0
        while (frame := self._frame(at)) is not None:
            kind, content, at = frame
            if kind == _PING:
                self.pongs += framed(content, _PONG)
            elif kind not in {_PONG, _CLOSE}:
                found.append(content)
        self._received = self._received[at:]
        return b"".join(found)

    def _is_open(self) -> bool:
        head, end, rest = self._received.partition(b"\r\n\r\n")
        if not end:
            if len(head) > _HEAD_MAX:
                raise UpgradeError("has no end of its answer to the upgrade to WebSocket")
            return False
        if not head.startswith(_SWITCHING):
            first = head.split(b"\r\n")[0][:100].decode("latin-1")
            raise UpgradeError(f"answers the upgrade to WebSocket with {first}")
        self.open, self._received = True, rest
        return True

    def _frame(self, at: int) -> tuple[int, bytes, int] | None:
        """The kind of the frame that begins there, its content, and where it ends; None where it is not whole."""
        data, start = self._received, at + 2
        if len(data) < start:
            return None
        length = data[at + 1] & 0x7F
        if length >= _TWO_BYTES:
            start = at + (4 if length == _TWO_BYTES else 10)
            if len(data) < start:
                return None
            length = int.from_bytes(data[at + 2 : start])
        end = start + length
        return None if len(data) < end else (data[at] & 0x0F, data[start:end], end)


def framed(content: bytes, kind: int = _BINARY) -> bytes:
    """A frame of a client: masked, as RFC 6455 asks."""
    size, key = len(content), secrets.token_bytes(4)
    if size < _TWO_BYTES:
        head = bytes([0x80 | kind, 0x80 | size])
    elif size < 1 << 16:
        head = bytes([0x80 | kind, 0x80 | _TWO_BYTES]) + size.to_bytes(2)
    else:
        head = bytes([0x80 | kind, 0x80 | _EIGHT_BYTES]) + size.to_bytes(8)
    # One number against another: byte for byte would cost a hundred times as much.
    mask = (key * (size // 4 + 1))[:size]
    return head + key + (int.from_bytes(content) ^ int.from_bytes(mask)).to_bytes(size)
