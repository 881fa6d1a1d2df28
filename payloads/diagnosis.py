"""Why a document is not what a device may send: looked into part by part, once decoding it in one step has failed."""

import re
from typing import Any, NoReturn

import msgspec

from core.errors import InvalidMessageError, Reason
from payloads.checking import checked_place, place_of
from payloads.objects import DECODE_ERRORS

_GEOMETRIES = {"Point", "MultiPoint", "LineString", "MultiLineString", "Polygon", "MultiPolygon", "GeometryCollection"}
_SMALL = {name.lower(): name for name in ("Feature", "FeatureCollection", *sorted(_GEOMETRIES))}
_A_POINT_EACH = "a position is a Point; send several as Features of a FeatureCollection"
_NULL = msgspec.Raw(b"null")
_OF_PROPERTIES = re.compile(r" - at `\$\.properties[^`]*`\Z")
"""How the decoder ends a sentence on them, whatever it may quote before."""


class _Head(msgspec.Struct, frozen=True):
    """As much of a GeoJSON object as tells what it is."""

    type: str
    geometry: msgspec.Raw = _NULL
    properties: msgspec.Raw = _NULL
    coordinates: msgspec.Raw = _NULL


class _Geometry(msgspec.Struct, frozen=True):
    type: str
    coordinates: msgspec.Raw = _NULL


_decode_head = msgspec.json.Decoder(_Head).decode
_decode_geometry = msgspec.json.Decoder(_Geometry | None).decode
_decode_coordinates = msgspec.json.Decoder(list[Any]).decode


def refuse_document(text: bytes, error: Exception) -> NoReturn:
    """Raise InvalidMessageError for a payload's JSON that could not be decoded; `error` is what the decoder said."""
    head = _head(text)
    match head.type:
        case "Feature":
            _refuse_feature(head, error)
        case "FeatureCollection":
            raise InvalidMessageError(Reason.NOT_GEOJSON, "a FeatureCollection without a list of features")
        case "Point":
            _check_place(head.coordinates)
        case other if other in _GEOMETRIES:
            raise InvalidMessageError(Reason.NOT_A_POINT, f"a {other}: {_A_POINT_EACH}")
        case other if other.lower() in _SMALL:
            raise InvalidMessageError(Reason.NOT_GEOJSON, f"type is written with capitals: {_SMALL[other.lower()]}")
    raise InvalidMessageError(Reason.NOT_GEOJSON, "send a Feature, a FeatureCollection or a Point") from error


def refuse_member(text: bytes, error: Exception) -> NoReturn:
    """The same for a member of a FeatureCollection."""
    head = _head(text)
    if head.type == "Feature":
        _refuse_feature(head, error)
    raise InvalidMessageError(Reason.NOT_GEOJSON, "a member of a FeatureCollection that is not a Feature") from error


def _head(text: bytes) -> _Head:
    try:
        return _decode_head(text)
    except msgspec.ValidationError as error:
        raise InvalidMessageError(Reason.NOT_GEOJSON, f"not a GeoJSON object: {error}") from error
    except msgspec.DecodeError as error:
        raise InvalidMessageError(Reason.NOT_JSON, f"{error}; NaN and Infinity are not JSON") from error
    except RecursionError as error:
        raise InvalidMessageError(Reason.NOT_JSON, "nested too deeply") from error


def _refuse_feature(head: _Head, error: Exception) -> NoReturn:
    try:
        geometry = _decode_geometry(head.geometry)
    except DECODE_ERRORS as reason:
        raise InvalidMessageError(Reason.NOT_GEOJSON, "the geometry is not a GeoJSON object") from reason
    if geometry is None:
        raise InvalidMessageError(Reason.NOT_GEOJSON, "not a Feature with a geometry")
    if geometry.type != "Point":
        raise InvalidMessageError(Reason.NOT_A_POINT, _A_POINT_EACH)
    _check_place(geometry.coordinates)
    # Of a feature only its properties are left, and what the decoder says of them names types, never values. Where a
    # `type` is there twice it quotes the first one, which may be anything.
    said = str(error)
    detail = said if _OF_PROPERTIES.search(said) else "they are no object, and another member is there twice"
    raise InvalidMessageError(Reason.BAD_PROPERTY, f"properties: {detail}")


def _check_place(coordinates: msgspec.Raw) -> None:
    try:
        longitude, latitude, _ = place_of(_decode_coordinates(coordinates))
        checked_place(*msgspec.convert((longitude, latitude), tuple[float, float]))
    except DECODE_ERRORS as error:
        raise InvalidMessageError(
            Reason.BAD_COORDINATES, "the coordinates are not longitude, latitude and perhaps altitude, as numbers"
        ) from error
