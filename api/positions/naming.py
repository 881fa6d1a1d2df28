"""Whether a payload names a device, however it is wrapped: for whoever forgets one, so rather one too many."""

import binascii
import re
import zlib
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import msgspec

from core.unreadable import UNREADABLE

MAX_LAYERS = 5
"""How deep is looked: base64 of base64 of gzip has been seen."""
MAX_LAYER = 1_048_576
"""Bytes of what comes out of gzip."""
_BOM = b"\xef\xbb\xbf"
_UTF_16 = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}
_GZIP = b"\x1f\x8b"
_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_BASE64 = re.compile(rb"[A-Za-z0-9+/]+")
_NUMBERS = frozenset({
    *("device_id", "device", "uniqueid", "unique_id"),
    *("topic", "tid", "aid", "ser", "androidid", "serial"),
})  # fmt: skip
"""Members whose whole number is an id, in small letters: all that `payloads.formats` takes one from."""


def names(payload: bytes, device: str) -> bool:
    """Whether a payload names a device, as far as that can be seen of what nobody could decode."""
    return any(_mentions(text, device) for text in _layers(payload))


def _layers(payload: bytes) -> Iterator[bytes]:
    """The payload, and what is in it: of gzip and of base64 that were cut off, as much as there is."""
    data: bytes | None = payload
    for _ in range(MAX_LAYERS):
        if data is None:
            return
        yield data
        data = _utf_8(data) or _from_gzip(data) or _from_string(data) or _from_base64(data)


def _utf_8(data: bytes) -> bytes | None:
    """Of UTF-16, with a BOM or without; None for what is none."""
    coding = _UTF_16.get(data[:2])
    if coding is None and b"\0" in data[:2]:
        coding = "utf-16-be" if data.startswith(b"\0") else "utf-16-le"
    if coding is None:
        return None
    return data.decode(coding, "replace").lstrip("\ufeff").replace("\0", "").encode() or None


def _from_gzip(data: bytes) -> bytes | None:
    if not data.startswith(_GZIP):
        return None
    with suppress(zlib.error):
        return zlib.decompressobj(31).decompress(data, MAX_LAYER) or None
    return None


def _from_string(data: bytes) -> bytes | None:
    """Of a JSON text that is a string; None for what is none."""
    if not data.lstrip().startswith(b'"'):
        return None
    with suppress(msgspec.DecodeError, UnicodeDecodeError):
        return msgspec.json.decode(data.strip(), type=str).encode() or None
    return None


def _from_base64(data: bytes) -> bytes | None:
    """Of either alphabet, with or without padding and line ends, also if it was cut off; None for what is none."""
    text = b"".join(data.split()).translate(_URL_SAFE).rstrip(b"=")
    if not _BASE64.fullmatch(text):
        return None
    whole = text[:-1] if len(text) % 4 == 1 else text
    return binascii.a2b_base64(whole + b"=" * (-len(whole) % 4)) or None


def _mentions(text: bytes, device: str) -> bool:
    try:
        rest: list[Any] = [msgspec.json.decode(text.strip().removeprefix(_BOM).rstrip(b"\0"))]
    except UNREADABLE:
        # Not JSON: the id anywhere, unless it is a part of a longer word.
        word = re.escape(device.encode(errors="surrogatepass"))
        return re.search(rb"(?<![\w.-])" + word + rb"(?![\w.-])", text) is not None
    while rest:
        each = rest.pop()
        if each == device:
            return True
        if isinstance(each, list):
            rest += each
        elif isinstance(each, dict):
            if any(_is_number(value, device) for name, value in each.items() if name.lower() in _NUMBERS):
                return True
            rest += each.values()
    return False


def _is_number(value: object, device: str) -> bool:
    """Whether it is a number whose text the id is."""
    # Longer than an id may be, and its text has a limit, too.
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**128 and str(value) == device
