"""What a device sends: base64 of GeoJSON. The common case is decoded in one step, straight into typed values."""

import binascii
from collections.abc import Callable
from datetime import datetime

import msgspec

from core.errors import InvalidMessageError, Reason

MAX_FEATURES = 500


class Point(msgspec.Struct, frozen=True, tag_field="type", tag="Point"):
    """A GeoJSON Point, its coordinates not yet checked."""

    coordinates: list[float]


class Properties(msgspec.Struct, frozen=True):
    """The properties that we read; others are skipped."""

    device_id: str | None = None
    timestamp: datetime | int | float | None = None
    accuracy: float | None = None
    speed: float | None = None
    heading: float | None = None


class Feature(msgspec.Struct, frozen=True, tag_field="type", tag="Feature"):
    """A GeoJSON Feature with a Point."""

    geometry: Point
    properties: Properties | None = None


class Collection(msgspec.Struct, frozen=True, tag_field="type", tag="FeatureCollection"):
    """A GeoJSON FeatureCollection, its members not yet decoded: a bad one must not cost its neighbours."""

    features: list[msgspec.Raw]


decode_document: Callable[[bytes], Feature | Collection | Point] = msgspec.json.Decoder(
    Feature | Collection | Point
).decode
"""Decodes a whole payload's JSON; any error means that `decoder.diagnosis` is to find the reason."""
decode_member = msgspec.json.Decoder(Feature).decode
"""The same for a member of a FeatureCollection."""
DECODE_ERRORS = (msgspec.DecodeError, RecursionError)


def text_of(payload: bytes) -> bytes:
    """The JSON in a payload, as UTF-8. Raises InvalidMessageError with the reason not_base64 or not_json."""
    try:
        text = binascii.a2b_base64(payload, strict_mode=True)
    except binascii.Error as error:
        raise InvalidMessageError(
            Reason.NOT_BASE64, "the payload is not standard base64 (RFC 4648, section 4)"
        ) from error
    if text.isascii():
        return text
    try:
        text.decode()
    except UnicodeDecodeError as error:
        raise InvalidMessageError(Reason.NOT_JSON, "what the base64 holds is not UTF-8") from error
    return text


def checked_size(collection: Collection) -> Collection:
    """The collection, unchanged. Raises InvalidMessageError (too_many_features) for more than `MAX_FEATURES`."""
    count = len(collection.features)
    if count > MAX_FEATURES:
        raise InvalidMessageError(
            Reason.TOO_MANY_FEATURES, f"{count} features: send {MAX_FEATURES} in one message at the most"
        )
    return collection
