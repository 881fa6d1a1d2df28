"""How devices write positions: the same in base64, plain, zipped, or as an app has it."""

import base64
import gzip
import json
from collections.abc import Callable
from random import Random
from typing import Any

Feature = dict[str, Any]


def written(random: Random, body: Any) -> bytes:  # noqa: ANN401 - GeoJSON of any kind
    """A message that holds GeoJSON, in one of the ways in which it may be sent; most as most do."""
    if random.random() < 0.3:
        body = _in_an_apps_words(random, body)
    text = json.dumps(body).encode()
    return random.choice(_WRAPPINGS)(text) if random.random() < 0.4 else base64.b64encode(text)


_WRAPPINGS: list[Callable[[bytes], bytes]] = [
    bytes,
    lambda text: b"\xef\xbb\xbf" + text + b"\0",
    base64.urlsafe_b64encode,
    lambda text: base64.b64encode(text).rstrip(b"="),
    base64.encodebytes,
    lambda text: gzip.compress(text, mtime=0),
    lambda text: base64.b64encode(gzip.compress(text, mtime=0)),
    lambda text: base64.b64encode(base64.b64encode(text)),
]


def _in_an_apps_words(random: Random, body: Any) -> Any:  # noqa: ANN401
    """As an app would have it, where it has words for it."""
    if body["type"] == "FeatureCollection":
        if not all(map(_is_sound, body["features"])):
            return body["features"]
        overland = random.random() < 0.5
        return {"locations": [_overland(each) for each in body["features"]]} if overland else body["features"]
    if not _is_sound(body):
        return body
    return random.choice(_WORDS)(body)


def _is_sound(feature: Any) -> bool:  # noqa: ANN401
    """Whether it is a Feature that has but what all apps have a word for."""
    if not isinstance(feature, dict) or feature.get("type") != "Feature":
        return False
    geometry, properties = feature["geometry"], feature["properties"]
    return isinstance(properties, dict) and isinstance(geometry, dict) and geometry["type"] == "Point"


def _owntracks(feature: Feature) -> Any:  # noqa: ANN401
    told = feature["properties"]
    if "timestamp" in told and not isinstance(told["timestamp"], int):
        return feature
    said = _named(
        feature, longitude="lon", latitude="lat", altitude="alt", timestamp="tst", accuracy="acc", speed="vel"
    )
    return {"_type": "location", "tid": "xx", **said, "topic": told.get("device_id"), "cog": told.get("heading")}


def _traccar(feature: Feature) -> Feature:
    told = feature["properties"]
    coords = _named(feature, longitude="longitude", latitude="latitude", altitude="altitude", accuracy="accuracy")
    coords |= {"speed": told.get("speed", -1), "heading": told.get("heading", -1)}
    return {
        "location": {"timestamp": told.get("timestamp"), "coords": coords},
        "device_id": told.get("device_id"),
    }


def _flat(feature: Feature) -> Feature:
    """All of it texts, as where somebody has filled in a form."""
    said = _named(feature, longitude="lon", latitude="lat", altitude="alt", timestamp="timestamp", accuracy="acc")
    said |= {"spd": feature["properties"].get("speed"), "aid": feature["properties"].get("device_id")}
    return {name: value if value is None or isinstance(value, float) else str(value) for name, value in said.items()}


def _gpslogger(feature: Feature) -> Feature:
    told = dict(feature["properties"])
    if "timestamp" not in told:
        return feature
    told |= {"provider": "gps", "time_long": told.pop("timestamp"), "bearing": told.pop("heading", None)}
    return feature | {"properties": told}


def _overland(feature: Feature) -> Feature:
    told = feature["properties"]
    properties = {"device_id": told.get("device_id", ""), "unique_id": "9C-1", "timestamp": told.get("timestamp")}
    properties |= {
        "horizontal_accuracy": told.get("accuracy"),
        "speed": told.get("speed"),
        "course": told.get("heading"),
    }
    return feature | {"properties": properties}


def _named(feature: Feature, **names: str) -> Feature:
    """What a feature says, by other names; what it does not say is not there."""
    said = dict(zip(("longitude", "latitude", "altitude"), feature["geometry"]["coordinates"], strict=False))
    said |= feature["properties"]
    return {names[name]: value for name, value in said.items() if name in names}


_WORDS: list[Callable[[Feature], Any]] = [_owntracks, _traccar, _flat, _gpslogger, lambda feature: [feature]]
