"""The frames of WebSocket (RFC 6455, 5) as a server of MQTT reads and writes them, without I/O.

What a message carries is handed on as it comes, for MQTT packets may begin and end anywhere in it [MQTT-6.0.0-2]: no
frame is ever kept, however long it says it is, and nobody puts fragments together.
"""

from typing import NamedTuple

NORMAL = 1000
PROTOCOL_ERROR = 1002
NOT_BINARY = 1003
NOT_UTF8 = 1007
_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG = 0, 1, 2, 8, 9, 10
_FIN, _RESERVED, _MASKED = 0x80, 0x70, 0x80
_CONTROL_BYTES = 125
"""What a control frame may carry (5.5)."""
_LENGTH_BYTES = {126: 2, 127: 8}
_MASKED_LONG = _MASKED | 126
"""The second byte of a masked frame whose length has two bytes of its own."""
_WHOLE_MESSAGE = _FIN | _BINARY
_MASK_BYTES = 4
_CLOSE_CODES = frozenset((1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014))
"""Those below 3000 that may be sent (7.4.1, and the registry that it founds)."""


class Fed(NamedTuple):
    """What came of some bytes."""

    payload: bytes
    """What the messages carried."""
    ping: bytes | None
    """What the last ping among them carried; earlier ones need no answer (5.5.3)."""
    close: int | None
    """The code to close with, because the client did, or broke the protocol; whatever follows is not looked at."""


class _EndsError(Exception):
    def __init__(self, code: int) -> None:
        self.code = code


class FrameReader:
    """Takes the frames of one client apart."""

    __slots__ = ("_closed", "_in_message", "_left", "_mask", "_rest")

    def __init__(self) -> None:
        self._rest = b""
        self._left = 0
        self._mask = b""
        self._in_message = False
        self._closed = False

    @property
    def buffered(self) -> int:
        """Bytes that are kept until more come: less than the longest control frame has."""
        return len(self._rest)

    def feed(self, data: bytes) -> Fed:
        """Take bytes as they came."""
        if self._closed:
            return Fed(b"", None, None)
        if self._rest:
            data, self._rest = self._rest + data, b""
        payload: list[bytes] = []
        ping = close = None
        position, size = 0, len(data)
        try:
            while position < size:
                if self._left:
                    position += self._take(data, position, payload)
                    continue
                position = self._take_messages(data, position, payload)
                header = self._header(data, position)
                if header is None:
                    self._rest = data[position:]
                    break
                opcode, position, length = header
                if opcode < _CLOSE:
                    self._left = length
                    continue
                carried = unmask(data[position : position + length], self._mask)
                position += length
                if opcode == _CLOSE:
                    close, self._closed = _close_code(carried), True
                    break
                if opcode == _PING:
                    ping = carried
        except _EndsError as end:
            self._closed = True
            close = end.code
        return Fed(b"".join(payload), ping, close)

    def _take_messages(self, data: bytes, position: int, payload: list[bytes]) -> int:
        """Take whole messages of one frame of up to 64 KiB, as nearly all are; the position of what is none."""
        size = len(data)
        while position + 8 <= size and data[position] == _WHOLE_MESSAGE and not self._in_message:
            second = data[position + 1]
            if second == _MASKED_LONG:
                start, length = position + 8, data[position + 2] << 8 | data[position + 3]
            elif _MASKED <= second < _MASKED_LONG:
                start, length = position + 6, second & 0x7F
            else:
                break
            end = start + length
            if end > size:
                break
            payload.append(unmask(data[start:end], data[start - _MASK_BYTES : start]))
            position = end
        return position

    def _take(self, data: bytes, position: int, payload: list[bytes]) -> int:
        taken = data[position : position + self._left]
        payload.append(unmask(taken, self._mask))
        self._left -= len(taken)
        turn = len(taken) % _MASK_BYTES
        self._mask = self._mask[turn:] + self._mask[:turn]
        return len(taken)

    def _header(self, data: bytes, position: int) -> tuple[int, int, int] | None:
        """Opcode of a frame, where what it carries starts, and its length.

        None while the header, or a control frame, is not complete. Raises _Ends.
        """
        if position + 2 > len(data):
            return None
        first, second = data[position], data[position + 1]
        opcode, length = first & 0x0F, second & 0x7F
        self._check(first, second)
        length_bytes = _LENGTH_BYTES.get(length, 0)
        start = position + 2 + length_bytes + _MASK_BYTES
        if start + (length if opcode >= _CLOSE else 0) > len(data):
            return None
        if length_bytes:
            length = int.from_bytes(data[position + 2 : position + 2 + length_bytes], "big")
            if length >> 63:
                raise _EndsError(PROTOCOL_ERROR)
        self._mask = data[start - _MASK_BYTES : start]
        if opcode < _CLOSE:
            self._in_message = not first & _FIN
        return opcode, start, length

    def _check(self, first: int, second: int) -> None:
        opcode = first & 0x0F
        if opcode == _TEXT:
            # [MQTT-6.0.0-1]
            raise _EndsError(NOT_BINARY)
        if opcode in (_CLOSE, _PING, _PONG):
            allowed = first & _FIN and second & 0x7F <= _CONTROL_BYTES
        else:
            allowed = opcode == (_CONTINUATION if self._in_message else _BINARY)
        if not allowed or first & _RESERVED or not second & _MASKED:
            raise _EndsError(PROTOCOL_ERROR)


def unmask(data: bytes, mask: bytes) -> bytes:
    """What a client has masked (5.3): as two numbers, for Python has no other XOR of bytes."""
    size = len(data)
    key = (mask * (size // _MASK_BYTES + 1))[:size]
    return (int.from_bytes(data, "little") ^ int.from_bytes(key, "little")).to_bytes(size, "little")


def _close_code(carried: bytes) -> int:
    """The code to answer a closing frame with (5.5.1)."""
    if not carried:
        return NORMAL
    code = int.from_bytes(carried[:2], "big")
    if len(carried) == 1 or not (code in _CLOSE_CODES or 3000 <= code < 5000):  # noqa: PLR2004 - for applications
        return PROTOCOL_ERROR
    try:
        carried[2:].decode()
    except UnicodeDecodeError:
        return NOT_UTF8
    return code


def binary(data: bytes) -> bytes:
    """A message of one frame."""
    return _frame(_BINARY, data)


def pong(data: bytes) -> bytes:
    """The answer to a ping."""
    return _frame(_PONG, data)


def closing(code: int) -> bytes:
    """A closing frame."""
    return _frame(_CLOSE, code.to_bytes(2, "big"))


def _frame(opcode: int, data: bytes) -> bytes:
    size = len(data)
    if size <= _CONTROL_BYTES:
        return bytes((_FIN | opcode, size)) + data
    if size < 1 << 16:
        return bytes((_FIN | opcode, 126)) + size.to_bytes(2, "big") + data
    return bytes((_FIN | opcode, 127)) + size.to_bytes(8, "big") + data
