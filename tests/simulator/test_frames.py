"""Frames of WebSocket as a load reads them: all of a burst, however it is cut, and each byte few times."""

import pytest

from simulator.load.frames import Frames

ANSWER = b"HTTP/1.1 101 Switching Protocols\r\n\r\n"
SIZES = [0, 1, 125, 126, 127, 65_535, 65_536, 3]


def frame(content: bytes, kind: int = 0x2) -> bytes:
    """As a server writes it: without a mask."""
    size = len(content)
    if size < 126:
        head = bytes([size])
    elif size < 65_536:
        head = b"\x7e" + size.to_bytes(2)
    else:
        head = b"\x7f" + size.to_bytes(8)
    return bytes([0x80 | kind]) + head + content


def opened() -> Frames:
    found = Frames("localhost")
    assert found.taken(ANSWER) == b""
    return found


@pytest.mark.parametrize("size", [1, 2, 7, 1000, 1_000_000])
def test_all_frames_of_a_burst_are_read_however_it_is_cut(size: int) -> None:
    contents = [bytes([number]) * length for number, length in enumerate(SIZES)]
    burst = ANSWER + b"".join(frame(each) for each in contents) + frame(b"ping", 0x9) + frame(b"end")
    frames = Frames("localhost")
    found = b"".join(frames.taken(burst[start : start + size]) for start in range(0, len(burst), size))
    assert found == b"".join(contents) + b"end"
    assert frames.pongs[:2] == b"\x8a\x84"
    assert len(frames.pongs) == 10


class _Counted(bytes):
    """Bytes that count what is copied of them."""

    copied = 0

    def __getitem__(self, key: object) -> object:  # type: ignore[override]
        found = super().__getitem__(key)  # type: ignore[call-overload]
        if isinstance(found, int):
            return found
        _Counted.copied += len(found)
        return _Counted(found)

    def __add__(self, other: object) -> "_Counted":
        return _Counted(super().__add__(other))  # type: ignore[operator]


def test_a_burst_of_many_frames_is_copied_once() -> None:
    frames = opened()
    burst = b"".join(frame(b"x" * 100) for _ in range(2000))
    frames._received = _Counted()
    assert frames.taken(burst + frame(b"y")[:-1]) == b"x" * 200_000
    assert 200_000 <= _Counted.copied <= 300_000
    assert frames.taken(b"y") == b"y"
