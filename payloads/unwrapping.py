"""The JSON in a payload, beneath what it is wrapped in: base64 of any kind, gzip, a byte order mark."""

import binascii
import codecs
import json
import zlib
from contextlib import suppress

import msgspec

from core.errors import InvalidMessageError, Reason

MAX_TEXT = 65_536
"""Bytes of each layer, as of a whole payload."""
MAX_LAYERS = 3
"""Base64 of gzip of base64 has been seen."""
_GZIP = b"\x1f\x8b"
_GZIP_IN_BASE64 = b"H4sI"
_GZIP_ALONE = 31
"""The `wbits` of zlib that read gzip and nothing else."""
_BLANKS = b" \t\r\n"
_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_BRACES = (b"{", b"[")
_TOLD = 16
"""Characters of a text that tell whether it is one."""


def text_of(payload: bytes) -> bytes:
    """The JSON in a payload, as UTF-8, however it is wrapped. That it is JSON is known of its first letter alone.

    Raises InvalidMessageError with the reason not_base64, not_json or too_large.
    """
    data = payload
    for layer in range(MAX_LAYERS + 1):
        if data.startswith(_GZIP):
            # Only where brokers see that it is gzip, and how much it unpacks to: that is what it costs its sender.
            if layer and not (layer == 1 and payload.startswith(_GZIP_IN_BASE64)):
                raise InvalidMessageError(Reason.NOT_JSON, "gzip is read outermost, or as the first layer in base64")
            data = _unpacked(data)
            continue
        _check_encoding(data)
        data = _trimmed(data)
        # Also 7 and null are JSON, and may be base64: nobody sends them without.
        if data.startswith(_BRACES) or (layer and _is_json(data)):
            return _utf8(data)
        if not data:
            raise InvalidMessageError(Reason.NOT_JSON, "there is nothing in it")
        inner = _from_base64(data)
        if inner is None:
            if layer:
                raise InvalidMessageError(Reason.NOT_JSON, "what is in the base64 or gzip is not JSON")
            raise InvalidMessageError(Reason.NOT_BASE64, "neither JSON nor base64 of it (RFC 4648)")
        data = inner
    raise InvalidMessageError(Reason.NOT_JSON, f"no JSON in it, {MAX_LAYERS} layers of base64 or gzip deep")


def _check_encoding(data: bytes) -> None:
    encoding = json.detect_encoding(data)
    if encoding.startswith("utf-8"):
        return
    with suppress(UnicodeDecodeError):
        # A message in binary may have zeros there, too.
        start = data.decode(encoding).lstrip("\ufeff \t\r\n")[:_TOLD]
        if start and start.isascii() and start.isprintable():
            raise InvalidMessageError(Reason.NOT_JSON, f"a text in {encoding.upper()}: send UTF-8")


def _trimmed(data: bytes) -> bytes:
    """Without blanks around it, a byte order mark, and the zero that ends a text in C."""
    data = data.strip(_BLANKS).removeprefix(codecs.BOM_UTF8).lstrip(_BLANKS)
    return data[:-1].rstrip(_BLANKS) if data.endswith(b"\0") else data


def _is_json(data: bytes) -> bool:
    try:
        msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return True


def _utf8(text: bytes) -> bytes:
    try:
        text.decode()
    except UnicodeDecodeError as error:
        raise InvalidMessageError(Reason.NOT_JSON, "the JSON is not in UTF-8") from error
    return text


def _from_base64(data: bytes) -> bytes | None:
    """Of either alphabet, with or without padding and line ends; None for what is none."""
    text = data.translate(_URL_SAFE, b"\r\n").rstrip(b"=")
    try:
        return binascii.a2b_base64(text + b"=" * (-len(text) % 4), strict_mode=True)
    except binascii.Error:
        return None


def _unpacked(data: bytes) -> bytes:
    unpacking = zlib.decompressobj(_GZIP_ALONE)
    try:
        text = unpacking.decompress(data, MAX_TEXT + 1)
    except zlib.error as error:
        raise InvalidMessageError(Reason.NOT_JSON, "it begins as gzip does, and is none") from error
    if len(text) > MAX_TEXT:
        raise InvalidMessageError(Reason.TOO_LARGE, f"more than {MAX_TEXT:,} bytes when unpacked")
    if not unpacking.eof:
        raise InvalidMessageError(Reason.NOT_JSON, "the gzip is cut off")
    if unpacking.unused_data.strip(_BLANKS):
        raise InvalidMessageError(Reason.NOT_JSON, "there is more after the gzip")
    return text
