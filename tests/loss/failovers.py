"""`python -m tests.loss.failovers`: writers at work while whoever has the data is killed, and a replica takes over.

The writers do what brokers do: one script at a time for each partition, and a write counts once its answer is there
(`state.durability.Writes`). What counted has to be there in the end, whoever is the primary then.
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random, SystemRandom
from typing import Annotated, Any, cast

import typer
from rich.console import Console

from core.errors import UnavailableError
from runtime.settings import CommonSettings
from state.client import Redis, open_redis
from state.durability import Durability, Writes
from state.slots import guard, tag
from tests.redis_servers.cluster import RedisCluster, redis_cluster
from tests.redis_servers.executables import redis_executable
from tests.redis_servers.process import RedisProcess
from tests.redis_servers.sentinel import SentinelSet, sentinel_set

PARTITIONS = 6
AT_ONCE = 20
"""Numbers in one write, as a broker has many messages in one."""
PAUSE_SECONDS = 0.01
"""Between two writes of a writer."""
BETWEEN_SECONDS = 0.5
"""How long all is well before the next failover."""
LAG_SECONDS = (0.0, 0.4)
"""How long a replica has not heard of anything when the primary ends: less than makes it a dead one."""
BEHIND = 0.5
"""How often a replica has not."""
PAUSED = 0.3
"""How often the primary stands still instead of ending, and goes on once another has taken over."""
STUCK_SECONDS = 60.0
PAGE = 10_000
_WRITE = """
for _, number in ipairs(ARGV) do
    redis.call('XADD', KEYS[2], '*', 'n', number)
end
"""


class On(StrEnum):
    """What fails over."""

    SENTINEL = "sentinel"
    CLUSTER = "cluster"


@dataclass(frozen=True, slots=True)
class Plan:
    """What is tried; the same seed gives the same moments."""

    on: On
    failovers: int
    durability: Durability
    replicas: int
    seed: int
    at_once: bool = False
    """Whether who was killed comes back before a replica could take over, with what is on its disk."""


@dataclass(slots=True)
class Outcome:
    """What came of it."""

    counted: set[int] = field(default_factory=set)
    """The numbers whose write counted."""
    stored: set[int] = field(default_factory=set)
    waits: list[float] = field(default_factory=list)
    """At each failover: seconds until every partition took writes again."""
    killed: int = 0
    paused: int = 0

    @property
    def lost(self) -> set[int]:
        """What counted, and is not there."""
        return self.counted - self.stored


class _Writer:
    """Writes numbers of its own to one partition, as long as it lives."""

    def __init__(self, client: Redis, writes: Writes, partition: int) -> None:
        own = tag(partition, PARTITIONS)
        self._keys = [guard(own), stream_of(partition)]
        self._writes = writes
        self._script = client.register_script(_WRITE)
        self._next = partition * 100_000_000
        self.counted: list[int] = []
        self.stopped = False

    async def run(self) -> None:
        while not self.stopped:
            numbers = list(range(self._next, self._next + AT_ONCE))
            self._next += AT_ONCE
            while True:
                try:
                    await self._writes.run(self._script, keys=self._keys, args=numbers)
                    break
                except UnavailableError:
                    await asyncio.sleep(0.02)
            self.counted += numbers
            await asyncio.sleep(PAUSE_SECONDS)


def stream_of(partition: int) -> str:
    """The stream of the trial."""
    return f"failovers:{tag(partition, PARTITIONS)}"


async def try_failovers(plan: Plan, progress: Callable[[str], None]) -> Outcome:
    """Do it."""
    random, outcome = Random(plan.seed), Outcome()  # noqa: S311 - it is to be repeatable
    async with _servers(plan) as servers, open_redis(CommonSettings(redis_url=servers.url)) as client:
        writes = Writes(client, durability=plan.durability, replicas=plan.replicas)
        writers = [_Writer(client, writes, partition) for partition in range(PARTITIONS)]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(writer.run()) for writer in writers]
            for number in range(plan.failovers):
                await asyncio.sleep(random.uniform(BETWEEN_SECONDS, 2 * BETWEEN_SECONDS))
                master = await asyncio.to_thread(_some_master, servers, random)
                how = await _take_away(servers, master, random)
                outcome.killed += not master.is_running
                outcome.paused += master.is_running
                begun = time.monotonic()
                marks = [len(writer.counted) for writer in writers]
                if plan.at_once and not master.is_running:
                    await asyncio.to_thread(master.start)
                else:
                    await asyncio.to_thread(servers.until_taken_over, master)
                # Who was away comes back as a replica: where all have to have a write, none counts before that.
                await asyncio.to_thread(servers.heal)
                await _until_all_write(writers, marks)
                outcome.waits.append(time.monotonic() - begun)
                counted = sum(len(writer.counted) for writer in writers)
                progress(f"{number + 1} of {plan.failovers}: {how}; {counted} writes count, {outcome.waits[-1]:.1f} s")
            for writer in writers:
                writer.stopped = True
            await asyncio.wait(tasks)
        outcome.counted = {number for writer in writers for number in writer.counted}
        for partition in range(PARTITIONS):
            outcome.stored |= await _numbers(client, stream_of(partition))
    return outcome


def _some_master(servers: SentinelSet | RedisCluster, random: Random) -> RedisProcess:
    return servers.primary if isinstance(servers, SentinelSet) else random.choice(servers.masters)


async def _take_away(servers: SentinelSet | RedisCluster, master: RedisProcess, random: Random) -> str:
    """End a master, or let it stand still, while some of its replicas have not heard all of it; what was done."""
    behind = [replica for replica in _replicas_of(servers, master) if random.random() < BEHIND]
    for replica in behind:
        replica.pause()
    await asyncio.sleep(random.uniform(*LAG_SECONDS))
    if random.random() < PAUSED:
        master.pause()
        how = "stands still"
    else:
        master.kill()
        how = "killed"
    for replica in behind:
        replica.resume()
    return f"{master.address} {how}, {len(behind)} replicas behind"


def _replicas_of(servers: SentinelSet | RedisCluster, master: RedisProcess) -> list[RedisProcess]:
    members = servers.servers if isinstance(servers, SentinelSet) else servers.members
    told = master.info("replication")
    followers = [value for name, value in told.items() if re.fullmatch(r"slave\d+", name)]
    return [member for member in members if any(f"'port': {member.port}," in told for told in followers)]


async def _until_all_write(writers: list[_Writer], marks: list[int]) -> None:
    async with asyncio.timeout(STUCK_SECONDS):
        while any(len(writer.counted) < mark + 3 * AT_ONCE for writer, mark in zip(writers, marks, strict=True)):  # noqa: ASYNC110 - each writer goes its own way
            await asyncio.sleep(0.02)


async def _numbers(client: Redis, stream: str) -> set[int]:
    numbers: set[int] = set()
    start = "-"
    while page := cast("Any", await client.xrange(stream, min=start, count=PAGE)):
        numbers.update(int(fields[b"n"]) for _, fields in page)
        start = "(" + page[-1][0].decode()
    return numbers


@asynccontextmanager
async def _servers(plan: Plan) -> AsyncIterator[SentinelSet | RedisCluster]:
    fsync = "always" if plan.durability is Durability.FSYNCED else "everysec"
    settings = ("--appendonly", "yes", "--appendfsync", fsync)
    with ExitStack() as stack:
        if plan.on is On.SENTINEL:
            yield await asyncio.to_thread(stack.enter_context, sentinel_set(redis_executable(), *settings))
        else:
            yield await asyncio.to_thread(stack.enter_context, redis_cluster(redis_executable(), *settings))


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def failovers(
    *,
    on: Annotated[On, typer.Option(help="What fails over.")] = On.SENTINEL,
    count: Annotated[int, typer.Option(min=1, max=1000, help="How often.")] = 20,
    durability: Annotated[Durability, typer.Option(help="When a write counts.")] = Durability.REPLICATED,
    replicas: Annotated[int, typer.Option(min=1, help="Replicas that replicated waits for.")] = 1,
    at_once: Annotated[bool, typer.Option(help="Who was killed comes back before a replica has taken over.")] = False,
    seed: Annotated[int | None, typer.Option(min=0, help="Of what happens when; a random one by default.")] = None,
) -> None:
    """Let masters end or stand still while writers are at work; exit code 1 if a write that counted is lost."""
    plan = Plan(on, count, durability, replicas, SystemRandom().randrange(10**9) if seed is None else seed, at_once)
    console = Console(highlight=False, soft_wrap=True)
    outcome = asyncio.run(try_failovers(plan, console.print))
    waits = sorted(outcome.waits)
    console.print(
        f"{plan.on}, {plan.durability}, REPLICAS={plan.replicas}, seed {plan.seed}: {outcome.killed} killed, "
        f"{outcome.paused} stood still; {len(outcome.counted)} writes counted, {len(outcome.lost)} of them lost; until "
        f"all wrote again: median {waits[len(waits) // 2]:.1f} s, longest {waits[-1]:.1f} s"
    )
    raise SystemExit(1 if outcome.lost else 0)


if __name__ == "__main__":
    app()
