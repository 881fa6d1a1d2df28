"""Redis's own format of a snapshot (RDB), read key by key: what RESTORE takes is cut out of it, and never understood.

The value of a key in an RDB is, byte for byte, what DUMP answers, without its type in front and its footer behind. So
only its end has to be found (`backup.rdb_values`). A type that is not known there ends the reading: better when a
backup is made than when it is needed.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from backup.rdb_checksum import crc64
from backup.rdb_values import TYPES, MoreError, RdbError, byte, length, lengths, string, strings, taken, text

__all__ = ["Key", "RdbError", "RdbReader"]

SMALLEST = 64 * 1024
"""Bytes that are waited for at the least, where a key is not whole."""
_HEADER_BYTES = 9
_MODULE, _FUNCTION = 0xF7, 0xF5
_SKIPPED = {
    0xFB: lengths(2),  # how many keys follow
    0xFA: strings(2),  # what Redis says of itself
    0xF9: lambda buffer, place: taken(buffer, place, 1),  # how often a key is used
    0xF8: lengths(1),  # since when it is not
    _FUNCTION: string,
    0xF4: lengths(3),  # a slot of a cluster
}


@dataclass(frozen=True, slots=True)
class Key:
    """A key with its value, as RESTORE takes it."""

    database: int
    name: bytes
    expires_at: int | None
    """Milliseconds since the epoch; None: never."""
    type: int
    value: bytes
    version: int
    """Of the format."""

    def dumped(self) -> bytes:
        """What DUMP would have answered: type, value, version, checksum."""
        body = bytes([self.type]) + self.value + struct.pack("<H", self.version)
        return body + struct.pack("<Q", crc64(body))


class RdbReader:
    """Reads a snapshot that is fed to it; it holds one key with its value at the most, and what was fed last."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._wanted = _HEADER_BYTES
        self._version: int | None = None
        self._database = 0
        self._expires_at: int | None = None
        self._ended = False
        self.functions = 0
        """Libraries of functions, which are none of ours: they are left out."""

    def feed(self, data: bytes) -> Iterator[Key]:
        """The keys that are whole by now. Raises RdbError."""
        if self._ended:
            return  # the checksum of the file follows; what it was copied by is checked otherwise
        self._buffer += data
        if len(self._buffer) < self._wanted:
            return
        buffer = bytes(self._buffer)
        place = 0
        try:
            if self._version is None:
                self._version, place = _version(buffer)
            while not self._ended:
                key, place = self._next(buffer, place)
                if key is not None:
                    yield key
        except MoreError as more:
            del self._buffer[:place]
            # Twice as much before it is tried again: a large value is not looked at for each piece of it.
            left = len(self._buffer)
            self._wanted = max(more.needed - place, 2 * left if left > SMALLEST else left + 1)

    def end(self) -> Iterator[Key]:
        """The keys that are left. Raises RdbError where the snapshot has no end."""
        self._wanted = 0
        yield from self.feed(b"")
        if not self._ended:
            raise RdbError("the snapshot of Redis is cut off")

    def _next(self, buffer: bytes, place: int) -> tuple[Key | None, int]:
        """One thing in the file: the key, if it is one, and where it ends."""
        code = byte(buffer, place)
        start = place + 1
        if code in TYPES:
            name, start = text(buffer, start)
            end = TYPES[code](buffer, start)
            key = Key(self._database, name, self._expires_at, code, buffer[start:end], self._version or 0)
            self._expires_at = None
            return key, end
        return None, self._told(code, buffer, start)

    def _told(self, code: int, buffer: bytes, place: int) -> int:
        """What is said about keys; where that ends."""
        if code in _SKIPPED:
            end = _SKIPPED[code](buffer, place)
            self.functions += code == _FUNCTION
            return end
        match code:
            case 0xFF:
                self._ended = True
                return place
            case 0xFE:
                self._database, place = length(buffer, place)
                return place
            case 0xFD:
                end = taken(buffer, place, 4)
                self._expires_at = int.from_bytes(buffer[place:end], "little", signed=True) * 1000
                return end
            case 0xFC:
                end = taken(buffer, place, 8)
                self._expires_at = int.from_bytes(buffer[place:end], "little", signed=True)
                return end
        what = (
            "data of a module"
            if code in {_MODULE, 6, 7}
            else f"a key of a type that this version does not know ({code})"
        )
        raise RdbError(f"Redis has {what}: that cannot be backed up")


def _version(buffer: bytes) -> tuple[int, int]:
    if len(buffer) < _HEADER_BYTES:
        raise MoreError(_HEADER_BYTES)
    head = buffer[:_HEADER_BYTES]
    # Valkey from version 9 on has a name of its own.
    digits = head[5:] if head.startswith(b"REDIS") else head[6:] if head.startswith(b"VALKEY") else b""
    if not digits.isdigit():
        raise RdbError("what Redis sent is no snapshot")
    return int(digits), _HEADER_BYTES
