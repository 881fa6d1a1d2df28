"""What the system must come to, computed in the plainest way: one message after the other, one zone after the other.

It shares no code with the system beyond the message that a broker hands on: what both had in common, a test of one
against the other could not see.
"""

import hashlib
import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import shapely
import shapely.affinity

from core.messages import RawMessage
from tests.oracle.believed import SURE, Said, believed
from tests.oracle.plain_reading import IgnoredError, Reading, UnusableError, readings_of

CAMPUS = Path(__file__).parents[2] / "geofence" / "campus" / "university-of-limerick.geojson"
DUBLIN = ZoneInfo("Europe/Dublin")
METRES_NORTH = 111_200.0
MARGIN, ASSUMED_ACCURACY, LEAST_ACCURATE = 3, 5, 50
"""A position is sure of an edge that is so many times its accuracy away; metres where it says none, and the most that
counts."""
FIXES_IN_A_ROW, FIXES_KEPT = 12, 256
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


def load_shapes() -> dict[str, Any]:
    """The outlines of the default campus and its zones by id, the campus itself first."""
    features = json.loads(CAMPUS.read_text())["features"]
    features.sort(key=lambda feature: (feature["properties"]["role"] != "boundary", feature["id"]))
    return {feature["id"]: shapely.geometry.shape(feature["geometry"]) for feature in features}


@dataclass(slots=True)
class Truth:
    """What the messages so far amount to."""

    key: bytes
    zone: ZoneInfo = DUBLIN
    """Whose days there are."""
    keys: dict[int, bytes] | None = None
    """Where keys rotate: what that of each day is made of, by the day's first millisecond. Who sends is a part of who
    a device is then, too."""
    shapes: dict[str, Any] = field(default_factory=load_shapes)
    documents: dict[str, set[Content]] = field(default_factory=lambda: defaultdict(set))
    """By id, everything that the document may say: of what a device sends twice for one millisecond either may stay."""
    windows: dict[Window, set[str]] = field(default_factory=lambda: defaultdict(set))
    said: dict[tuple[str, str], list[Said]] = field(default_factory=lambda: defaultdict(list))
    """By kind and device, all that its positions on the campus say of zones."""
    left: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    """By device: event times surely outside the campus. Of a place inside and one outside of the same time, inside."""
    totals: Counter[str] = field(default_factory=Counter)
    edges: dict[str, Any] = field(default_factory=dict)
    """The outlines in metres."""

    def add(self, message: RawMessage) -> None:
        """Take one more message into account."""
        self.totals["messages"] += 1
        try:
            for reading in readings_of(message):
                if isinstance(reading, UnusableError):
                    self.totals[f"dead:{reading}"] += 1
                elif isinstance(reading, IgnoredError):
                    self.totals["ignored"] += 1
                else:
                    self._add(reading, message)
        except UnusableError as reason:
            self.totals[f"dead:{reason}"] += 1
        except IgnoredError:
            self.totals["ignored"] += 1

    def presence(self, now: int, ttl: int) -> dict[tuple[str, str], int]:
        """Devices by zone and kind at `now` (milliseconds); `ttl` in seconds.

        Nothing may have been processed later than it was sent by more than that.
        """
        present: Counter[tuple[str, str]] = Counter()
        for (kind, device), said in self.said.items():
            lately = [each for each in said if each.at > now - ttl * 1000]
            zones = believed(lately, self.left[device], fixes=FIXES_IN_A_ROW, keep=FIXES_KEPT, ttl=ttl * 1000)
            present.update((zone, kind) for zone in zones or ())
        return dict(present)

    def _add(self, reading: Reading, message: RawMessage) -> None:
        coordinates, name, at, accuracy, speed, heading = reading
        point = shapely.Point(coordinates[:2])
        zones = [zone for zone, shape in self.shapes.items() if shape.covers(point)]
        kind = "car" if message.topic.startswith("car-iotp") else "mobile"
        source = "" if message.role == kind else f"{message.role}:{message.user}".rstrip(":")
        device = self._hash(kind, name, source, at)
        metres = accuracy or 0
        if "campus" not in zones:
            is_sure = metres <= 1000 and self._metres_to_edge("campus", point) >= reach_of(metres)
            self.totals["dead:too_old" if is_sure and device is None else "outside"] += 1
            if is_sure and device is not None:
                self.left[device].append(at)
                self._leaves_before(kind, name, source, at)
            return
        if device is None:
            self.totals["dead:too_old"] += 1
            return
        said = Said(at, tuple(zones), self._margins(zones, point, reach_of(metres)))
        if metres > 100:
            said = Said(at, ("campus",), None)
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
            for width, start in windows_at(at, self.zone):
                self.windows[width, start, zone, kind].add(device)
        if zones:
            self.said[kind, device].append(said)
            self._leaves_before(kind, name, source, at)

    def _hash(self, kind: str, name: str, source: str, at: int) -> str | None:
        """None where the key of that time is gone."""
        key = self.key
        if self.keys is not None:
            secret = self.keys.get(midnight_before(at, self.zone))
            if secret is None:
                return None
            key = hashlib.blake2b(secret, digest_size=32, key=key, person=b"epoch").digest()
            if source:
                key = hashlib.blake2b(source.encode(), digest_size=32, key=key, person=b"source").digest()
        return hashlib.blake2b(f"{kind}\0{name}".encode(), digest_size=16, key=key).hexdigest()

    def _leaves_before(self, kind: str, name: str, source: str, at: int) -> None:
        """What was under the hash of the day before is nobody else: it counts no more from then on."""
        if self.keys is not None:
            before = self._hash(kind, name, source, midnight_before(at, self.zone) - 1)
            if before is not None:
                self.left[before].append(at)

    def _margins(self, zones: list[str], point: shapely.Point, reach: float) -> tuple[tuple[str, int], ...]:
        """What a place says of zones, where it is not sure of all of them."""
        margins: dict[str, int] = {}
        sure = True
        for zone in self.shapes:
            share = self._metres_to_edge(zone, point) / reach
            if zone != "campus" and (share < 1 or zone in zones):
                sure = sure and share >= 1
                whole = min(int(share * SURE), SURE)
                margins[zone] = whole if zone in zones else -max(whole, 1)
        return () if sure else tuple(sorted(margins.items()))

    def _metres_to_edge(self, zone: str, point: shapely.Point) -> float:
        """On a plane that touches the earth where the campus is."""
        _, south, _, north = self.shapes["campus"].bounds
        east = METRES_NORTH * math.cos(math.radians((south + north) / 2))
        if zone not in self.edges:
            edge = self.shapes[zone].boundary
            self.edges[zone] = shapely.affinity.scale(edge, east, METRES_NORTH, origin=(0, 0))
        return float(self.edges[zone].distance(shapely.Point(point.x * east, point.y * METRES_NORTH)))


def reach_of(metres: float) -> float:
    """How far, in metres, a position of that accuracy may be wrong."""
    return MARGIN * min(metres or ASSUMED_ACCURACY, LEAST_ACCURATE)


def windows_at(at: int, zone: ZoneInfo = DUBLIN) -> Iterator[tuple[str, int]]:
    """Width and start of each window that holds a time."""
    for width, length in WIDTHS.items():
        yield width, at // length * length
    yield "1d", midnight_before(at, zone)


def midnight_before(at: int, zone: ZoneInfo) -> int:
    """The first millisecond of a day, by any time in it."""
    midnight = datetime.fromtimestamp(at // 1000, zone).replace(hour=0, minute=0, second=0, fold=0)
    return int(midnight.timestamp()) * 1000


def written(at: int) -> str:
    """RFC 3339 with three decimals."""
    return f"{datetime.fromtimestamp(at // 1000, UTC):%Y-%m-%dT%H:%M:%S}.{at % 1000:03d}Z"
