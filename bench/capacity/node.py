"""What devices cost that are connected and send one position now and then: a node, and Redis beside it.

The busy senders of `python -m bench.broker` fill whole batches; these do not, as real devices do not.
"""

import asyncio
import base64
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import redis

from bench.broker.packets import connect, publish
from bench.servers import redis_server
from bench.state.campus import Grid
from bench.state.processes import ROOT, Service, service
from core.clock import format_rfc3339, system_clock
from tests.conftest import free_port

CONNECTIONS = 2000
RATES = (300.0, 700.0, 1500.0, 2500.0, 4000.0)
"""Messages a second of all of them together."""
LOOKS = 20
DRAIN_SECONDS = 120.0
WARM_UP = 200
IDLE_SECONDS = 3.0
_AT_ONCE = 50


@dataclass(frozen=True, slots=True)
class Node:
    """A node with a Redis of its own."""

    port: int
    service: Service
    client: redis.Redis
    settings: dict[str, str]
    """Of the services beside it."""

    @property
    def redis_cpu(self) -> float:
        """Processor time of Redis, in seconds."""
        told = self.client.info("cpu")
        return float(told["used_cpu_user"] + told["used_cpu_sys"])

    @property
    def entries_added(self) -> int:
        """Entries of `raw`, ever."""
        return sum(
            int(self.client.xinfo_stream(key)["entries-added"]) for key in self.client.scan_iter("raw:*", count=10_000)
        )

    @property
    def waiting(self) -> int:
        """Entries of `raw` that nobody has finished."""
        return sum(self.client.xlen(key) for key in self.client.scan_iter("raw:*", count=10_000))

    @property
    def redis_bytes(self) -> int:
        """What Redis uses."""
        return int(self.client.info("memory")["used_memory"])


@contextmanager
def running_node(*, zones: int) -> Iterator[Node]:
    """A node that anybody may log in to, beside a campus of so many zones."""
    with tempfile.TemporaryDirectory(prefix="bench-node-") as name, redis_server(Path(name)) as url:
        port, folder = free_port(), Path(name)
        Grid(zones).write(folder / "campus.geojson")
        settings = {
            "REDIS_URL": url,
            "DATA_DIR": name,
            "DEVICE_KEY": "6f" * 32,
            "CAMPUS_FILE": str(folder / "campus.geojson"),
        }
        of_node = {
            "BROKER_PORT": str(port),
            "BROKER_NODE": "bench",
            "MQTT_ALLOW_ANONYMOUS": "true",
            "CLIENT_CONNECT_RATE": "1000000",
            "BROKER_ADDRESS_SHARE": "1",
        }
        with (
            redis.Redis.from_url(url) as client,
            service("broker", ROOT, settings | of_node, folder / "node.log") as node,
        ):
            yield Node(port, node, client, settings)


class Device(asyncio.Protocol):
    """A connection whose answers nobody needs but their number."""

    def __init__(self, number: int) -> None:
        self.name = f"device-{number}"
        self.number = number
        self.opened = asyncio.get_running_loop().create_future()
        self._transport: asyncio.Transport | None = None
        self._packet_id = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Log in."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - of a TCP connection
        self._transport = transport
        transport.write(connect(self.name))

    def data_received(self, data: bytes) -> None:  # noqa: ARG002 - the signature is asyncio's
        """The first answer is that to the login."""
        if not self.opened.done():
            self.opened.set_result(None)

    def send(self, payload: bytes) -> None:
        """Publish a position at QoS 1."""
        self._packet_id = self._packet_id % 60_000 + 1
        if self._transport:
            self._transport.write(publish("mobile-iotp", payload, packet_id=self._packet_id))

    def close(self) -> None:
        """Leave without a word."""
        if self._transport:
            self._transport.abort()


async def connected(port: int, numbers: range) -> list[Device]:
    """Devices that are logged in."""
    loop, devices = asyncio.get_running_loop(), []
    for first in range(numbers.start, numbers.stop, _AT_ONCE):
        some = [Device(number) for number in range(first, min(first + _AT_ONCE, numbers.stop))]
        for device in some:
            await loop.create_connection(lambda device=device: device, "127.0.0.1", port)  # type: ignore[misc]
        await asyncio.gather(*(device.opened for device in some))
        devices += some
    return devices


async def settled_bytes(node: Node) -> int:
    """What Redis uses, without the buffers that come and go."""
    found = []
    for _ in range(LOOKS):
        await asyncio.sleep(0.1)
        found.append(node.redis_bytes)
    return min(found)


async def drive(devices: list[Device], grid: Grid, *, rate: float, seconds: float) -> int:
    """Let devices send in turns, so many messages a second of all of them; how many there were."""
    begun, sent = time.monotonic(), 0
    while (elapsed := time.monotonic() - begun) < seconds:
        due = min(int(rate * elapsed), sent + 2000)
        if due > sent:
            now = system_clock()
            stamp = format_rfc3339(now).encode()
            for number in range(sent, due):
                device = devices[number % len(devices)]
                longitude, latitude = grid.place(device.number, now // 60_000)
                device.send(
                    base64.b64encode(
                        b'{"type":"Feature","geometry":{"type":"Point","coordinates":[%a,%a]},"properties":'
                        b'{"device_id":"%s","timestamp":"%s","accuracy":4.5,"speed":1.5}}'
                        % (longitude, latitude, device.name.encode(), stamp)
                    )
                )
            sent = due
        await asyncio.sleep(0.002)
    await asyncio.sleep(0.5)
    return sent


def measure_node(seconds: float, *, connections: int = CONNECTIONS) -> dict[str, object]:
    """What connections and messages cost, by name with unit; a message by the rate of all of them."""
    with running_node(zones=22) as node:
        return asyncio.run(_measure(node, connections, seconds))


async def _measure(node: Node, connections: int, seconds: float) -> dict[str, object]:
    devices = await connected(node.port, range(WARM_UP))
    memory, used, cpu = node.service.memory_bytes, await settled_bytes(node), node.redis_cpu
    devices += await connected(node.port, range(WARM_UP, WARM_UP + connections))
    await asyncio.sleep(1)
    opened = node.redis_cpu - cpu
    found: dict[str, object] = {
        "node bytes/connection": (node.service.memory_bytes - memory) / connections,
        "Redis bytes/connection": (await settled_bytes(node) - used) / connections,
    }
    busy, cpu, begun = node.service.cpu_seconds, node.redis_cpu, time.monotonic()
    await asyncio.sleep(IDLE_SECONDS)
    elapsed = time.monotonic() - begun
    idle_node, idle_redis = (node.service.cpu_seconds - busy) / elapsed, (node.redis_cpu - cpu) / elapsed
    found["node, idle, share of a processor"] = idle_node
    found["Redis for an idle node, share of a processor"] = idle_redis
    sending = _Sending(node, devices, seconds, idle_node, idle_redis)
    rates = [await sending.appended(rate) for rate in RATES]
    settings = node.settings | {"STAGES": "observe", "DECODER_NAME": "bench"}
    with service("decoder", ROOT, settings, Path(node.settings["DATA_DIR"]) / "decoder.log") as decoder:
        await _until_drained(node)
        rates = [each | await sending.observed(decoder, rate, each) for rate, each in zip(RATES, rates, strict=True)]
    found["rates"] = rates
    cpu = node.redis_cpu
    for device in devices:
        device.close()
    await asyncio.sleep(2)
    found["connect, Redis us"] = (opened + node.redis_cpu - cpu - 3 * idle_redis) / connections * 1e6
    return found


async def _until_drained(node: Node) -> None:
    end = time.monotonic() + DRAIN_SECONDS
    while node.waiting:
        if time.monotonic() > end:
            raise SystemExit("the decoder does not come to an end")
        await asyncio.sleep(0.2)


@dataclass(frozen=True, slots=True)
class _Sending:
    """Devices that send at a rate for some seconds, and what that costs."""

    node: Node
    devices: list[Device]
    seconds: float
    idle_node: float
    """Part of a processor that is used when nothing is sent."""
    idle_redis: float

    async def appended(self, rate: float) -> dict[str, float]:
        """A message that a node appends, where nobody reads it."""
        added = self.node.entries_added
        sent, elapsed, redis_us = await self._send(rate)
        return {
            "messages, 1/s": sent / elapsed,
            "append, Redis us/message": redis_us,
            "messages/entry": sent / max(1, self.node.entries_added - added),
        }

    async def observed(self, decoder: Service, rate: float, appended: Mapping[str, float]) -> dict[str, float]:
        """The same where a decoder reads it as it comes, with others that have come since its last round."""
        decoding, busy = decoder.cpu_seconds, self.node.service.cpu_seconds
        sent, elapsed, redis_us = await self._send(rate)
        return {
            # What an idle second costs is there without any message.
            "node us/message": (self.node.service.cpu_seconds - busy - self.idle_node * elapsed) / sent * 1e6,
            "observe, Redis us/message": redis_us - appended["append, Redis us/message"],
            "decoder us/message": (decoder.cpu_seconds - decoding) / sent * 1e6,
        }

    async def _send(self, rate: float) -> tuple[int, float, float]:
        """How many messages, in how many seconds, and what each costs Redis (us)."""
        cpu, begun = self.node.redis_cpu, time.monotonic()
        sent = await drive(self.devices, Grid(22), rate=rate, seconds=self.seconds)
        elapsed = time.monotonic() - begun
        return sent, elapsed, (self.node.redis_cpu - cpu - self.idle_redis * elapsed) / sent * 1e6
