# ruff: noqa: ANN401 - it looks at JSON that may be anything
"""What the system must come to, computed in the plainest way: one message after the other, one zone after the other.

It shares no code with the system beyond the message that a broker hands on: what both had in common, a test of one
against the other could not see.
"""

import base64
import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import shapely

from core.messages import RawMessage

CAMPUS = Path(__file__).parents[2] / "geofence" / "campus" / "university-of-limerick.geojson"
DUBLIN = ZoneInfo("Europe/Dublin")
WIDTHS = {"1m": 60_000, "5m": 300_000, "1h": 3_600_000}

Window = tuple[str, int, str, str]
"""Width, start in milliseconds since the epoch, zone, kind."""


class Content(NamedTuple):
    """What a document says."""

    kind: str
    device: str
    coordinates: tuple[float, ...]
    zones: tuple[str, ...]
    observed_at: str
    received_at: str
    accuracy: float | None
    speed: float | None
    heading: float | None
    inaccurate: bool


class UnusableError(Exception):
    """Its text is the reason."""


def load_shapes() -> dict[str, Any]:
    """The outlines of the default campus and its zones by id, the campus itself first."""
    features = json.loads(CAMPUS.read_text())["features"]
    features.sort(key=lambda feature: (feature["properties"]["role"] != "boundary", feature["id"]))
    return {feature["id"]: shapely.geometry.shape(feature["geometry"]) for feature in features}


@dataclass(slots=True)
class Truth:
    """What the messages so far amount to."""

    key: bytes
    shapes: dict[str, Any] = field(default_factory=load_shapes)
    documents: dict[str, set[Content]] = field(default_factory=lambda: defaultdict(set))
    """By id, everything that the document may say: of what a device sends twice for one millisecond either may stay."""
    windows: dict[Window, set[str]] = field(default_factory=lambda: defaultdict(set))
    newest: dict[str, tuple[int, str, str]] = field(default_factory=dict)
    """By device: event time, zones joined by commas, kind. Of two of the same time the greater zones count."""
    left: dict[str, int] = field(default_factory=dict)
    """By device: newest event time outside the campus. Of a place inside and one outside of the same time, inside."""
    totals: Counter[str] = field(default_factory=Counter)

    def add(self, message: RawMessage) -> None:
        """Take one more message into account."""
        self.totals["messages"] += 1
        try:
            for feature in features_of(message):
                try:
                    self._add(feature, message)
                except UnusableError as reason:
                    self.totals[f"dead:{reason}"] += 1
        except UnusableError as reason:
            self.totals[f"dead:{reason}"] += 1

    def presence(self, now: int, ttl: int) -> dict[tuple[str, str], int]:
        """Devices by zone and kind at `now` (milliseconds); `ttl` in seconds."""
        present: Counter[tuple[str, str]] = Counter()
        for device, (at, zones, kind) in self.newest.items():
            if at > now - ttl * 1000 and at >= self.left.get(device, -1):
                present.update((zone, kind) for zone in zones.split(","))
        return dict(present)

    def _add(self, feature: Any, message: RawMessage) -> None:
        coordinates = coordinates_of(feature)
        properties = properties_of(feature)
        at = time_of(properties.get("timestamp"), message.received_at)
        if message.role in ("car", "mobile", "anonymous") and at < message.received_at - 7 * 86_400_000:
            raise UnusableError("too_old")
        accuracy, speed, heading = (measure_of(properties.get(name)) for name in ("accuracy", "speed", "heading"))
        name = device_of(properties.get("device_id"), message)
        point = shapely.Point(coordinates[:2])
        zones = [zone for zone, shape in self.shapes.items() if shape.covers(point)]
        kind = "car" if message.topic.startswith("car-iotp") else "mobile"
        device = hashlib.blake2b(f"{kind}\0{name}".encode(), digest_size=16, key=self.key).hexdigest()
        metres = accuracy or 0
        if "campus" not in zones:
            self.totals["outside"] += 1
            if metres <= 1000:
                self.left[device] = max(self.left.get(device, -1), at)
            return
        if metres > 100:
            zones = ["campus"] if metres <= 1000 else []
        self.totals["positions"] += 1
        content = Content(
            kind,
            device,
            tuple(coordinates),
            tuple(zones),
            written(at),
            written(message.received_at),
            accuracy,
            speed,
            heading,
            metres > 100,
        )
        self.documents[f"{device}-{at:015d}"].add(content)
        for zone in zones:
            for width, start in windows_at(at):
                self.windows[width, start, zone, kind].add(device)
        if zones:
            self.newest[device] = max(self.newest.get(device, (-1, "", "")), (at, ",".join(zones), kind))


def _refuse(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def features_of(message: RawMessage) -> Iterator[Any]:
    """What a payload holds, as Features."""
    if message.refused is not None:
        raise UnusableError(message.refused.value)
    if message.topic.split("/")[0] not in ("car-iotp", "mobile-iotp"):
        raise UnusableError("unknown_topic")
    try:
        text = base64.b64decode(message.payload, validate=True)
    except ValueError:
        raise UnusableError("not_base64") from None
    try:
        found = json.loads(text.decode(), parse_constant=_refuse)
    except ValueError:
        raise UnusableError("not_json") from None
    kind = found.get("type") if isinstance(found, dict) else None
    if kind == "Point":
        yield {"type": "Feature", "geometry": found}
    elif kind == "Feature":
        yield found
    elif kind == "FeatureCollection" and isinstance(found.get("features"), list):
        if len(found["features"]) > 500:
            raise UnusableError("too_many_features")
        yield from found["features"]
    else:
        raise UnusableError("not_a_point" if kind in ("Polygon", "LineString", "MultiPoint") else "not_geojson")


def coordinates_of(feature: Any) -> list[float]:
    """Longitude, latitude, and altitude if there is one."""
    geometry = feature.get("geometry") if isinstance(feature, dict) and feature.get("type") == "Feature" else None
    if not isinstance(geometry, dict) or not isinstance(geometry.get("type"), str):
        raise UnusableError("not_geojson")
    if geometry["type"] != "Point":
        raise UnusableError("not_a_point")
    numbers = geometry.get("coordinates")
    if not isinstance(numbers, list) or len(numbers) not in (2, 3) or not all(is_number(each) for each in numbers):
        raise UnusableError("bad_coordinates")
    if abs(numbers[0]) > 180 or abs(numbers[1]) > 90:
        raise UnusableError("bad_coordinates")
    return [float(number) for number in numbers]


def properties_of(feature: Any) -> Any:
    """The properties; none is as good as null."""
    properties = feature.get("properties")
    if properties is not None and not isinstance(properties, dict):
        raise UnusableError("bad_property")
    return properties or {}


def is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def time_of(stamp: Any, received_at: int) -> int:
    """Milliseconds since the epoch."""
    if stamp is None:
        return received_at
    if isinstance(stamp, str):
        try:
            moment = datetime.fromisoformat(stamp.upper())
        except ValueError:
            raise UnusableError("bad_property") from None
        if moment.tzinfo is None:
            raise UnusableError("bad_property")
        since = moment - datetime(1970, 1, 1, tzinfo=UTC)
        at = since.days * 86_400_000 + since.seconds * 1000 + since.microseconds // 1000
    elif is_number(stamp):
        at = int(stamp)
    else:
        raise UnusableError("bad_property")
    if at < 100_000_000_000:
        raise UnusableError("bad_property")
    if at > received_at + 300_000:
        raise UnusableError("future_timestamp")
    return at


def measure_of(value: Any) -> float | None:
    """Not known where it is missing or negative."""
    if value is not None and not is_number(value):
        raise UnusableError("bad_property")
    return None if value is None or value < 0 else float(value)


def device_of(named: Any, message: RawMessage) -> str:
    """Whose position it is."""
    own = message.user if message.role in ("car", "mobile") else None
    if named is None and own is None:
        raise UnusableError("no_device")
    if named is not None and (not isinstance(named, str) or not 1 <= len(named) <= 128):
        raise UnusableError("bad_property")
    if named is not None and own is not None and named != own:
        raise UnusableError("wrong_device")
    return named or own or ""


def windows_at(at: int) -> Iterator[tuple[str, int]]:
    """Width and start of each window that holds a time."""
    for width, length in WIDTHS.items():
        yield width, at // length * length
    midnight = datetime.fromtimestamp(at // 1000, DUBLIN).replace(hour=0, minute=0, second=0, fold=0)
    yield "1d", int(midnight.timestamp()) * 1000


def written(at: int) -> str:
    """RFC 3339 with three decimals."""
    return f"{datetime.fromtimestamp(at // 1000, UTC):%Y-%m-%dT%H:%M:%S}.{at % 1000:03d}Z"
