"""Broker nodes on addresses of the loopback network, one Redis, and HAProxy in front of them as it is shipped."""

import asyncio
import os
import re
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import redis
from prometheus_client.parser import text_string_to_metric_families

from bench.broker.peers import ROOT
from bench.broker.peers.peer import EVERY_SECOND
from bench.broker.running import free_ports, trimming
from bench.cpu import cpu_seconds
from bench.servers import redis_server
from tests.conftest import eventually
from tests.haproxy.dns import FakeDns, fake_dns
from tests.haproxy.running import Proxy, haproxy

READY_SECONDS = 60.0
CONNECTIONS = "broker_connections"
MESSAGES = "broker_received_messages_total"
_SESSION = re.compile(r" src=127\.0\.0\.1:(\d+) fe=mqtt be=brokers srv=(\S+)")


@dataclass(slots=True)
class System:
    """What is up. Nodes are known by a number from 1; node `n` is at 127.0.0.(n + 1)."""

    folder: Path
    dns: FakeDns
    proxy: Proxy
    redis_pid: int
    ports: tuple[int, int, int]
    """For MQTT, MQTT over WebSocket, and metrics: the same at each node."""
    nodes: dict[int, asyncio.subprocess.Process] = field(default_factory=dict)

    @property
    def port(self) -> int:
        """Of HAProxy, for MQTT."""
        return self.proxy.ports["MQTT_PORT"]

    async def start(self, number: int) -> None:
        """Start a node, and wait until clients are sent to it."""
        host = _host(number)
        mqtt, websocket, ops = (str(port) for port in self.ports)
        environment = {
            "BROKER_NODE": f"bench-{number}",
            "BROKER_HOST": host,
            "BROKER_PORT": mqtt,
            "BROKER_WS_PORT": websocket,
            "OPS_HOST": host,
            "OPS_PORT": ops,
            "DATA_DIR": str(self.folder),
            "MQTT_ALLOW_ANONYMOUS": "true",
            "REDIS_URL": f"unix://{self.folder / 'redis.sock'}",
        }
        with (self.folder / f"node-{number}.log").open("wb") as log:
            self.nodes[number] = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "broker", cwd=ROOT, env={**os.environ, **environment}, stdout=log, stderr=log
            )
        self.dns.addresses = [_host(each) for each in self.nodes]
        # HAProxy may not have noticed yet that an elder node of this address died.
        await eventually(lambda: self._answers(number), limit=READY_SECONDS)
        await self.until_up(len(self.nodes))

    async def kill(self, number: int) -> None:
        """Kill a node as a machine that fails does; its name stays, as it does for a while wherever nodes are found."""
        node = self.nodes.pop(number)
        node.kill()
        await node.wait()

    async def until_up(self, count: int) -> None:
        """Wait until HAProxy sends clients to so many nodes."""

        async def are_up() -> bool:
            return len(await self.proxy.up()) == count

        await eventually(are_up, limit=READY_SECONDS)

    async def _answers(self, number: int) -> bool:
        """Whether a node says that it is ready."""
        async with httpx.AsyncClient(timeout=READY_SECONDS) as client:
            try:
                answer = await client.get(f"http://{_host(number)}:{self.ports[2]}/readyz")
            except httpx.TransportError:
                return False
            return answer.status_code == httpx.codes.OK

    async def counts(self, metric: str) -> dict[int, float]:
        """A metric of each node, summed over its labels."""
        async with httpx.AsyncClient(timeout=READY_SECONDS) as client:
            found = {}
            for number in self.nodes:
                answer = await client.get(f"http://{_host(number)}:{self.ports[2]}/metrics")
                answer.raise_for_status()
                samples = [
                    sample.value
                    for family in text_string_to_metric_families(answer.text)
                    for sample in family.samples
                    if sample.name.endswith(metric)
                ]
                if not samples:
                    raise RuntimeError(f"node {number} has no metric {metric}")
                found[number] = sum(samples)
            return found

    async def servers(self) -> dict[int, str]:
        """By the port that a client comes from: the node that HAProxy has sent it to, as HAProxy calls it."""
        told = await self.proxy.command("show sess")
        return {int(port): server for port, server in _SESSION.findall(told)}

    def cpu(self) -> dict[str, float]:
        """Seconds of CPU so far: of all nodes that live, of HAProxy, of Redis."""
        return {
            "nodes": sum(cpu_seconds(node.pid) for node in self.nodes.values()),
            "HAProxy": cpu_seconds(self.proxy.process.pid),
            "Redis": cpu_seconds(self.redis_pid),
        }


@asynccontextmanager
async def system(nodes: int) -> AsyncIterator[System]:
    """So many nodes behind HAProxy, all ready."""
    async with AsyncExitStack() as resources:
        folder = Path(resources.enter_context(tempfile.TemporaryDirectory(prefix="bench-balance-")))
        address = resources.enter_context(redis_server(folder, *EVERY_SECOND))
        client = resources.enter_context(redis.Redis.from_url(address))
        resources.enter_context(trimming(client))
        redis_pid = int(client.info("server")["process_id"])
        mqtt, websocket, ops = free_ports(3)
        dns = await resources.enter_async_context(fake_dns())
        proxy = await resources.enter_async_context(
            haproxy(
                folder,
                {
                    "BROKER_FQDN": "brokers.example",
                    "DNS_ADDR": dns.address,
                    "BROKER_PORT": str(mqtt),
                    "BROKER_WS_PORT": str(websocket),
                    "BROKER_OPS_PORT": str(ops),
                    "HAPROXY_MAXCONN": "4000",
                },
            )
        )
        found = System(folder, dns, proxy, redis_pid, (mqtt, websocket, ops))
        try:
            for number in range(1, nodes + 1):
                await found.start(number)
            yield found
        finally:
            for number in list(found.nodes):
                await found.kill(number)


def _host(number: int) -> str:
    return f"127.0.0.{number + 1}"
