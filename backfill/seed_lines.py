"""Fenced positions as lines of JSON, in the order of time: what a seed reads."""

import asyncio
import gzip
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, BinaryIO, cast

import msgspec

from core.errors import UnavailableError
from core.unreadable import UNREADABLE

STANDARD_INPUT = Path("-")
_CHUNK_BYTES = 1 << 18


class BadLineError(ValueError):
    """A line that cannot be used; the message begins with its number, the first is 1."""


class FencedPosition(msgspec.Struct, frozen=True):
    """One line: a device that was on the campus. Members that are not named here are ignored."""

    at: Annotated[int, msgspec.Meta(ge=0)]
    """Event time, milliseconds since the epoch."""
    device: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
    """Its plain id."""
    kind: str
    zones: Annotated[list[str], msgspec.Meta(min_length=1)]
    """Ids of the zones that hold it, the campus among them."""
    longitude: Annotated[float, msgspec.Meta(ge=-180, le=180)]
    """Degrees east, WGS 84."""
    latitude: Annotated[float, msgspec.Meta(ge=-90, le=90)]
    """Degrees north, WGS 84."""


Lines = tuple[int, list[FencedPosition]]
"""How many lines were before these, and what these hold."""
_decoder = msgspec.json.Decoder(FencedPosition)


@contextmanager
def opened(file: Path) -> Iterator[BinaryIO]:
    """A file of lines, `-` for standard input, unpacked where its name ends in .gz. Raises UnavailableError."""
    try:
        if file == STANDARD_INPUT:
            yield sys.stdin.buffer
        elif file.suffix == ".gz":
            with gzip.open(file) as packed:
                yield cast("BinaryIO", packed)
        else:
            with file.open("rb") as plain:
                yield plain
    except (OSError, EOFError) as error:
        # A file that was cut short ends a gzip too early.
        raise UnavailableError(f"{file}: {error}") from error


async def read_lines(file: BinaryIO) -> AsyncIterator[Lines]:
    """All lines, some thousand at a time; empty ones are left out. Raises BadLineError."""
    before = 0
    # In a thread, so that Ctrl-C ends the wait for a pipe that says nothing.
    while lines := await asyncio.to_thread(file.readlines, _CHUNK_BYTES):
        yield before, parse(lines, before)
        before += len(lines)


def parse(lines: list[bytes], before: int = 0) -> list[FencedPosition]:
    """The positions of lines, `before` which there were so many. Raises BadLineError for the first that is none."""
    try:
        return _decoder.decode_lines(b"".join(lines))
    except UNREADABLE:
        # Which of them it was takes one at a time.
        for number, line in enumerate(lines, before + 1):
            try:
                _decoder.decode_lines(line)
            except UNREADABLE as error:
                raise BadLineError(f"line {number}: {error}") from error
        raise
