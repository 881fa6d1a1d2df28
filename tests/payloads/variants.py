"""What phones, trackers and people send, each with what is right: the same at every door.

The present is 2026-03-01T12:00:00Z, 1,772,366,400,000 ms since the epoch. Who sends is a gateway: it may speak for any
device, and send positions of any age.
"""

import base64
import gzip
import json
from dataclasses import dataclass
from typing import Any, NamedTuple

AT = 1_772_366_340_000
"""2026-03-01T11:59:00Z: a minute ago."""
NOON = 1_772_366_400_000
HERE = [-8.5734, 52.6733]


class Seen(NamedTuple):
    """A position on the campus, as the decoder takes it."""

    device: str = "bus-304"
    at: int = AT
    accuracy: float | None = None
    speed: float | None = None
    heading: float | None = None
    altitude: float | None = None
    place: tuple[float, float] = (-8.5734, 52.6733)


@dataclass(frozen=True, slots=True)
class Right:
    """What is right to make of a message."""

    seen: tuple[Seen, ...] = ()
    outside: int = 0
    refused: tuple[tuple[int | None, str, str], ...] = ()
    """Index, reason, and a word of the sentence."""
    ignored: int = 0


def position(*seen: Seen) -> Right:
    return Right(seen or (Seen(),))


def refused(reason: str, word: str) -> Right:
    return Right(refused=((None, reason, word),))


OUTSIDE = Right(outside=1)
NOTHING = Right(ignored=1)


def feature(coordinates: object = HERE, **properties: object) -> dict[str, Any]:
    """A Feature of the device `bus-304`, a minute ago; a property that is `...` is left out."""
    given = {"device_id": "bus-304", "timestamp": "2026-03-01T11:59:00Z", **properties}
    return {
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": coordinates},
        "properties": {name: value for name, value in given.items() if value is not ...},
    }


def geometry(kind: str, coordinates: object) -> dict[str, Any]:
    return {**feature(), "geometry": {"type": kind, "coordinates": coordinates}}


def sent(document: object) -> bytes:
    return json.dumps(document, ensure_ascii=False).encode()


def encoded(document: object) -> bytes:
    return base64.b64encode(sent(document))


def collection(*features: object) -> dict[str, Any]:
    return {"type": "FeatureCollection", "features": list(features)}


def at(**properties: object) -> bytes:
    return encoded(feature(**properties))


FEATURE = sent(feature())
# Neither alphabet of base64 is the other one here, and there is padding.
TELLING = sent({**feature(), "name": "Áras ???>>> ü"})
OWNTRACKS: dict[str, Any] = json.loads(
    '{"_type":"location","lat":52.6733,"lon":-8.5734,"tst":1772366340,"acc":12,"tid":"ab","vel":36,"cog":90,"alt":20,'
    '"batt":80,"conn":"w","t":"u","m":1}'
)
FROM_OWNTRACKS = Seen("ab", accuracy=12, speed=10, heading=90, altitude=20)
TRACCAR: dict[str, Any] = json.loads(
    '{"location":{"timestamp":"2026-03-01T11:59:00.000Z","coords":{"latitude":52.6733,"longitude":-8.5734,'
    '"accuracy":5.5,"speed":2.5,"heading":180,"altitude":21.5},"is_moving":true,"odometer":12.5,"event":"motionchange",'
    '"battery":{"level":0.5,"is_charging":false},"activity":{"type":"walking"}},"device_id":"bus-304"}'
)
FROM_TRACCAR = Seen(accuracy=5.5, speed=2.5, heading=180, altitude=21.5)
OVERLAND: dict[str, Any] = json.loads(
    '{"type":"Feature","geometry":{"type":"Point","coordinates":[-8.5734,52.6733]},"properties":{"timestamp":'
    '"2026-03-01T11:59:00Z","device_id":"phone","horizontal_accuracy":8,"vertical_accuracy":4,"speed":1.5,"course":45,'
    '"altitude":30,"battery_level":0.8,"battery_state":"unplugged","wifi":"eduroam","motion":["walking"]}}'
)
FROM_OVERLAND = Seen("phone", accuracy=8, speed=1.5, heading=45, altitude=30)
FLAT = (
    b'{"lat":"52.6733","lon":"-8.5734","time":"2026-03-01T11:59:00Z","acc":"7.5","spd":"1.5","dir":"270","alt":"12",'
    b'"ser":"phone-1","batt":"55","prov":"gps","sat":"9"}'
)
GPSLOGGER = (
    b'{"type":"Feature","geometry":{"type":"Point","coordinates":[-8.5734,52.6733,40]},"properties":{"time":'
    b'"2026-03-01T11:59:00.000Z","time_long":1772366340000,"provider":"gps","accuracy":6,"bearing":15,"speed":0.5,'
    b'"device_id":"bus-304"}}'
)
CRS = {"type": "name", "properties": {"name": "urn:ogc:def:crs:OGC:1.3:CRS84"}}

ENCODINGS: dict[str, tuple[bytes, Right]] = {
    "base64 of GeoJSON": (base64.b64encode(FEATURE), position()),
    "plain GeoJSON": (FEATURE, position()),
    "plain GeoJSON with white space around it": (b"\n  " + FEATURE + b"\r\n", position()),
    "base64 in lines of 76": (base64.encodebytes(TELLING), position()),
    "base64 in lines that end as on Windows": (base64.encodebytes(TELLING).replace(b"\n", b"\r\n"), position()),
    "base64url": (base64.urlsafe_b64encode(TELLING), position()),
    "base64 without padding": (base64.b64encode(TELLING).rstrip(b"="), position()),
    "base64url without padding": (base64.urlsafe_b64encode(TELLING).rstrip(b"="), position()),
    "base64 of base64": (base64.b64encode(base64.b64encode(FEATURE)), position()),
    "gzip": (gzip.compress(FEATURE, mtime=0), position()),
    "gzip in base64": (base64.b64encode(gzip.compress(FEATURE, mtime=0)), position()),
    "a UTF-8 BOM before plain JSON": (b"\xef\xbb\xbf" + FEATURE, position()),
    "a UTF-8 BOM in base64": (base64.b64encode(b"\xef\xbb\xbf" + FEATURE), position()),
    "a NUL at the end": (FEATURE + b"\0", position()),
    "a NUL at the end, in base64": (base64.b64encode(FEATURE + b"\0"), position()),
    "UTF-16 with a BOM": (FEATURE.decode().encode("utf-16"), refused("not_json", "UTF-16")),
    "UTF-16 without one": (FEATURE.decode().encode("utf-16-le"), refused("not_json", "UTF-16")),
    "UTF-16 in base64": (base64.b64encode(FEATURE.decode().encode("utf-16")), refused("not_json", "UTF-16")),
    "not UTF-8": (base64.b64encode(b'{"type":"\xff"}'), refused("not_json", "UTF-8")),
    "ten megabytes in gzip": (gzip.compress(b" " * 10_000_000 + FEATURE), refused("too_large", "")),
    "neither JSON nor base64": (b"%%%", refused("not_base64", "base64")),
    "JSON that was cut off": (FEATURE[:-9], refused("not_json", "")),
}

TIMES: dict[str, tuple[bytes, Right]] = {
    "seconds": (at(timestamp=1_772_366_340), position()),
    "seconds with a fraction": (at(timestamp=1_772_366_340.25), position(Seen(at=1_772_366_340_250))),
    "milliseconds": (at(timestamp=1_772_366_340_000), position()),
    "milliseconds with a fraction": (at(timestamp=1_772_366_340_000.75), position()),
    "microseconds": (at(timestamp=1_772_366_340_000_000), position()),
    "nanoseconds": (at(timestamp=1_772_366_340_000_000_000), position()),
    "seconds as text": (at(timestamp="1772366340"), position()),
    "milliseconds as text": (at(timestamp="1574812345000"), position(Seen(at=1_574_812_345_000))),
    "no time": (at(timestamp=...), position(Seen(at=NOON))),
    "a null for the time": (at(timestamp=None), position(Seen(at=NOON))),
    "an offset": (at(timestamp="2026-03-01T12:59:00+01:00"), position()),
    "small letters": (at(timestamp="2026-03-01t11:59:00z"), position()),
    "a blank instead of the T": (at(timestamp="2026-03-01 11:59:00Z"), position()),
    "a leap second": (at(timestamp="2016-12-31T23:59:60Z"), position(Seen(at=1_483_228_799_999))),
    "a leap second elsewhere": (at(timestamp="2017-01-01T00:59:60+01:00"), position(Seen(at=1_483_228_799_999))),
    "a second 60 that was none": (at(timestamp="2026-03-01T11:30:60Z"), refused("bad_property", "timestamp")),
    "thirteen digits of a second": (
        at(timestamp="2026-03-01T11:59:00.1234567890123Z"),
        position(Seen(at=1_772_366_340_123)),
    ),
    "no offset": (at(timestamp="2019-02-18T08:58:05"), refused("bad_property", "offset")),
    "a date of HTTP": (at(timestamp="Mon, 18 Feb 2019 08:58:05 GMT"), refused("bad_property", "timestamp")),
    "hour 24": (at(timestamp="2019-02-18T24:00:00Z"), refused("bad_property", "timestamp")),
    "a year of eight digits": (at(timestamp="20190218-01-01T00:00:00Z"), refused("bad_property", "timestamp")),
    "2038": (at(timestamp="2038-01-19T03:14:07Z"), refused("future_timestamp", "")),
    "six minutes ahead": (at(timestamp="2026-03-01T12:06:00Z"), refused("future_timestamp", "")),
    "four minutes ahead": (at(timestamp="2026-03-01T12:04:00Z"), position(Seen(at=NOON + 240_000))),
    "seconds of 2038": (at(timestamp=2_147_483_647), refused("future_timestamp", "read as seconds")),
    "late by days": (at(timestamp="2019-02-18T09:00:00Z"), position(Seen(at=1_550_480_400_000))),
    "out of order": (
        encoded(collection(feature(), feature(timestamp="2026-03-01T10:00:00Z"))),
        position(Seen(), Seen(at=1_772_359_200_000)),
    ),
}

NUMBERS: dict[str, tuple[bytes, Right]] = {
    "coordinates as text": (encoded(feature(["-8.5734", "52.6733"])), refused("bad_coordinates", "numbers")),
    "latitude first": (encoded(feature([52.6733, -8.5734])), OUTSIDE),
    "null island": (encoded(feature([0, 0])), OUTSIDE),
    "four numbers": (encoded(feature([*HERE, 20, 1_772_366_340])), position(Seen(altitude=20))),
    "an altitude": (encoded(feature([*HERE, 20.5])), position(Seen(altitude=20.5))),
    "an altitude that is null": (encoded(feature([*HERE, None])), position()),
    "an altitude of a satellite": (encoded(feature([*HERE, 2e7])), position()),
    "one number": (encoded(feature([-8.5734])), refused("bad_coordinates", "")),
    "accuracy 0": (at(accuracy=0), position(Seen(accuracy=0))),
    "accuracy -1": (at(accuracy=-1), position()),
    "accuracy as text": (at(accuracy="12.5"), position(Seen(accuracy=12.5))),
    "accuracy 17000": (at(accuracy=17000), position(Seen(accuracy=17000))),
    "heading 725": (at(heading=725), position()),
    "heading 360": (at(heading=360), position(Seen(heading=360))),
    "speed 1e308": (at(speed=1e308), position()),
    "speed -1": (at(speed=-1), position()),
    "nulls": (at(accuracy=None, speed=None, heading=None), position()),
    "NaN": (base64.b64encode(b'{"type":"Feature","n":NaN}'), refused("not_json", "NaN")),
    "400 digits": (
        base64.b64encode(FEATURE.replace(b"52.6733", b"5" * 400)),
        refused("bad_coordinates", ""),
    ),
}

OF_GEOJSON: dict[str, tuple[bytes, Right]] = {
    "an id of the Feature, and properties null": (
        encoded({**feature(), "id": "bus-304", "properties": None}),
        refused("no_device", "id"),
    ),
    "no device": (encoded(feature(device_id=...)), refused("no_device", "device_id")),
    "a bare Point": (encoded({"type": "Point", "coordinates": HERE}), refused("no_device", "device_id")),
    "a LineString": (encoded(geometry("LineString", [HERE, HERE])), refused("not_a_point", "Point")),
    "a MultiPoint of one": (encoded(geometry("MultiPoint", [HERE])), refused("not_a_point", "Point")),
    "a GeometryCollection": (
        encoded({**feature(), "geometry": {"type": "GeometryCollection", "geometries": []}}),
        refused("not_a_point", "Point"),
    ),
    "a LineString alone": (encoded({"type": "LineString", "coordinates": [HERE]}), refused("not_a_point", "Point")),
    "device_id 42": (at(device_id=42), position(Seen("42"))),
    "blanks around device_id": (at(device_id=" a "), position(Seen(" a "))),
    "device_id of blanks": (at(device_id="  "), refused("bad_property", "device_id")),
    "type in capitals": (encoded({**feature(), "type": "FEATURE"}), refused("not_geojson", "Feature")),
    "crs, bbox and foreign members": (
        encoded({**feature(), "crs": CRS, "bbox": [-8.6, 52.6, -8.5, 52.7], "title": "x"}),
        position(),
    ),
    "a bbox across 180 degrees": (encoded({**feature(), "bbox": [170, 50, -170, 60]}), position()),
    "a bbox of six numbers": (encoded({**feature(), "bbox": [-9, 52, 0, -8, 53, 100]}), position()),
    "a list of Features": (
        sent([feature(), feature(device_id="bus-305")]),
        position(Seen(), Seen("bus-305")),
    ),
    "several, of which some cannot be used": (
        encoded(collection(feature(), feature(device_id=...), feature([0, 0]), 7)),
        Right((Seen(),), outside=1, refused=((1, "no_device", "device_id"), (3, "not_geojson", ""))),
    ),
    "several, none of which can be used": (
        encoded(collection(feature(device_id=...), geometry("LineString", []))),
        Right(refused=((0, "no_device", "device_id"), (1, "not_a_point", "Point"))),
    ),
    "501 of them": (
        encoded(collection(*[{"type": "Feature"}] * 501)),
        refused("too_many_features", "500"),
    ),
    "none at all": (encoded(collection()), Right()),
}

OF_APPS: dict[str, tuple[bytes, Right]] = {
    "OwnTracks": (sent(OWNTRACKS), position(FROM_OWNTRACKS)),
    "OwnTracks in base64": (encoded(OWNTRACKS), position(FROM_OWNTRACKS)),
    "OwnTracks with its topic": (
        sent({**OWNTRACKS, "topic": "owntracks/ann/phone"}),
        position(FROM_OWNTRACKS._replace(device="owntracks/ann/phone")),
    ),
    "OwnTracks of 2019": (
        sent({"_type": "location", "lat": 52.67, "lon": -8.57, "tst": 1_550_480_460, "acc": 12, "tid": "ab"}),
        OUTSIDE,
    ),
    "OwnTracks without a device": (
        sent({"_type": "location", "lat": 52.67, "lon": -8.57, "tst": 1_550_480_460, "acc": 12}),
        refused("no_device", "device"),
    ),
    "OwnTracks, encrypted": (sent({"_type": "encrypted", "data": "AbCd"}), refused("not_geojson", "encrypt")),
    **{
        f"OwnTracks, {what}": (sent({"_type": what, "tst": 1_772_366_340}), NOTHING)
        for what in ("lwt", "waypoint", "waypoints", "transition", "cmd", "steps", "status", "card", "configuration")
    },
    "Traccar": (sent(TRACCAR), position(FROM_TRACCAR)),
    "Traccar, in base64": (encoded(TRACCAR), position(FROM_TRACCAR)),
    "Overland": (
        sent({"locations": [OVERLAND, {**OVERLAND, "properties": {**OVERLAND["properties"], "device_id": "other"}}]}),
        position(FROM_OVERLAND, FROM_OVERLAND._replace(device="other")),
    ),
    "Overland, one of two without a device": (
        sent({"locations": [{**OVERLAND, "properties": {"timestamp": "2026-03-01T11:59:00Z"}}, OVERLAND]}),
        Right((FROM_OVERLAND,), refused=((0, "no_device", "device_id"),)),
    ),
    "GPSLogger, flat": (FLAT, position(Seen("phone-1", accuracy=7.5, speed=1.5, heading=270, altitude=12))),
    "GPSLogger, GeoJSON": (GPSLOGGER, position(Seen(accuracy=6, speed=0.5, heading=15, altitude=40))),
    "Home Assistant": (
        sent({"latitude": 52.6733, "longitude": -8.5734, "accuracy": 9, "device_id": "ha", "timestamp": 1_772_366_340}),
        position(Seen("ha", accuracy=9)),
    ),
    "other JSON": (sent({"hello": "world"}), refused("not_geojson", "")),
}

VARIANTS: dict[str, tuple[bytes, Right]] = ENCODINGS | TIMES | NUMBERS | OF_GEOJSON | OF_APPS
