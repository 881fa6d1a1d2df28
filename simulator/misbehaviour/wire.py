"""A bare MQTT 3.1.1 client, which sends what it is told to, also what no library would."""

import socket
import struct
from types import TracebackType
from typing import Self

from simulator.login import Login

TIMEOUT_SECONDS = 10.0
NO_ANSWER = -1
"""In the place of a return code: the connection was closed without one."""
_CONNACK, _PUBACK, _SUBACK, _PINGRESP = 0x20, 0x40, 0x90, 0xD0


class ClosedError(Exception):
    """The server has closed the connection, or said nothing for `TIMEOUT_SECONDS`."""


class Wire:
    """One connection. A context manager; each call waits for its answer."""

    def __init__(self, host: str, port: int, *, receive_bytes: int | None = None) -> None:
        """`receive_bytes` is how much the system keeps for a client that does not read. Raises OSError."""
        self._socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        if receive_bytes is not None:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self._socket.settimeout(TIMEOUT_SECONDS)
        try:
            self._socket.connect((host, port))
        except OSError:
            self._socket.close()
            raise
        self._packet = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def connect(self, client_id: str, login: Login) -> int:
        """Log in with a clean session; the return code, or `NO_ANSWER`."""
        flags, rest = 0x02, b""
        if login.username is not None:
            flags, rest = flags | 0x80, _text(login.username)
            if login.password is not None:
                flags, rest = flags | 0x40, rest + _text(login.password)
        body = b"\x00\x04MQTT\x04" + bytes((flags,)) + b"\x00\x3c" + _text(client_id) + rest
        try:
            self.send(_packet(0x10, body))
            return self._receive(_CONNACK)[1]
        except ClosedError:
            return NO_ANSWER

    def publish(self, topic: str, payload: bytes) -> bool:
        """Publish at QoS 1; whether it was acknowledged, and not answered by an end of the connection."""
        self._packet = self._packet % 65_535 + 1
        try:
            self.send(_packet(0x32, _text(topic) + struct.pack("!H", self._packet) + payload))
            return self._receive(_PUBACK) == struct.pack("!H", self._packet)
        except ClosedError:
            return False

    def publish_unheard(self, topic: str, payload: bytes) -> None:
        """Publish at QoS 0. Raises ClosedError."""
        self.send(_packet(0x30, _text(topic) + payload))

    def subscribe(self, topic_filter: str) -> bool:
        """Whether a subscription was granted. Raises ClosedError."""
        self.send(_packet(0x82, b"\x00\x01" + _text(topic_filter) + b"\x00"))
        return self._receive(_SUBACK)[2] < 0x80  # noqa: PLR2004 - 0x80 is a refusal

    def is_alive(self) -> bool:
        """Whether the server answers a PINGREQ."""
        try:
            self.send(b"\xc0\x00")
            self._receive(_PINGRESP)
        except ClosedError:
            return False
        return True

    def send(self, data: bytes) -> None:
        """Any bytes. Raises ClosedError."""
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise ClosedError(str(error)) from error

    def is_closed(self) -> bool:
        """Read what comes until nothing does; whether that is since the server has ended the connection."""
        try:
            while self._socket.recv(65_536):
                pass
        except TimeoutError:
            return False
        except OSError:
            return True
        return True

    def _receive(self, wanted: int) -> bytes:
        """The body of the next packet of a type; others are passed over."""
        while True:
            first = self._read(1)[0]
            length = shift = 0
            while True:
                byte = self._read(1)[0]
                length |= (byte & 0x7F) << shift
                if byte < 0x80:  # noqa: PLR2004 - the last byte of a length
                    break
                shift += 7
            body = self._read(length) if length else b""
            if first & 0xF0 == wanted:
                return body

    def _read(self, count: int) -> bytes:
        found = b""
        while len(found) < count:
            try:
                some = self._socket.recv(count - len(found))
            except OSError as error:
                raise ClosedError(str(error)) from error
            if not some:
                raise ClosedError("closed")
            found += some
        return found


def _text(text: str) -> bytes:
    encoded = text.encode()
    return struct.pack("!H", len(encoded)) + encoded


def _packet(first: int, body: bytes) -> bytes:
    length, left = b"", len(body)
    while True:
        left, byte = left >> 7, left & 0x7F
        length += bytes((byte | 0x80 if left else byte,))
        if not left:
            return bytes((first,)) + length + body
