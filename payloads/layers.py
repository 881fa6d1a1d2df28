"""What a payload is beneath its encodings, read more tolerantly than a position may be sent."""

import base64
import binascii
import json
import zlib
from dataclasses import dataclass
from typing import Any

from payloads.unwrapping import MAX_TEXT

MAX_LAYERS = 4
"""Base64 of base64 has been seen."""
_GZIP = b"\x1f\x8b"
_GZIP_ALONE = 31
"""The `wbits` of zlib that read gzip and nothing else."""
_URL_SAFE = bytes.maketrans(b"-_", b"+/")


class Repeated(dict[str, Any]):
    """A JSON object in which a name came twice: what the first one held is in the payload, and not in here."""


@dataclass(frozen=True, slots=True)
class Layers:
    """A payload, unwrapped."""

    around: str
    """How it was wrapped, from the outside to the inside: `base64 of base64 of `."""
    value: Any
    """The JSON in it, decoded; the bytes themselves where it is none. Where it is, nothing else is in the payload."""
    is_json: bool


def unwrapped(payload: bytes) -> Layers:
    """Base64 of every kind, gzip, JSON, and JSON texts within JSON strings, as deep as `MAX_LAYERS`. Never raises."""
    around: list[str] = []
    data = payload.strip()
    for _ in range(MAX_LAYERS):
        try:
            value = json.loads(data.decode(), object_pairs_hook=_object)
        except (ValueError, RecursionError):
            packed = data.startswith(_GZIP)
            inner = _from_gzip(data) if packed else _from_base64(data)
            if inner is None:
                break
            around.append("gzip of " if packed else "base64 of ")
            data = inner.strip()
        else:
            if not isinstance(value, str):
                return Layers("".join(around), value, is_json=True)
            around.append("a string of ")
            data = value.encode("utf-8", "surrogatepass").strip()
    return Layers("".join(around), data, is_json=False)


def _object(members: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(members)
    return found if len(found) == len(members) else Repeated(found)


def _from_gzip(data: bytes) -> bytes | None:
    """None for what is none, is cut off, unpacks to more than a message may hold, or has more than that in it."""
    # A name or a comment may be anything, and so may what comes after it.
    if data[3:4] != b"\0":
        return None
    unpacking = zlib.decompressobj(_GZIP_ALONE)
    try:
        inner = unpacking.decompress(data, MAX_TEXT)
    except zlib.error:
        return None
    return inner if unpacking.eof and not unpacking.unused_data else None


def _from_base64(data: bytes) -> bytes | None:
    """Of either alphabet, with or without padding and line ends; None for what is none, or holds anything else."""
    text = b"".join(data.split()).translate(_URL_SAFE).rstrip(b"=")
    if not text:
        return None
    try:
        return binascii.a2b_base64(text + b"=" * (-len(text) % 4), strict_mode=True)
    except binascii.Error:
        return None


def is_text(data: bytes) -> bool:
    """Whether it is UTF-8 without control characters, but for line ends and tabs."""
    try:
        return all(character.isprintable() or character in "\r\n\t" for character in data.decode())
    except UnicodeDecodeError:
        return False


def cut_base64(data: bytes) -> bytes | None:
    """What is in the whole groups of base64 that was cut off; None for what is none."""
    text = b"".join(data.split()).translate(_URL_SAFE)
    try:
        return base64.b64decode(text[: len(text) // 4 * 4], validate=True) or None
    except (binascii.Error, ValueError):
        return None
