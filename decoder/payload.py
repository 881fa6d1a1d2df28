"""What a device sends: base64 of GeoJSON, taken apart into its features."""

import base64
import binascii

import msgspec

from core.errors import InvalidMessage, Reason

MAX_FEATURES = 500
_GEOMETRIES = {"Point", "MultiPoint", "LineString", "MultiLineString", "Polygon", "MultiPolygon", "GeometryCollection"}


class Feature(msgspec.Struct, frozen=True):
    """A Feature, its parts not yet decoded; `text` is all of it, as it was sent."""

    geometry: msgspec.Raw
    properties: msgspec.Raw
    text: bytes


class _Head(msgspec.Struct, frozen=True):
    """As much of a GeoJSON object as tells what it is; other members are skipped."""

    type: str
    features: list[msgspec.Raw] | None = None
    geometry: msgspec.Raw = msgspec.Raw(b"null")
    properties: msgspec.Raw = msgspec.Raw(b"null")


_decode_head = msgspec.json.Decoder(_Head).decode


def features(payload: bytes) -> list[Feature]:
    """The features of a payload; a bare Point becomes one without properties.

    Members of a FeatureCollection are not looked into: see `read_feature`. Raises InvalidMessage with the reasons
    not_base64, not_json, not_geojson, not_a_point or too_many_features.
    """
    text = _text(payload)
    head = _head(text)
    match head.type:
        case "Feature":
            return [Feature(head.geometry, head.properties, text)]
        case "FeatureCollection":
            if head.features is None:
                raise InvalidMessage(Reason.NOT_GEOJSON, "a FeatureCollection without a list of features")
            if len(head.features) > MAX_FEATURES:
                raise InvalidMessage(
                    Reason.TOO_MANY_FEATURES,
                    f"{len(head.features)} features: send {MAX_FEATURES} in one message at the most",
                )
            return [_member(bytes(feature)) for feature in head.features]
        case "Point":
            return [Feature(msgspec.Raw(text), msgspec.Raw(b"null"), text)]
        case other if other in _GEOMETRIES:
            raise InvalidMessage(Reason.NOT_A_POINT, f"a {other}: send a Point")
        case _:
            raise InvalidMessage(Reason.NOT_GEOJSON, "send a Feature, a FeatureCollection or a Point")


def _text(payload: bytes) -> bytes:
    try:
        text = base64.b64decode(payload, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidMessage(Reason.NOT_BASE64, "the payload is not standard base64 (RFC 4648, section 4)") from error
    try:
        text.decode()
    except UnicodeDecodeError as error:
        raise InvalidMessage(Reason.NOT_JSON, "what the base64 holds is not UTF-8") from error
    return text


def _head(text: bytes) -> _Head:
    try:
        return _decode_head(text)
    except msgspec.ValidationError as error:
        raise InvalidMessage(Reason.NOT_GEOJSON, f"not a GeoJSON object: {error}") from error
    except msgspec.DecodeError as error:
        raise InvalidMessage(Reason.NOT_JSON, f"{error}; NaN and Infinity are not JSON") from error
    except RecursionError as error:
        raise InvalidMessage(Reason.NOT_JSON, "nested too deeply") from error


def _member(text: bytes) -> Feature:
    """A member of a FeatureCollection; what is wrong with it shows when it is read, so that its neighbours are used."""
    try:
        head = _head(text)
    except InvalidMessage:
        return Feature(msgspec.Raw(b"null"), msgspec.Raw(b"null"), text)
    if head.type != "Feature":
        return Feature(msgspec.Raw(b"null"), msgspec.Raw(b"null"), text)
    return Feature(head.geometry, head.properties, text)
