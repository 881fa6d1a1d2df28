"""What one message, device, connection and window costs: read from what the benchmarks have measured."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

UNITS = Path(__file__).with_name("units.json")
Points = Sequence[tuple[float, float]]
"""Where something was measured, and what it was, by the first."""


@dataclass(frozen=True, slots=True)
class Curve:
    """What was measured at some places, above 0; between them it is a straight line, both axes by tens."""

    points: Points

    def __call__(self, at: float) -> float:
        """The value at a place; beyond the first and the last one, theirs."""
        points = sorted(self.points)
        if at <= points[0][0]:
            return points[0][1]
        for (left, low), (right, high) in pairwise(points):
            if at <= right:
                share = math.log(at / left) / math.log(right / left)
                return float(low * (high / low) ** share)
        return points[-1][1]


@dataclass(frozen=True, slots=True)
class Units:
    """All that the model takes. Times are of one processor, in microseconds; memory is in bytes."""

    append_us: Curve
    """Of Redis, for a message, by the messages a second that one node has for one partition."""
    entry_messages: Curve
    """Messages of an entry, by the same."""
    observe_us: Curve
    """Of Redis, for a message that is read, counted and finished, by the messages a second of the decoder that does it:
    the more there are, the more have come since its last round. The last is where it is never without any."""
    decoder_us: Curve
    """Of a decoder (observe), likewise."""
    archive_us: float
    """Of a decoder, for a position that becomes a document in SQLite."""
    node_us: Curve
    """Of a node, for a message of a device that sends one at a time, by the messages a second of the node."""
    node_idle: float
    """Part of a processor that a node uses when nothing is sent."""
    node_idle_redis: float
    """The same of the master that has `{mqtt}`, for a node."""
    connect_us: float
    """Of the master that has `{mqtt}`, for a connection that begins and ends."""
    connection_node_bytes: float
    connection_redis_bytes: float
    """On the master that has `{mqtt}`."""
    device_minute_bytes: Curve
    """What a device was seen in and the counters, by how many devices there are."""
    device_bytes: Curve
    """Where a device is now, by how many there are."""
    look_ms: Curve
    """Of the API, by the number of zones."""
    window_us: float
    """Of a decoder (roll-up), for a window."""
    window_redis_us: float
    machine: str


def load_units(path: Path = UNITS) -> Units:
    """What `python -m bench.state --write-units` has written. Raises OSError, ValueError or KeyError."""
    return units_of(json.loads(path.read_text(encoding="utf-8")))


def units_of(found: dict[str, Any]) -> Units:
    """From the results of `bench.state` and `bench.capacity.node`."""
    sizes, batches, node = found["sizes"], found["batches"], found["node"]
    single = [size for size in sizes if size["masters"] == 1]
    few_zones = min(size["zones"] for size in single)
    by_devices = [size for size in single if size["zones"] == few_zones]

    def over(name: str, rows: Sequence[dict[str, Any]], by: str) -> Curve:
        return Curve([(row[by], row["now"][name]) for row in rows if name in row["now"]])

    def rates(name: str) -> Curve:
        return Curve([(row["messages, 1/s"], row[name]) for row in node["rates"]])

    def live(name: str) -> Curve:
        most = max(batches, key=lambda row: float(row["batch"]))
        return Curve([*rates(name).points, (1e6 / most["decoder us/message"], most[name])])

    return Units(
        append_us=rates("append, Redis us/message"),
        entry_messages=rates("messages/entry"),
        observe_us=live("observe, Redis us/message"),
        decoder_us=live("decoder us/message"),
        archive_us=found["archive, decoder us/message"],
        node_us=rates("node us/message"),
        node_idle=node["node, idle, share of a processor"],
        node_idle_redis=node["Redis for an idle node, share of a processor"],
        connect_us=node["connect, Redis us"],
        connection_node_bytes=node["node bytes/connection"],
        connection_redis_bytes=node["Redis bytes/connection"],
        device_minute_bytes=over("windows, bytes/device-minute", by_devices, "devices"),
        device_bytes=over("where they are, bytes/device", by_devices, "devices"),
        look_ms=over("look, API ms", single, "zones"),
        window_us=single[0]["now"]["roll-up, decoder us/window"],
        window_redis_us=single[0]["now"]["roll-up, Redis us/window"],
        machine=found["machine"],
    )
