# ruff: noqa: ANN401 - it looks at JSON that may be anything
"""What is in a message, read in the plainest way: each form by what its app's documentation says of it.

It shares no code with the system: what both had in common, a test of one against the other could not see.
"""

import base64
import gzip
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

from core.messages import RawMessage

GPSLOGGER = ("time_long", "provider")
BESIDE_LOCATIONS = (
    *("lwt", "waypoint", "waypoints", "transition", "cmd", "steps", "status"),
    *("card", "configuration", "beacon", "request"),
)


class UnusableError(Exception):
    """Its text is the reason."""


class IgnoredError(Exception):
    """Nothing is wrong with it, and it is no position."""


class Said(NamedTuple):
    """A position as it was written, by what each part of it means."""

    place: Any
    """Longitude, latitude, and altitude if any."""
    names: Any = None
    """What it says whose position it is."""
    hints: tuple[Any, ...] = ()
    at: Any = None
    accuracy: Any = None
    speed: Any = None
    metres_a_second: float = 1
    heading: Any = None
    zero_is_none: bool = False


class Reading(NamedTuple):
    """A position as it is meant."""

    coordinates: list[float]
    device: str
    at: int
    accuracy: float | None
    speed: float | None
    heading: float | None


def readings_of(message: RawMessage) -> Iterator[Reading | UnusableError | IgnoredError]:
    """What each position of a message comes to. Raises one of the errors for all of it."""
    for said in said_in(message):
        try:
            if isinstance(said, Exception):
                yield said
            else:
                yield meant(said, message)
        except UnusableError as error:
            yield error


def said_in(message: RawMessage) -> Iterator[Said | UnusableError | IgnoredError]:
    """The positions of a message, or why one is none."""
    if message.refused is not None:
        raise UnusableError(message.refused.value)
    if message.topic.split("/")[0] not in ("car-iotp", "mobile-iotp"):
        raise UnusableError("unknown_topic")
    if not message.payload:
        raise IgnoredError
    found = json_in(message.payload)
    if isinstance(found, list) and any(isinstance(each, dict) for each in found):
        yield from several(found, of_list_member)
    elif not isinstance(found, dict):
        raise UnusableError("not_geojson")
    elif "type" in found:
        yield from of_geojson(found)
    else:
        yield from of_app(found)


def of_geojson(found: dict[str, Any]) -> Iterator[Said | UnusableError | IgnoredError]:
    if found["type"] == "FeatureCollection" and isinstance(found.get("features"), list):
        yield from several(found["features"], of_feature)
    elif found["type"] == "Point":
        yield of_feature({"type": "Feature", "geometry": found})
    elif found["type"] == "Feature":
        yield of_feature(found)
    else:
        raise UnusableError(
            "not_a_point" if found["type"] in ("Polygon", "LineString", "MultiPoint") else "not_geojson"
        )


def of_app(found: dict[str, Any]) -> Iterator[Said | UnusableError | IgnoredError]:
    if "_type" in found:
        yield of_owntracks(found)
    elif isinstance(found.get("location"), dict):
        yield of_traccar(found["location"], found.get("device_id"))
    elif isinstance(found.get("location"), list):
        yield from several(found["location"], lambda one: of_traccar(one, found.get("device_id")))
    elif isinstance(found.get("locations"), list):
        yield from several(found["locations"], of_overland)
    elif "lat" in found and "lon" in found:
        yield of_flat(found)
    else:
        raise UnusableError("not_geojson")


def several(members: list[Any], one: Any) -> Iterator[Said | UnusableError | IgnoredError]:
    if len(members) > 500:
        raise UnusableError("too_many_features")
    for member in members:
        try:
            yield one(member)
        except (UnusableError, IgnoredError) as error:
            yield error


def json_in(payload: bytes) -> Any:
    """The JSON beneath whatever is around it."""
    data = payload
    for layer in range(4):
        if data[:2] == b"\x1f\x8b":
            data = unzipped(data)
            continue
        if data[:2] in (b"\xff\xfe", b"\xfe\xff") and len(data) > 2:
            raise UnusableError("not_json")
        text = data.decode("utf-8", "replace").strip().removeprefix("\ufeff").removesuffix("\0")
        if text.startswith(("{", "[")):
            break
        if layer and text in ("null", "42"):
            break
        url_safe = data.strip().translate(bytes.maketrans(b"+/", b"-_"), b"\r\n").rstrip(b"=")
        try:
            data = base64.b64decode(url_safe + b"=" * (-len(url_safe) % 4), b"-_", validate=True)
        except ValueError:
            raise UnusableError("not_json" if layer else "not_base64") from None
    else:
        raise UnusableError("not_json")
    try:
        data.decode()
        return json.loads(text, parse_constant=_refuse)
    except ValueError:
        raise UnusableError("not_json") from None


def unzipped(data: bytes) -> bytes:
    try:
        data = gzip.decompress(data)
    except (EOFError, OSError):
        raise UnusableError("not_json") from None
    if len(data) > 65_536:
        raise UnusableError("too_large")
    return data


def _refuse(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def of_feature(feature: Any) -> Said:
    """A GeoJSON Feature with a Point."""
    properties = feature.get("properties") if isinstance(feature, dict) else None
    place = point_of(feature)
    if not isinstance(properties, dict | None):
        raise UnusableError("bad_property")
    told = properties or {}
    at, heading = told.get("timestamp"), told.get("heading")
    if at is None and any(name in told for name in GPSLOGGER):
        at, heading = told.get("time_long", told.get("time")), told.get("bearing", heading)
    return Said(place, told.get("device_id"), (), at, told.get("accuracy"), told.get("speed"), 1, heading)


def point_of(feature: Any) -> list[Any]:
    geometry = feature.get("geometry") if isinstance(feature, dict) and feature.get("type") == "Feature" else None
    if not isinstance(geometry, dict) or not isinstance(geometry.get("type"), str):
        raise UnusableError("not_geojson")
    if geometry["type"] != "Point":
        raise UnusableError("not_a_point")
    numbers = geometry.get("coordinates")
    if not isinstance(numbers, list) or len(numbers) < 2 or not all(is_number(each) for each in numbers[:2]):
        raise UnusableError("bad_coordinates")
    return numbers


def of_list_member(member: Any) -> Said:
    if isinstance(member, dict) and "_type" in member:
        return of_owntracks(member)
    return of_feature(member)


def of_owntracks(told: dict[str, Any]) -> Said:
    """Owntracks.org/booklet/tech/json: `vel` is in kilometres an hour, `tst` in seconds."""
    if told["_type"] in BESIDE_LOCATIONS:
        raise IgnoredError
    if told["_type"] != "location":
        raise UnusableError("not_geojson")
    place = [told.get("lon"), told.get("lat"), told.get("alt")]
    hints = told.get("topic"), told.get("tid")
    kmh = 1 / 3.6
    return Said(place, None, hints, told.get("tst"), told.get("acc"), told.get("vel"), kmh, told.get("cog"), True)  # noqa: FBT003


def of_traccar(told: Any, device: Any) -> Said:
    """Metres a second, and -1 for what is not known."""
    if not isinstance(told, dict) or not isinstance(told.get("coords"), dict):
        raise UnusableError("not_geojson")
    coords = told["coords"]
    place = [coords.get(name) for name in ("longitude", "latitude", "altitude")]
    measures = coords.get("accuracy"), coords.get("speed"), 1, coords.get("heading")
    return Said(place, device, (), told.get("timestamp"), *measures)


def of_overland(feature: Any) -> Said:
    """A Feature whose properties have other names; an empty `device_id` is none."""
    place = point_of(feature)
    told = feature.get("properties") or {}
    if "action" in told or told.get("type") == "trip":
        raise IgnoredError
    if "altitude" in told:
        place = [*place[:2], told["altitude"]]
    measures = told.get("horizontal_accuracy"), told.get("speed"), 1, told.get("course")
    return Said(place, told.get("device_id") or None, (told.get("unique_id"),), told.get("timestamp"), *measures)


def of_flat(told: dict[str, Any]) -> Said:
    """What GPSLogger is told to send: texts throughout."""
    place = [told["lon"], told["lat"], told.get("alt")]
    measures = told.get("acc"), told.get("spd"), 1, told.get("dir"), True
    return Said(place, told.get("device"), (told.get("aid"),), told.get("timestamp"), *measures)


def meant(said: Said, message: RawMessage) -> Reading:
    """The position that is meant, in our units."""
    at = time_of(said.at, message.received_at)
    if message.role in ("car", "mobile", "anonymous") and at < message.received_at - 7 * 86_400_000:
        raise UnusableError("too_old")
    accuracy, speed = measure_of(said.accuracy, 0, 1e7), measure_of(said.speed, 0, 1000 / said.metres_a_second)
    return Reading(
        coordinates_of(said.place),
        device_of(said, message),
        at,
        None if said.zero_is_none and accuracy == 0 else accuracy,
        None if speed is None else speed * said.metres_a_second,
        measure_of(said.heading, 0, 360),
    )


def coordinates_of(place: list[Any]) -> list[float]:
    """Longitude, latitude, and altitude if there is one that can be."""
    try:
        longitude, latitude = float(place[0]), float(place[1])
    except (TypeError, ValueError):
        raise UnusableError("bad_coordinates") from None
    if abs(longitude) > 180 or abs(latitude) > 90:
        raise UnusableError("bad_coordinates")
    altitude = measure_of(place[2] if len(place) > 2 else None, -12_000, 1e6)
    return [longitude, latitude] if altitude is None else [longitude, latitude, altitude]


def is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def time_of(stamp: Any, received_at: int) -> int:
    """Milliseconds since the epoch."""
    if stamp is None:
        return received_at
    if not is_number(stamp) and not isinstance(stamp, str):
        raise UnusableError("bad_property")
    at = of_text(stamp) if isinstance(stamp, str) and not stamp.isdigit() else of_number(int(stamp))
    if at < 0:
        raise UnusableError("bad_property")
    if at > received_at + 300_000:
        raise UnusableError("future_timestamp")
    return at


def of_text(stamp: str) -> int:
    try:
        moment = datetime.fromisoformat(stamp.upper())
    except ValueError:
        raise UnusableError("bad_property") from None
    if moment.tzinfo is None:
        raise UnusableError("bad_property")
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return since.days * 86_400_000 + since.seconds * 1000 + since.microseconds // 1000


def of_number(number: int) -> int:
    """In seconds where it has up to eleven digits; three more are milliseconds, and so on."""
    if number >= 10**20:
        raise UnusableError("bad_property")
    if number < 100_000_000_000:
        return number * 1000
    while number >= 100_000_000_000_000:
        number //= 1000
    return number


def measure_of(value: Any, least: float, most: float) -> float | None:
    """Not known where it is missing or out of its range."""
    if value is None or value == "":
        return None
    if not is_number(value) and not isinstance(value, str):
        raise UnusableError("bad_property")
    try:
        number = float(value)
    except ValueError:
        raise UnusableError("bad_property") from None
    return number if least <= number <= most else None


def device_of(said: Said, message: RawMessage) -> str:
    """Whose position it is."""
    own = message.user if message.role in ("car", "mobile") else None
    named = str(said.names) if is_number(said.names) else said.names
    if named is None:
        named = own or next((str(hint) for hint in said.hints if hint), None)
    if named is None:
        raise UnusableError("no_device")
    if not isinstance(named, str) or not named.strip() or len(named) > 128:
        raise UnusableError("bad_property")
    if own is not None and named != own:
        raise UnusableError("wrong_device")
    return named
