"""Looks for a device in files, in each form that it may lie there."""

import base64
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path


def forms(names: Iterable[str], coordinates: Iterable[float]) -> dict[str, bytes]:
    """What to look for, by what it is: names and coordinates as text, coordinates as doubles, and all of it packed."""
    plain = {name: name.encode() for name in names}
    for number in coordinates:
        plain |= {
            repr(number): repr(number).encode(),
            f"{number!r}, a double": struct.pack(">d", number),
            f"{number!r}, a double from its end": struct.pack("<d", number),
        }
    found = {}
    for what, text in plain.items():
        found[what] = text
        found[f"{what}, in hexadecimal digits"] = text.hex().encode()
        found[f"{what}, in hexadecimal capitals"] = text.hex().upper().encode()
        for offset, packed in enumerate(_base64(text)):
            found[f"{what}, in base64 {offset} bytes in"] = packed
            found[f"{what}, in base64 of addresses {offset} bytes in"] = packed.translate(bytes.maketrans(b"+/", b"-_"))
    return found


def found_in(folder: Path, wanted: dict[str, bytes]) -> set[tuple[str, str]]:
    """Which of these are in which files below a folder, by the path there."""
    return {
        (str(path.relative_to(folder)), what)
        for path, content in _files(folder)
        for what, text in wanted.items()
        if text in content
    }


def _base64(text: bytes) -> Iterator[bytes]:
    """What of the base64 of a longer text is this one's alone, where it begins 0, 1 or 2 bytes into three."""
    for offset in range(3):
        packed = base64.b64encode(b"\0" * offset + text)
        # The characters at both ends hold bits of what is beside it.
        yield packed[(offset * 8 + 5) // 6 : (offset + len(text)) * 8 // 6]


def _files(folder: Path) -> Iterator[tuple[Path, bytes]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            try:
                yield path, path.read_bytes()
            except FileNotFoundError:
                continue  # Redis has just replaced its file
