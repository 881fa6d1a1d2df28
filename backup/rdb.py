"""Redis's own format of a snapshot (RDB), read key by key: what RESTORE takes is cut out of it, and never understood.

The value of a key in an RDB is, byte for byte, what DUMP answers, without its type in front and its footer behind. So
only its end has to be found (`backup.rdb_values`). A type that is not known there ends the reading: better when a
backup is made than when it is needed.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from backup.rdb_checksum import crc64
from backup.rdb_values import TYPES, Cursor, RdbError, Shape, byte, fixed, lengths, string, text

__all__ = ["Key", "RdbError", "RdbReader"]

_HEADER_BYTES = 9
_MODULE, _FUNCTION = 0xF7, 0xF5
_END, _DATABASE = 0xFF, 0xFE
_TIMES = {0xFD: (4, 1000), 0xFC: (8, 1)}
"""When a key ends: in so many bytes, in units of so many milliseconds."""
_SKIPPED: dict[int, Shape] = {
    0xFB: lengths(2),  # how many keys follow
    0xFA: (string, string),  # what Redis says of itself
    0xF9: (fixed(1),),  # how often a key is used
    0xF8: lengths(1),  # since when it is not
    _FUNCTION: (string,),
    0xF4: lengths(3),  # a slot of a cluster
}


@dataclass(frozen=True, slots=True)
class Key:
    """A key with its value, as RESTORE takes it."""

    database: int
    name: bytes
    expires_at: int | None
    """Milliseconds since the epoch; None: never."""
    size: int
    """Bytes of the value."""
    dumped: bytearray
    """What DUMP would have answered: type, value, version, checksum. Empty where values are not wanted."""


class RdbReader:
    """Reads a snapshot that is fed to it, in some hundred bytes of memory besides what was fed last.

    With `values` also one value, the one that it is about to give: let go of it before the next key is asked for.
    """

    def __init__(self, *, values: bool) -> None:
        self._values = values
        self._cursor = Cursor()
        self._things = self._read()
        self._version = 0
        self._database = 0
        self._expires_at: int | None = None
        self._ended = False
        self.functions = 0
        """Libraries of functions, which are none of ours: they are left out."""
        self.largest = 0
        """Bytes of the largest value so far."""

    def feed(self, data: bytes) -> Iterator[Key]:
        """The keys that are whole by now. Raises RdbError."""
        if self._ended:
            return  # the checksum of the file follows; what it was copied by is checked otherwise
        self._cursor.add(data)
        while (key := next(self._things, None)) is not None:
            yield key
            # Nobody may hold it while the next value is gathered.
            del key

    def end(self) -> None:
        """Raises RdbError where the snapshot has no end."""
        if not self._ended:
            raise RdbError("the snapshot of Redis is cut off")

    def _read(self) -> Iterator[Key | None]:
        """The keys; None asks for more."""
        cursor = self._cursor
        yield from cursor.there(_HEADER_BYTES)
        self._version, cursor.place = _version(cursor.data), _HEADER_BYTES
        while not self._ended:
            yield from cursor.there(1)
            code = byte(cursor.data, cursor.place)
            cursor.place += 1
            if code in TYPES:
                yield from self._key(code)
            elif code in _SKIPPED:
                yield from cursor.over(_SKIPPED[code])
                self.functions += code == _FUNCTION
            else:
                yield from self._told(code)

    def _key(self, code: int) -> Iterator[Key | None]:
        cursor = self._cursor
        names: list[bytes] = []

        def name(buffer: bytes, place: int) -> int:
            found, place = text(buffer, place)
            names.append(found)
            return place

        yield from cursor.over((name,))
        value = _Value(code, self._version, wanted=self._values)
        cursor.begin(value.add)
        yield from cursor.over(TYPES[code])
        yield from cursor.there(0)
        cursor.end()
        self.largest = max(self.largest, value.size)
        yield Key(self._database, names[0], self._expires_at, value.size, value.taken())
        self._expires_at = None

    def _told(self, code: int) -> Iterator[None]:
        """What is said about the keys that follow."""
        cursor = self._cursor
        if code == _END:
            self._ended = True
        elif code == _DATABASE:
            self._database = yield from cursor.length()
        elif code in _TIMES:
            count, milliseconds = _TIMES[code]
            yield from cursor.there(count)
            number = cursor.data[cursor.place : cursor.place + count]
            self._expires_at = int.from_bytes(number, "little", signed=True) * milliseconds
            cursor.place += count
        else:
            is_of_a_module = code in {_MODULE, 6, 7}
            what = "data of a module" if is_of_a_module else f"a key of a type that this version does not know ({code})"
            raise RdbError(f"Redis has {what}: that cannot be backed up")


class _Value:
    """A value that is gathered, or measured alone."""

    def __init__(self, code: int, version: int, *, wanted: bool) -> None:
        self.size = 0
        self._dumped = bytearray([code]) if wanted else None
        self._version = version
        self._checksum = crc64(bytes([code])) if wanted else 0

    def add(self, piece: bytes) -> None:
        self.size += len(piece)
        if self._dumped is not None:
            self._dumped += piece
            self._checksum = crc64(piece, self._checksum)

    def taken(self) -> bytearray:
        """All of it, and nothing is kept."""
        if self._dumped is None:
            return bytearray()
        dumped, self._dumped = self._dumped, None
        version = struct.pack("<H", self._version)
        dumped += version + struct.pack("<Q", crc64(version, self._checksum))
        return dumped


def _version(data: bytes) -> int:
    # Valkey from version 9 on has a name of its own.
    digits = data[5:9] if data.startswith(b"REDIS") else data[6:9] if data.startswith(b"VALKEY") else b""
    if not digits.isdigit():
        raise RdbError("what Redis sent is no snapshot")
    return int(digits)
