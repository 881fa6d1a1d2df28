"""Where values end in Redis's format of a snapshot: by type, without understanding them (rdb.h, rdb.c).

Of each type that Redis 6.2 to 8 and Valkey 8 write. All lengths are looked at, so that nothing is taken for whole that
is not. A value may be far larger than memory is: what was passed is not kept.
"""

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import cast

TEXT_BYTES_MAX = 1024 * 1024
"""Of a key's name, which is held whole; ours have some hundred bytes."""
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
    """What there is ends before it says how long what follows is."""


Step = Callable[[bytes, int], int]
"""Where something that begins there ends, also where that has not come yet. Raises MoreError, and RdbError."""


def byte(buffer: bytes, place: int) -> int:
    """The byte there."""
    if place >= len(buffer):
        raise MoreError
    return buffer[place]


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
    end = place + (5 if first == _LENGTH_32 else 9)
    if end > len(buffer):
        raise MoreError
    return int.from_bytes(buffer[place + 1 : end], "big"), end


def string(buffer: bytes, place: int) -> int:
    """Where a string ends: as it is, as a number, or compressed."""
    first = byte(buffer, place)
    if first >> 6 != _ENCODED:
        count, place = length(buffer, place)
        return place + count
    form = first & 0x3F
    if form in _NUMBER_BYTES:
        return place + 1 + _NUMBER_BYTES[form]
    if form != _COMPRESSED:
        raise RdbError("the snapshot of Redis has a string in a form that is not known")
    packed, place = length(buffer, place + 1)
    _, place = length(buffer, place)
    return place + packed


def text(buffer: bytes, place: int) -> tuple[bytes, int]:
    """A string itself, and where it ends; it has to be there whole."""
    end = string(buffer, place)
    if end - place > TEXT_BYTES_MAX:
        raise RdbError(f"the snapshot of Redis has a name of more than {TEXT_BYTES_MAX:,} bytes")
    if end > len(buffer):
        raise MoreError
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


@dataclass(frozen=True)
class Counted:
    """Some of the same, behind how many they are."""

    each: "Shape"


Shape = tuple[Step | Counted, ...]
"""What a value consists of, in its order."""


class Cursor:
    """Goes through what is fed to it; what has been passed is not kept, unless it is copied."""

    def __init__(self) -> None:
        self.data = b""
        self.place = 0
        """Where it is in `data`, or how far behind its end."""
        self._copy: Callable[[bytes], None] | None = None
        self._from = 0

    def add(self, data: bytes) -> None:
        """What comes next."""
        self._copied()
        if self.place < len(self.data):
            self.data = self.data[self.place :] + data
            self.place = 0
        else:
            self.place -= len(self.data)
            self.data = data
        self._from = 0

    def begin(self, copy: Callable[[bytes], None]) -> None:
        """Give what is passed from now on to `copy`, piece by piece, until `end`."""
        self._copy, self._from = copy, self.place

    def end(self) -> None:
        """All that was passed has come."""
        self._copied()
        self._copy = None

    def _copied(self) -> None:
        if self._copy is not None and self.place > self._from:
            self._copy(self.data[self._from : self.place])

    def over(self, shape: Shape) -> Iterator[None]:
        """Go to the end of what has this shape; each None asks for more. Raises RdbError."""
        for part in shape:
            if not isinstance(part, Counted):
                yield from self._steps((part,), 1)
                continue
            count = yield from self.length()
            if any(isinstance(each, Counted) for each in part.each):
                for _ in range(count):
                    yield from self.over(part.each)
            else:
                yield from self._steps(cast("tuple[Step, ...]", part.each), count)

    def _steps(self, steps: tuple[Step, ...], times: int) -> Iterator[None]:
        data, place = self.data, self.place
        # No range: there is no end to what a number may say.
        while times:
            times -= 1
            for step in steps:
                while True:
                    try:
                        place = step(data, place)
                    except MoreError:
                        self.place = place
                        yield None
                        data, place = self.data, self.place
                    else:
                        break
        self.place = place

    def length(self) -> Generator[None, None, int]:
        """The length that is there."""
        while True:
            try:
                count, self.place = length(self.data, self.place)
            except MoreError:
                yield None
            else:
                return count

    def there(self, count: int) -> Iterator[None]:
        """Ask for more until all that was passed has come, and so many bytes besides."""
        while self.place + count > len(self.data):
            yield None


def lengths(count: int) -> Shape:
    """So many lengths."""
    return (lambda buffer, place: length(buffer, place)[1],) * count


def strings(count: int) -> Shape:
    """So many strings."""
    return (string,) * count


def fixed(count: int) -> Step:
    """So many bytes."""
    return lambda _, place: place + count


def _counted_fixed(count: int) -> Step:
    """Some of so many bytes, behind how many they are."""

    def step(buffer: bytes, place: int) -> int:
        times, place = length(buffer, place)
        return place + times * count

    return step


def _score(buffer: bytes, place: int) -> int:
    """A score as text: one byte of length, of which the three largest are no lengths."""
    count = byte(buffer, place)
    return place + 1 + (0 if count >= _SCORE_IS_NO_NUMBER else count)


def _stream(*, of_stream: int, of_group: int, times: int) -> Shape:
    """A stream: its entries, what it knows of them, its groups with what each has not acknowledged."""
    pending = Counted((fixed(ENTRY_ID_BYTES + TIME_BYTES), *lengths(1)))
    consumer = (string, fixed(TIME_BYTES * times), _counted_fixed(ENTRY_ID_BYTES))
    group = (string, *lengths(of_group), pending, Counted(consumer))
    return (Counted(strings(2)), *lengths(of_stream), Counted(group))


_FIELDS_THAT_EXPIRE = Counted((*lengths(1), *strings(2)))
TYPES: dict[int, Shape] = {
    0: (string,),
    1: (Counted((string,)),),  # list
    2: (Counted((string,)),),  # set
    3: (Counted((string, _score)),),  # sorted set, of Redis before 4
    4: (Counted(strings(2)),),  # hash
    5: (Counted((string, fixed(SCORE_BYTES))),),  # sorted set
    9: (string,),  # from here on each as one string: hash,
    10: (string,),  # list,
    11: (string,),  # set of whole numbers,
    12: (string,),  # sorted set,
    13: (string,),  # hash
    14: (Counted((string,)),),  # list in parts
    15: _stream(of_stream=3, of_group=2, times=1),
    16: (string,),  # hash
    17: (string,),  # sorted set
    18: (Counted((*lengths(1), string)),),  # list in parts, each with its form
    19: _stream(of_stream=8, of_group=3, times=1),
    20: (string,),  # set
    21: _stream(of_stream=8, of_group=3, times=2),
    22: (_FIELDS_THAT_EXPIRE,),  # hash, of Redis 7.4 before it was released
    23: (string,),
    24: (fixed(TIME_BYTES), _FIELDS_THAT_EXPIRE),  # hash
    25: (fixed(TIME_BYTES), string),
}
"""By rdb.h's RDB_TYPE_*. 6 and 7 are of modules."""
