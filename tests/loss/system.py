"""Two nodes behind HAProxy, as a laptop runs them, beside a Redis that syncs each write before it answers."""

import asyncio
import csv
import resource
import shutil
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from random import Random
from types import MappingProxyType

from deploy.laptop.ports import choose_ports
from deploy.laptop.processes import Description, Programs, describe
from deploy.laptop.routes import put_maps
from deploy.laptop.settings import LaptopSettings
from tests.broker.processes import ROOT, NodeProcess
from tests.conftest import WAIT_SECONDS, eventually, free_port, missing
from tests.oracle.disturbed import Disturbed, disturbed_redis

HAPROXY_SOCKET = "haproxy.sock"

PARTITIONS = 2
_STATUS = 17
"""Column of `show stat`."""


class System:
    """What clients see of it is `port`. A watchdog starts nodes again that were killed."""

    def __init__(self, *, port: int, redis: Disturbed, nodes: list[NodeProcess], socket: Path) -> None:
        self.port = port
        self._socket = socket
        self.redis = redis
        self.nodes = nodes
        self._serving: set[str] = set()

    @property
    def kills(self) -> int:
        """How often a node was killed."""
        return sum(node.killed for node in self.nodes)

    async def until_serving(self) -> None:
        """Wait until all nodes serve."""
        await eventually(self._all_serve, limit=2 * WAIT_SECONDS)

    async def kill_a_node(self, random: Random) -> None:
        """End one of the nodes that serve, as soon as there is one, with SIGKILL."""
        serving = await eventually(self._who_serves, limit=2 * WAIT_SECONDS)
        node = random.choice(serving)
        self._serving.discard(node.name)
        await node.kill()

    async def unstick(self) -> None:
        """Let HAProxy forget which client was where, so that who comes again may come elsewhere."""
        await self._ask("clear table brokers")

    async def until_in_rotation(self) -> None:
        """Wait until HAProxy sends clients to all nodes."""

        async def are_up() -> bool:
            rows = csv.reader((await self._ask("show stat -1 4 -1")).splitlines())
            brokers = [row[_STATUS] for row in rows if row and row[0] == "brokers"]
            return sum(status.startswith("UP") for status in brokers) == len(self.nodes)

        await eventually(are_up, limit=2 * WAIT_SECONDS)

    async def _ask(self, command: str) -> str:
        """What HAProxy's runtime API says."""
        reader, writer = await asyncio.open_unix_connection(self._socket)
        writer.write(f"{command}\n".encode())
        answer = await reader.read()
        writer.close()
        return answer.decode()

    async def watch(self, node: NodeProcess) -> None:
        """Start a node, and again after each kill, for ever; fails where it ends by itself."""
        while True:
            await node.start()
            await node.until_ready()
            self._serving.add(node.name)
            killed = node.killed
            code = await node.ended()
            assert code == -signal.SIGKILL, node.told()
            assert node.killed == killed + 1, f"{node.name} was killed by somebody else"

    async def _who_serves(self) -> list[NodeProcess]:
        return [node for node in self.nodes if node.name in self._serving]

    async def _all_serve(self) -> bool:
        return len(self._serving) == len(self.nodes)


@asynccontextmanager
async def running_system(
    folder: Path,
    *,
    redis_of: AbstractAsyncContextManager[Disturbed] | None = None,
    of_nodes: Mapping[str, str] = MappingProxyType({}),
    second_node: Mapping[str, str] = MappingProxyType({}),
    prepare: Callable[[Mapping[str, Description]], Awaitable[None]] | None = None,
) -> AsyncIterator[System]:
    """A running one, with its files in `folder`, whose path must be short.

    `redis_of` is its Redis, where it is not one of its own; `of_nodes` are settings of the nodes, `second_node` of the
    second one alone. `prepare` may change what is started, by name, before it is.
    """
    haproxy = shutil.which("haproxy") or missing("haproxy", "install Debian's haproxy")
    settings = LaptopSettings(mqtt_port=free_port(), http_port=free_port())
    ports = choose_ports(settings, haproxy=True)
    put_maps(folder)
    async with redis_of or disturbed_redis(folder) as redis:
        environment = {
            "REDIS_URL": redis.url,
            "DURABILITY": redis.durability,
            "REPLICAS": str(redis.replicas),
            "PARTITIONS": str(PARTITIONS),
            "LOG_LEVEL": "warning",
        }
        processes = describe(
            settings,
            folder=folder,
            ports=ports,
            programs=Programs(None, haproxy, resource.getrlimit(resource.RLIMIT_NOFILE)[0]),
            environment=environment,
        )
        named = {process.name: process for process in processes}
        for name in ("broker-1", "broker-2"):
            named[name].environment.update(of_nodes)
        named["broker-2"].environment.update(second_node)
        if prepare is not None:
            await prepare(named)
        nodes = [_node(named[name], folder) for name in ("broker-1", "broker-2")]
        system = System(port=settings.mqtt_port, redis=redis, nodes=nodes, socket=folder / HAPROXY_SOCKET)
        async with _haproxy(named["haproxy"], folder), asyncio.TaskGroup() as group:
            watching = [group.create_task(system.watch(node)) for node in nodes]
            try:
                await system.until_serving()
                yield system
            finally:
                for task in watching:
                    task.cancel()
                for node in nodes:
                    await node.leave_nothing()


def _node(process: Description, folder: Path) -> NodeProcess:
    return NodeProcess(process.environment, folder, process.command)


@asynccontextmanager
async def _haproxy(process: Description, folder: Path) -> AsyncIterator[None]:
    with (folder / "haproxy.log").open("wb") as log:
        running = await asyncio.create_subprocess_exec(
            *process.command, cwd=ROOT, env=_with_path(process.environment), stdout=log, stderr=log
        )
    try:
        yield
    finally:
        assert running.returncode is None, (folder / "haproxy.log").read_text()
        running.kill()
        await running.wait()


def _with_path(environment: Mapping[str, str]) -> dict[str, str]:
    return {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **environment}
