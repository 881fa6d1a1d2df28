"""A recipe that is played with brokers: two nodes behind HAProxy, and clients that remember what was acknowledged."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path
from random import Random

from deploy.laptop.processes import Description
from tests.conftest import eventually
from tests.haproxy.dns import fake_dns
from tests.loss.publishers import Publishers
from tests.loss.system import System, running_system
from tests.loss.trial import stored_numbers
from tests.ports import free_port
from tests.redis_servers.executables import redis_executable
from tests.redis_servers.single import single_redis
from tests.resilience.keeper import LIMIT_SECONDS, running_keeper
from tests.resilience.outcome import Outcome
from tests.resilience.recipes import Recipe
from tests.resilience.wire import wire

MESSAGES = 12_000
NODES = {"broker-1": "127.0.1.1", "broker-2": "127.0.1.2"}
"""Where HAProxy finds the nodes that DNS names: all have the same ports, as containers do."""
Prepare = Callable[[Mapping[str, Description]], Awaitable[None]]
Harm = Callable[[System], Awaitable[None]]
"""Does what a recipe says, and is done when it is over."""


@dataclass(slots=True)
class TcpRedis:
    """One that is reached over TCP, so that something can stand before it; nobody takes it away."""

    url: str
    durability: str = "fsynced"
    replicas: int = 1

    async def outage(self, random: Random) -> None:
        """Not of this one."""
        raise NotImplementedError


async def play_with_brokers(recipe: Recipe, folder: Path) -> Outcome:
    """Clients publish while it is done; what was acknowledged has to be in the streams."""
    outcome = Outcome(messages=MESSAGES)
    async with AsyncExitStack() as resources:
        port = free_port()
        redis = TcpRedis(f"redis://127.0.0.1:{port}")
        durable = ("--port", str(port), "--appendonly", "yes", "--appendfsync", "always")
        resources.enter_context(single_redis(redis_executable(), *durable))
        settings: dict[str, str] = {}
        prepare: Prepare | None = None
        if recipe.partitioned:
            prepare, harm = await _partition(recipe, resources)
        elif recipe.dns_late:
            prepare, harm = await _late_dns(recipe, resources)
        else:
            settings, harm = await _faults(recipe, resources, port)
        system = await resources.enter_async_context(
            running_system(folder, redis_of=nullcontext(redis), second_node=settings, prepare=prepare)
        )
        await system.until_in_rotation()
        publishers = Publishers(port=system.port, messages=MESSAGES, clients=8, window=50)

        async def are_acknowledged(count: int) -> bool:
            return publishers.acknowledgements >= count

        with publishers:
            await eventually(lambda: are_acknowledged(MESSAGES // 10), limit=LIMIT_SECONDS)
            await harm(system)
            ended = time.monotonic()
            try:
                await eventually(lambda: are_acknowledged(MESSAGES), limit=recipe.recovered_within)
            except TimeoutError:
                outcome.wrong.append(f"{MESSAGES - publishers.acknowledgements} messages were never acknowledged")
            outcome.recovered = time.monotonic() - ended
        lost = publishers.acknowledged() - (await stored_numbers(redis.url)).keys()
        if lost:
            outcome.wrong.append(f"{len(lost)} acknowledged messages are in no stream")
    return outcome


async def _faults(recipe: Recipe, resources: AsyncExitStack, redis: int) -> tuple[dict[str, str], Harm]:
    """The second node finds Redis, at a port of this machine, through a keeper."""
    listen = f"127.0.0.1:{free_port()}"
    keeper = await resources.enter_async_context(running_keeper({"broker>redis": (listen, f"127.0.0.1:{redis}")}))

    async def harm(_: System) -> None:
        await keeper.make(recipe.faults, recipe.seconds)
        await eventually(keeper.is_over, limit=recipe.seconds + LIMIT_SECONDS)

    return {"REDIS_URL": f"redis://{listen}"}, harm


async def _partition(recipe: Recipe, resources: AsyncExitStack) -> tuple[Prepare, Harm]:
    """Between HAProxy and the second node, its health included, are wires that are torn for a while."""
    wires = []

    async def prepare(named: Mapping[str, Description]) -> None:
        environment = named["haproxy"].environment
        for name in ("BROKER_2_PORT", "BROKER_2_OPS_PORT"):
            port = free_port()
            wires.append(await resources.enter_async_context(wire("127.0.0.1", port, int(environment[name]))))
            environment[name] = str(port)

    async def harm(_: System) -> None:
        before = wires[0].carried
        assert before, "clients are on the second node, too"
        for each in wires:
            each.tear()
        await asyncio.sleep(recipe.seconds)
        for each in wires:
            each.mend()

    return prepare, harm


async def _late_dns(recipe: Recipe, resources: AsyncExitStack) -> tuple[Prepare, Harm]:
    """HAProxy finds the nodes by DNS, which is late for a while; one of them dies then, and comes back."""
    dns = await resources.enter_async_context(fake_dns(*NODES.values()))

    async def prepare(named: Mapping[str, Description]) -> None:
        ports = {"BROKER_PORT": free_port(), "BROKER_WS_PORT": free_port(), "BROKER_OPS_PORT": free_port()}
        for node, address in NODES.items():
            own = named[node].environment
            for port, name in zip(ports.values(), ("BROKER_PORT", "BROKER_WS_PORT", "OPS_PORT"), strict=True):
                await resources.enter_async_context(wire(address, port, int(own[name])))
        by_dns = {"BROKER_FQDN": "brokers.test", "DNS_ADDR": dns.address}
        named["haproxy"].environment.update(by_dns | {name: str(port) for name, port in ports.items()})

    async def harm(system: System) -> None:
        asked = dns.asked
        dns.late = recipe.dns_late
        await system.kill_a_node(Random(7))  # noqa: S311 - which one of two
        await asyncio.sleep(recipe.seconds)
        assert dns.asked > asked, "HAProxy asks all the time"
        dns.late = 0.0

    return prepare, harm
