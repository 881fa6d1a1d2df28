"""Where values end in Redis's format of a snapshot: by type, without understanding them (rdb.h, rdb.c).

Of each type that Redis 6.2 to 8 and Valkey 8 write. All lengths are looked at, so that nothing is taken for whole that
is not.
"""

from collections.abc import Callable, Iterator

ENTRY_ID_BYTES = 16
TIME_BYTES = 8
SCORE_BYTES = 8
_NUMBER_BYTES = {0: 1, 1: 2, 2: 4}
"""Of a string that is a number, by its form."""
_LENGTH_14, _ENCODED = 1, 3
"""What the two highest bits of a length may say besides that the others are it."""
_LENGTH_32, _LENGTH_64 = 0x80, 0x81
_COMPRESSED = 3
_SCORE_IS_NO_NUMBER = 253
_LITERALS, _LONG_RUN = 32, 7


class RdbError(Exception):
    """What was read is no snapshot of a Redis that is known here; the message is a sentence."""


class MoreError(Exception):
    """What there is ends within a value; `needed` is how long it has to be at the least, 0 if nobody knows."""

    def __init__(self, needed: int = 0) -> None:
        """Keep it."""
        super().__init__()
        self.needed = needed


Skip = Callable[[bytes, int], int]
"""Where a value that begins there ends. Raises MoreError, and RdbError."""


def byte(buffer: bytes, place: int) -> int:
    """The byte there."""
    if place >= len(buffer):
        raise MoreError
    return buffer[place]


def taken(buffer: bytes, place: int, count: int) -> int:
    """Where so many bytes end."""
    end = place + count
    if end > len(buffer):
        raise MoreError(end)
    return end


def length(buffer: bytes, place: int) -> tuple[int, int]:
    """A length, and where it ends."""
    first = byte(buffer, place)
    kind = first >> 6
    if kind == 0:
        return first & 0x3F, place + 1
    if kind == _LENGTH_14:
        return (first & 0x3F) << 8 | byte(buffer, place + 1), place + 2
    if first not in {_LENGTH_32, _LENGTH_64}:
        raise RdbError("the snapshot of Redis has a length that is none")
    end = taken(buffer, place + 1, 4 if first == _LENGTH_32 else 8)
    return int.from_bytes(buffer[place + 1 : end], "big"), end


def string(buffer: bytes, place: int) -> int:
    """Where a string ends: as it is, as a number, or compressed."""
    first = byte(buffer, place)
    if first >> 6 != _ENCODED:
        count, place = length(buffer, place)
        return taken(buffer, place, count)
    form = first & 0x3F
    if form in _NUMBER_BYTES:
        return taken(buffer, place + 1, _NUMBER_BYTES[form])
    if form != _COMPRESSED:
        raise RdbError("the snapshot of Redis has a string in a form that is not known")
    packed, place = length(buffer, place + 1)
    _, place = length(buffer, place)
    return taken(buffer, place, packed)


def text(buffer: bytes, place: int) -> tuple[bytes, int]:
    """A string itself, and where it ends."""
    end = string(buffer, place)
    first = buffer[place]
    if first >> 6 != _ENCODED:
        count, start = length(buffer, place)
        return buffer[start : start + count], end
    if first & 0x3F in _NUMBER_BYTES:
        return str(int.from_bytes(buffer[place + 1 : end], "little", signed=True)).encode(), end
    packed, start = length(buffer, place + 1)
    count, start = length(buffer, start)
    return _unpacked(buffer[start : start + packed], count), end


def _unpacked(packed: bytes, count: int) -> bytes:
    """What LZF has compressed (Marc Lehmann's liblzf, as Redis has it)."""
    out = bytearray()
    pieces = iter(packed)
    try:
        for control in pieces:
            if control < _LITERALS:
                out += bytes(next(pieces) for _ in range(control + 1))
            else:
                _repeat(out, control, pieces)
            if len(out) > count:
                break
    except (StopIteration, RuntimeError, IndexError):
        out.clear()
    if len(out) != count or not count:
        raise RdbError("the snapshot of Redis has a name that cannot be unpacked")
    return bytes(out)


def _repeat(out: bytearray, control: int, pieces: Iterator[int]) -> None:
    """What was there before, once more. Raises IndexError where nothing was."""
    run = control >> 5
    if run == _LONG_RUN:
        run += next(pieces)
    back = len(out) - ((control & 0x1F) << 8 | next(pieces)) - 1
    if back < 0:
        raise IndexError
    for place in range(back, back + run + 2):
        out.append(out[place])


def lengths(count: int) -> Skip:
    """So many lengths."""

    def skip(buffer: bytes, place: int) -> int:
        for _ in range(count):
            _, place = length(buffer, place)
        return place

    return skip


def strings(count: int) -> Skip:
    """So many strings."""

    def skip(buffer: bytes, place: int) -> int:
        for _ in range(count):
            place = string(buffer, place)
        return place

    return skip


def _fixed(count: int) -> Skip:
    return lambda buffer, place: taken(buffer, place, count)


def _counted(each: Skip) -> Skip:
    def skip(buffer: bytes, place: int) -> int:
        count, place = length(buffer, place)
        for _ in range(count):
            place = each(buffer, place)
        return place

    return skip


def _all(*parts: Skip) -> Skip:
    def skip(buffer: bytes, place: int) -> int:
        for part in parts:
            place = part(buffer, place)
        return place

    return skip


def _score(buffer: bytes, place: int) -> int:
    """A score as text: one byte of length, of which the three largest are no lengths."""
    count = byte(buffer, place)
    return taken(buffer, place + 1, 0 if count >= _SCORE_IS_NO_NUMBER else count)


def _stream(*, of_stream: int, of_group: int, times: int) -> Skip:
    """A stream: its entries, what it knows of them, its groups with what each has not acknowledged."""
    pending = _counted(_all(_fixed(ENTRY_ID_BYTES + TIME_BYTES), lengths(1)))
    consumer = _all(string, _fixed(TIME_BYTES * times), _counted(_fixed(ENTRY_ID_BYTES)))
    group = _all(string, lengths(of_group), pending, _counted(consumer))
    return _all(_counted(strings(2)), lengths(of_stream), _counted(group))


_FIELDS_THAT_EXPIRE = _counted(_all(lengths(1), strings(2)))
TYPES: dict[int, Skip] = {
    0: string,
    1: _counted(string),  # list
    2: _counted(string),  # set
    3: _counted(_all(string, _score)),  # sorted set, of Redis before 4
    4: _counted(strings(2)),  # hash
    5: _counted(_all(string, _fixed(SCORE_BYTES))),  # sorted set
    9: string,  # from here on each as one string: hash,
    10: string,  # list,
    11: string,  # set of whole numbers,
    12: string,  # sorted set,
    13: string,  # hash
    14: _counted(string),  # list in parts
    15: _stream(of_stream=3, of_group=2, times=1),
    16: string,  # hash
    17: string,  # sorted set
    18: _counted(_all(lengths(1), string)),  # list in parts, each with its form
    19: _stream(of_stream=8, of_group=3, times=1),
    20: string,  # set
    21: _stream(of_stream=8, of_group=3, times=2),
    22: _FIELDS_THAT_EXPIRE,  # hash, of Redis 7.4 before it was released
    23: string,
    24: _all(_fixed(TIME_BYTES), _FIELDS_THAT_EXPIRE),  # hash
    25: _all(_fixed(TIME_BYTES), string),
}
"""By rdb.h's RDB_TYPE_*. 6 and 7 are of modules."""
