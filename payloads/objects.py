"""JSON objects and lists, decoded with a reason where they cannot be."""

from typing import Any

import msgspec

from core.errors import InvalidMessageError, Reason

DECODE_ERRORS = (msgspec.DecodeError, RecursionError)
"""What a decoder raises for text in UTF-8 that is not what it is to decode."""
_decode_object = msgspec.json.Decoder(dict[str, Any]).decode
_decode_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def object_in(text: bytes | msgspec.Raw) -> dict[str, Any]:
    """A JSON object. Raises InvalidMessageError (not_geojson, not_json).

    It may be refused where it was decoded before: of what is not asked for, a decoder looks at the syntax alone, and a
    number may have more digits than anything can hold.
    """
    try:
        return _decode_object(text)
    except msgspec.ValidationError as error:
        raise InvalidMessageError(Reason.NOT_GEOJSON, f"not what such an app sends: {error}") from error
    except DECODE_ERRORS as error:
        raise InvalidMessageError(Reason.NOT_JSON, f"{error}; NaN and Infinity are not JSON") from error


def list_in(text: bytes | msgspec.Raw) -> list[msgspec.Raw]:
    """The members of a JSON list. Raises InvalidMessageError (not_geojson) for what is none."""
    try:
        return _decode_list(text)
    except DECODE_ERRORS as error:
        raise InvalidMessageError(Reason.NOT_GEOJSON, "a list of positions that is no list") from error


def has_member(text: bytes, name: str) -> bool:
    """Whether JSON is an object with a member of that name."""
    try:
        return name in _decode_members(text)
    except DECODE_ERRORS:
        return False
