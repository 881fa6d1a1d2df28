"""Traffic that could have been: cars and phones on and around the campus, and all that goes wrong on the way.

The same parameters give the same messages, in the same order.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import Any

from hypothesis import strategies as st

from core.kinds import DEFAULT_KINDS, KindId
from core.messages import RawMessage
from tests.kinds_of_tests import CAR, MOBILE
from tests.oracle.corrupt import bad_feature, bad_message
from tests.oracle.naive import load_shapes
from tests.oracle.writing import written

PRESENT = int(datetime(2026, 3, 29, 12, tzinfo=UTC).timestamp()) * 1000
"""No message is received later; a day on which clocks went forward."""
MOMENTS = [
    int(datetime.fromisoformat(text).timestamp()) * 1000
    for text in (
        "2026-03-29T01:00Z",  # clocks go forward
        "2026-03-29T00:00Z",  # and this was the midnight before
        "2026-03-27T00:00Z",  # an ordinary midnight
        "2025-10-25T23:00Z",  # the midnight before the clocks went back
        "2025-10-26T01:00Z",  # when they did
        "2025-10-27T00:00Z",  # the midnight after
    )
]
"""Times around which some devices were out, in milliseconds since the epoch."""
HOUR_MS = 3_600_000
METRES_A_DEGREE = 111_320.0
SPEEDS = {CAR: (2.0, 15.0), MOBILE: (0.5, 2.0)}
"""Metres a second."""
_SHAPES = load_shapes()
_CENTRE = _SHAPES["campus"].centroid
_EAST = METRES_A_DEGREE * math.cos(math.radians(_CENTRE.y))

Feature = dict[str, Any]
Place = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Sender:
    """A device and how it sends: for itself, as nobody in particular, or through a gateway."""

    device: str
    kind: KindId
    role: str

    @property
    def user(self) -> str:
        """The MQTT user."""
        return {"anonymous": "", "gateway": "gateway-1"}.get(self.role, self.device)

    def message(self, payload: bytes, received_at: int, below: str = "") -> RawMessage:
        """A message on the topic of the kind, or below it."""
        return RawMessage(f"{self.kind}-iotp{below}", self.user, self.role, received_at, payload)


@dataclass(frozen=True, slots=True)
class Traffic:
    """The parameters; rates are from 0 to 1."""

    seed: int
    devices: int = 20
    fixes: int = 100
    """Fixes of each device."""
    twice: float = 0.1
    """Messages that are delivered again, some of them much later."""
    late: float = 0.1
    """Messages that were up to an hour on their way."""
    offline: float = 0.1
    """Fixes after which a device was offline, and then sent several at once."""
    corrupt: float = 0.1
    """Unusable messages for each usable one, and unusable features among those sent at once."""
    disorder: float = 0.2
    """Messages that were overtaken by others."""
    prefix: str = ""
    """Begins the name of each device."""

    def messages(self) -> list[RawMessage]:
        """All messages, in the order in which they are delivered."""
        random = Random(self.seed)  # noqa: S311 - to be repeatable, not secret
        sent = [message for number in range(self.devices) for message in self._of_device(random, number)]
        sent += [_again(random, message) for message in sent if random.random() < self.twice]
        order = [
            message.received_at if random.random() >= self.disorder else random.uniform(MOMENTS[3], PRESENT)
            for message in sent
        ]
        return [sent[index] for index in sorted(range(len(sent)), key=order.__getitem__)]

    def _of_device(self, random: Random, number: int) -> Iterator[RawMessage]:
        kind = random.choice(DEFAULT_KINDS.ids)
        role = random.choice(["anonymous", "gateway", kind])
        sender = Sender(f"{self.prefix}{kind}-{number}", kind, role)
        journey = list(_journey(random, kind, self.fixes))
        # Three in five are there now, or were a short while ago.
        end = PRESENT - random.randrange(900_000)
        if random.random() >= 0.6:
            end = random.choice(MOMENTS) + random.randrange(journey[-1][0] + 1)
        start = end - journey[-1][0]
        kept: list[tuple[int, Place]] = []
        at_once = 1
        for offset, place in journey:
            if not kept:
                at_once = random.randint(2, 12) if random.random() < self.offline else 1
            kept.append((start + offset, place))
            if len(kept) == at_once or offset == journey[-1][0]:
                yield from self._deliver(random, sender, kept)
                kept = []

    def _deliver(self, random: Random, sender: Sender, fixes: list[tuple[int, Place]]) -> Iterator[RawMessage]:
        delay = random.randrange(HOUR_MS) if random.random() < self.late else random.randrange(3000)
        received_at = min(fixes[-1][0] + delay, PRESENT)
        below = random.choice(["", "", "", "/west/1"])
        features = [_feature(random, sender, at, place) for at, place in fixes]
        good = features[0]
        if len(features) > 1:
            if random.random() < self.corrupt:
                features.insert(random.randrange(len(features)), bad_feature(random, good, received_at))
            body: Feature = {"type": "FeatureCollection", "features": features}
        elif sender.role not in {"anonymous", "gateway"} and random.random() < 0.1:
            body = features[0]["geometry"]
        else:
            (body,) = features
        yield sender.message(written(random, body), received_at, below)
        if random.random() < self.corrupt:
            yield bad_message(random, sender.message(b"", received_at, below), good)


def _journey(random: Random, kind: KindId, fixes: int) -> Iterator[tuple[int, Place]]:
    """Milliseconds since the start, and place: from one goal to the next, mostly on the campus."""
    place, goal, now = _goal(random), _goal(random), 0
    speed = random.uniform(*SPEEDS[kind])
    every = random.choice([1000, 5000, 15_000, 60_000])
    for _ in range(fixes):
        yield now, place
        interval = every + random.randrange(1, 1000)
        now += interval
        east, north = (goal[0] - place[0]) * _EAST, (goal[1] - place[1]) * METRES_A_DEGREE
        share = speed * interval / 1000 / (math.hypot(east, north) or 1.0)
        if share >= 1:
            place, goal, speed = goal, _goal(random), random.uniform(*SPEEDS[kind])
        else:
            place = (
                round(place[0] + share * (goal[0] - place[0]), 7),
                round(place[1] + share * (goal[1] - place[1]), 7),
            )


def _goal(random: Random) -> Place:
    """A zone's middle, a corner of its outline exactly, or somewhere up to 1.5 km around, often off the campus."""
    shape = random.choice(list(_SHAPES.values()))
    match random.randrange(4):
        case 0:
            longitude, latitude = random.choice(shape.exterior.coords)[:2]
            return longitude, latitude
        case 1:
            east, north = random.uniform(-1500, 1500), random.uniform(-1500, 1500)
            return round(_CENTRE.x + east / _EAST, 7), round(_CENTRE.y + north / METRES_A_DEGREE, 7)
        case _:
            middle = shape.centroid
            return (
                round(middle.x + random.uniform(-25, 25) / _EAST, 7),
                round(middle.y + random.uniform(-25, 25) / METRES_A_DEGREE, 7),
            )


def _feature(random: Random, sender: Sender, at: int, place: Place) -> Feature:
    coordinates: list[Any] = [*place, round(random.uniform(0, 40), 1)] if random.random() < 0.2 else list(place)
    if random.random() < 0.05:
        more: list[list[Any]] = [[None], [3, 1_774_785_600], [-20_000]]
        coordinates = [*place, *random.choice(more)]
    properties: dict[str, Any] = {"timestamp": _stamp(random, at)}
    if sender.role in {"anonymous", "gateway"} or random.random() < 0.5:
        properties["device_id"] = sender.device
    for name, most in (("accuracy", 50), ("speed", 20), ("heading", 359)):
        if random.random() < 0.3:
            properties[name] = random.choice([-1, random.randrange(most), round(random.uniform(0, most), 2)])
    if random.random() < 0.1:
        properties["accuracy"] = random.choice([100, 100.5, 1000, 1001, 17_000])
    if random.random() < 0.05:
        properties |= random.choice(
            [{"heading": 725}, {"speed": 1e308}, {"accuracy": "12.5", "speed": "3"}, {"speed": ""}]
        )
    if random.random() < 0.1:
        properties["battery"] = {"level": 0.5, "cells": [1, None, "full"]}
    if random.random() < 0.05:
        del properties["timestamp"]
    return {"type": "Feature", "geometry": {"type": "Point", "coordinates": coordinates}, "properties": properties}


def _stamp(random: Random, at: int) -> str | int | float:
    """A time in one of the ways in which devices write it."""
    moment = datetime.fromtimestamp(at // 1000, UTC).replace(microsecond=at % 1000 * 1000)
    text = moment.isoformat(timespec="milliseconds")
    ways: list[str | int | float] = [
        at,
        at + 0.25,
        text,
        text.replace("+00:00", "Z"),
        text.replace("+00:00", "987z"),
        text.replace("+00:00", "-0000").replace("T", "t"),
        at * 1000 + 999,
        at * 1_000_000,
        str(at),
        at // 1000,
        f"{datetime.fromtimestamp(at // 1000 + 3600, UTC):%Y-%m-%dT%H:%M:%S}.{at % 1000:03d}+01:00",
    ]
    return random.choice(ways)


def _again(random: Random, message: RawMessage) -> RawMessage:
    """A second delivery: by a publisher that saw no acknowledgement, or of the very same entry."""
    delay = random.choice([0, random.randrange(1, 5000), random.randrange(HOUR_MS)])
    return RawMessage(
        message.topic,
        message.user,
        message.role,
        min(message.received_at + delay, PRESENT),
        message.payload,
        message.refused,
    )


_rates = st.sampled_from([0.0, 0.1, 0.5])

SMALL_TRAFFIC = st.builds(
    Traffic,
    seed=st.integers(0, 2**32 - 1),
    devices=st.integers(1, 6),
    fixes=st.integers(1, 30),
    twice=_rates,
    late=_rates,
    offline=_rates,
    corrupt=_rates,
    disorder=st.sampled_from([0.0, 0.2, 1.0]),
)
"""Up to some 300 messages."""
