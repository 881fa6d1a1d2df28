"""What a payload is beneath its encodings, read more tolerantly than a position may be sent."""

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any

MAX_LAYERS = 4
"""Base64 of base64 has been seen."""
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
    """Base64 of every kind, JSON, and JSON texts within JSON strings, as deep as `MAX_LAYERS`. Never raises."""
    around: list[str] = []
    data = payload.strip()
    for _ in range(MAX_LAYERS):
        try:
            value = json.loads(data.decode(), object_pairs_hook=_object)
        except (ValueError, RecursionError):
            inner = _from_base64(data)
            if inner is None:
                break
            around.append("base64 of ")
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
