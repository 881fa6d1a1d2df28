"""Holds the model against what is measured: a node, a decoder and Redis at work, at two sizes."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.capacity.model import Campus, plan
from bench.capacity.node import Device, Node, connected, drive, running_node, settled_bytes
from bench.capacity.units import Units
from bench.state.campus import Grid
from bench.state.processes import ROOT, Service, service

WITHIN = 0.2
SIZES = (Campus(devices=1000, every=2.0), Campus(devices=4000, every=2.0))
"""500 and 2,000 messages a second, of one node and one Redis."""
SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Compared:
    """One figure of one size."""

    size: str
    what: str
    model: float
    measured: float

    @property
    def apart(self) -> float:
        """By which part of what is measured the model is too high."""
        return self.model / self.measured - 1


def compare_sizes(units: Units) -> Iterator[Compared]:
    """Measure all sizes, some minutes, and say what the model says of the same."""
    for campus in SIZES:
        size = f"{campus.devices:,} devices, {campus.rate:,.0f}/s"
        measured = measure(campus)
        model = modelled(campus, units)
        for what, value in measured.items():
            yield Compared(size, what, model[what], value)


def modelled(campus: Campus, units: Units) -> dict[str, float]:
    """What the model says of one node, one decoder and one Redis."""
    redis_us = units.append_us(campus.rate) + units.observe_us(campus.rate)
    whole = plan(campus, units, masters=1)
    return {
        "Redis, ms/s": campus.rate * redis_us / 1e3 + units.node_idle_redis * 1e3,
        "node, ms/s": campus.rate * units.node_us(campus.rate) / 1e3 + units.node_idle * 1e3,
        "decoder, ms/s": campus.rate * units.decoder_us(campus.rate) / 1e3,
        "connections, MB": whole.mqtt_bytes / 1e6,
    }


def measure(campus: Campus) -> dict[str, float]:
    """What they use, while devices send."""
    with running_node(zones=campus.zones) as node:
        return asyncio.run(_measure(campus, node))


async def _measure(campus: Campus, node: Node) -> dict[str, float]:
    empty = await settled_bytes(node)
    devices = await connected(node.port, range(campus.devices))
    connections = await settled_bytes(node) - empty
    observe = node.settings | {"STAGES": "observe", "DECODER_NAME": "check"}
    with service("decoder", ROOT, observe, Path(node.settings["DATA_DIR"]) / "check.log") as decoder:
        return await _busy(campus, node, decoder, devices) | {"connections, MB": connections / 1e6}


async def _busy(campus: Campus, node: Node, decoder: Service, devices: list[Device]) -> dict[str, float]:
    grid = Grid(campus.zones)
    # The first position of each device makes its keys.
    await drive(devices, grid, rate=campus.rate, seconds=campus.every + 3)
    begun, redis = time.monotonic(), node.redis_cpu
    busy, decoding = node.service.cpu_seconds, decoder.cpu_seconds
    await drive(devices, grid, rate=campus.rate, seconds=SECONDS)
    elapsed = time.monotonic() - begun
    found = {
        "Redis, ms/s": (node.redis_cpu - redis) / elapsed * 1e3,
        "node, ms/s": (node.service.cpu_seconds - busy) / elapsed * 1e3,
        "decoder, ms/s": (decoder.cpu_seconds - decoding) / elapsed * 1e3,
    }
    for device in devices:
        device.close()
    return found
