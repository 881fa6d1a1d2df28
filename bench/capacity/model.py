"""The model: what a campus asks of each part, how many of it that takes, and which part is at its end first."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from bench.capacity.units import Units

SHARE = 0.6
"""Of a processor that is used in a usual minute: the rest is for bursts, and for whoever takes over from another."""
MEMORY_SHARE = 0.7
"""Of maxmemory, likewise: at 0.8 there is a warning, at 0.9 nothing new is taken."""
CONNECTIONS_OF_A_NODE = 20_000
"""BROKER_MAX_CONNECTIONS."""
DAYS_KEPT = 3
"""What is counted on a day lives for 48 hours after its end: so of three days at the most."""
ROLLUP_SECONDS = 10
KINDS, WIDTHS = 2, 4
MOST_PARTITIONS = 256


@dataclass(frozen=True, slots=True)
class Campus:
    """What is asked for."""

    devices: int
    """Connected at the busiest time."""
    every: float
    """Seconds between two positions of a device."""
    zones: int = 22
    hours: float = 8.0
    """How long a device is there on a day."""
    reconnects: float = 4.0
    """How often a device connects anew in an hour."""
    master_bytes: float = 8e9
    """`maxmemory` of a master."""

    @property
    def rate(self) -> float:
        """Messages a second."""
        return self.devices / self.every


@dataclass(frozen=True, slots=True)
class Plan:
    """What it takes."""

    campus: Campus
    masters: int
    partitions: int
    nodes: int
    decoders: int
    batch: float
    """Messages of an entry: what arrives at a node for a partition while the last append is under way."""
    redis_us: float
    """Of all masters, for a message, appended and counted."""
    redis_share: float
    """Of one processor, of the busiest master."""
    memory_bytes: float
    """Of all masters."""
    mqtt_bytes: float
    """Of the one master that has `{mqtt}`."""
    mqtt_share: float
    """Of its processor, for connections and nodes alone."""
    decoder_us: float
    look_ms: float
    windows_per_second: float


def plan(campus: Campus, units: Units, *, masters: int | None = None) -> Plan:
    """What a campus takes; with `masters` given, as many masters as that."""
    count, found = 1, _with(campus, units, masters or 1)
    while masters is None and (found.redis_share > SHARE or _fullest(found) > MEMORY_SHARE) and count < MOST_PARTITIONS:
        # A cluster has three masters at the least.
        count = max(3, count + 1)
        found = _with(campus, units, count)
    return found


def _with(campus: Campus, units: Units, masters: int) -> Plan:
    partitions = 1 if masters == 1 else min(MOST_PARTITIONS, 4 * masters)
    nodes = _nodes(campus, units)
    lane = campus.rate / nodes / partitions
    windows = campus.zones * KINDS * WIDTHS / ROLLUP_SECONDS
    decoders = _decoders(campus, units, windows)
    redis_us = units.append_us(lane) + units.observe_us(campus.rate / decoders)
    mqtt_share = campus.devices * campus.reconnects / 3600 * units.connect_us / 1e6 + nodes * units.node_idle_redis
    of_all = campus.rate * redis_us / 1e6 + windows * units.window_redis_us / 1e6
    minutes = campus.devices * campus.hours * 60 * DAYS_KEPT
    mqtt_bytes = campus.devices * units.connection_redis_bytes
    return Plan(
        campus=campus,
        masters=masters,
        partitions=partitions,
        nodes=nodes,
        decoders=decoders,
        batch=units.entry_messages(lane),
        redis_us=redis_us,
        # One of them has the connections besides.
        redis_share=of_all / masters + mqtt_share,
        memory_bytes=(
            minutes * units.device_minute_bytes(campus.devices)
            + campus.devices * units.device_bytes(campus.devices)
            + mqtt_bytes
        ),
        mqtt_bytes=mqtt_bytes,
        mqtt_share=mqtt_share,
        decoder_us=units.decoder_us(campus.rate / decoders),
        look_ms=units.look_ms(campus.zones),
        windows_per_second=windows,
    )


def _nodes(campus: Campus, units: Units) -> int:
    """As many as connections ask for, and more while each has too much to do."""
    count = max(2, math.ceil(campus.devices / CONNECTIONS_OF_A_NODE))
    while True:
        rate = campus.rate / count
        if rate * units.node_us(rate) / 1e6 + units.node_idle <= SHARE:
            return count
        count = math.ceil(count * 1.1) + 1


def _decoders(campus: Campus, units: Units, windows: float) -> int:
    """So many that each is busy for SHARE of the time: what one has more to do, it does in fewer rounds."""
    count = 1
    while True:
        rate = campus.rate / count
        of_rest = windows * units.window_us / 1e6 / count
        if rate * (units.decoder_us(rate) + units.archive_us) / 1e6 + of_rest <= SHARE:
            return count
        count = math.ceil(count * 1.05) + (count == 1)


def _fullest(found: Plan) -> float:
    """Part of maxmemory that the fullest master uses."""
    shared = (found.memory_bytes - found.mqtt_bytes) / found.masters
    return (shared + found.mqtt_bytes) / found.campus.master_bytes


@dataclass(frozen=True, slots=True)
class Limit:
    """A part that cannot be multiplied, or only as far as this."""

    what: str
    devices: int
    """With so many it is at its end."""


def limits(campus: Campus, units: Units) -> list[Limit]:
    """What is at its end first, as the number of devices grows; the rest of the campus stays as it is."""

    def end(full: Callable[[Campus], bool]) -> int:
        low, high = 1, 10**10
        while high - low > max(1, low // 1000):
            middle = (low + high) // 2
            low, high = (low, middle) if full(replace(campus, devices=middle)) else (middle, high)
        return high

    def one_redis(sized: Campus) -> bool:
        return _with(sized, units, 1).redis_share > SHARE

    def one_memory(sized: Campus) -> bool:
        return _fullest(_with(sized, units, 1)) > MEMORY_SHARE

    def mqtt_cpu(sized: Campus) -> bool:
        return _with(sized, units, MOST_PARTITIONS // 4).mqtt_share > SHARE

    def mqtt_memory(sized: Campus) -> bool:
        found = _with(sized, units, MOST_PARTITIONS // 4)
        return found.mqtt_bytes / sized.master_bytes > MEMORY_SHARE

    def cluster(sized: Campus) -> bool:
        found = _with(sized, units, MOST_PARTITIONS // 4)
        return found.redis_share > SHARE

    found = [
        Limit("one Redis: its processor", end(one_redis)),
        Limit("one Redis: its memory", end(one_memory)),
        Limit("the master of {mqtt}: memory for connections", end(mqtt_memory)),
        Limit("the master of {mqtt}: connections that begin and end", end(mqtt_cpu)),
        Limit(f"a cluster of {MOST_PARTITIONS // 4} masters: their processors", end(cluster)),
    ]
    return sorted(found, key=lambda limit: limit.devices)
