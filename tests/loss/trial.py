"""The trial: numbered messages, while nodes are killed and Redis goes away; nothing acknowledged may be missing."""

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from random import Random
from typing import Any, cast

from state.entries import decode_entry
from state.sealing import Sealing, is_sealed
from tests.loss.publishers import Publishers
from tests.loss.system import PARTITIONS, System, running_system
from tests.raw_streams import raw_key
from tests.redis_servers.clients import client_of
from tests.redis_servers.executables import redis_executable
from tests.redis_servers.process import RedisProcess, free_ports

CLIENTS = 8
WINDOW = 50
AT_ONCE = 0.25
"""How often a disturbance does not wait until the one before it is over."""
STUCK_SECONDS = 60.0
"""Without one acknowledgement: then nodes do not go on by themselves."""
LOOK_SECONDS = 0.02
_PAGE = 10_000


class Disturbance(StrEnum):
    """What happens to the system while messages are under way."""

    KILL = "a node is killed with SIGKILL"
    OUTAGE = "Redis goes away, and comes back"


@dataclass(frozen=True, slots=True)
class Plan:
    """What is tried. The same seed gives the same disturbances, after the same numbers of acknowledgements."""

    messages: int
    kills: int
    outages: int
    seed: int

    def disturbances(self, random: Random) -> list[tuple[int, Disturbance]]:
        """When they happen, as a number of acknowledgements, and in which order."""
        kinds = [Disturbance.KILL] * self.kills + [Disturbance.OUTAGE] * self.outages
        random.shuffle(kinds)
        # Neither before the first acknowledgement nor after the last ones: all of them meet messages.
        step = self.messages / (len(kinds) + 1)
        return [(int(step * (index + random.uniform(0.5, 1))), kind) for index, kind in enumerate(kinds)]


@dataclass(slots=True)
class Result:
    """What came of it."""

    acknowledged: set[int] = field(default_factory=set)
    stored: Counter[int] = field(default_factory=Counter)
    """How often each number is in the streams."""
    kills: int = 0
    outages: int = 0
    under_way: list[int] = field(default_factory=list)
    """At each disturbance, how many messages were published and not acknowledged."""
    left: list[int] = field(default_factory=list)
    """At each disturbance, how many messages were not acknowledged yet."""
    connects: int = 0

    @property
    def lost(self) -> set[int]:
        """What was acknowledged, and is nowhere."""
        return self.acknowledged - self.stored.keys()

    @property
    def repeated(self) -> int:
        """Messages that are there more than once, as QoS 1 allows."""
        return sum(count > 1 for count in self.stored.values())


async def try_to_lose(
    plan: Plan, folder: Path, progress: Callable[[int, str], None], *, sealed: bool = False
) -> Result:
    """Do it. `folder` is for the files of all processes; its path must be short, for Redis's socket is there.

    `progress` is told how many messages are acknowledged, and what happens. What is `sealed` is so with keys of another
    Redis, which is killed whenever the other one goes away.
    """
    with ExitStack() as stack:
        keys = None
        if sealed:
            port = free_ports(1)[0]
            keys = RedisProcess(
                redis_executable(), folder / "keys", port, "--appendonly", "yes", "--appendfsync", "always"
            )
            keys.start()
            stack.callback(keys.stop)
        return await _try_to_lose(plan, folder, progress, keys)


async def _try_to_lose(
    plan: Plan, folder: Path, progress: Callable[[int, str], None], keys: RedisProcess | None
) -> Result:
    keys_url = f"redis://{keys.address}" if keys else ""
    of_nodes = {"KEYS_REDIS_URL": keys_url, "RAW_ENCRYPTION": "true"} if keys else {}
    async with running_system(folder, of_nodes=of_nodes) as system:
        publishers = Publishers(port=system.port, messages=plan.messages, clients=CLIENTS, window=WINDOW, held=True)
        result = Result()
        with publishers:
            async with asyncio.TaskGroup() as group:
                await _disturb(system, publishers, plan, result, group, progress, keys)
            await _until(publishers, plan.messages, progress)
        result.acknowledged = publishers.acknowledged()
        result.kills, result.connects = system.kills, publishers.connects
        result.stored = await stored_numbers(system.redis.url, keys_url)
        return result


async def _disturb(
    system: System,
    publishers: Publishers,
    plan: Plan,
    result: Result,
    group: asyncio.TaskGroup,
    progress: Callable[[int, str], None],
    keys: RedisProcess | None,
) -> None:
    random = Random(plan.seed)  # noqa: S311 - it is to be repeatable
    outage: asyncio.Task[None] | None = None
    planned = plan.disturbances(random)
    # Nobody gets further than to the next disturbance: on a busy machine all would be published before the last ones.
    ends = [after for after, _ in planned[1:]] + [plan.messages - 1]
    for (after, kind), end in zip(planned, ends, strict=True):
        publishers.allowed.up_to(end)
        # While Redis is away nothing is acknowledged: what comes all the same comes now.
        if outage is None or outage.done() or random.random() > AT_ONCE:
            await _until(publishers, after, progress)
        if kind is Disturbance.KILL:
            await system.kill_a_node(random)
        else:
            if outage is not None:
                await outage
            outage = group.create_task(system.redis.outage(random))
            if keys is not None:
                keys.kill()
                await asyncio.to_thread(keys.start)
            result.outages += 1
        result.under_way.append(publishers.under_way)
        result.left.append(plan.messages - publishers.acknowledgements)
        progress(publishers.acknowledgements, kind)
    publishers.allowed.up_to(plan.messages)


async def _until(publishers: Publishers, count: int, progress: Callable[[int, str], None]) -> None:
    """Wait for so many acknowledgements; fails where for a long time there is none."""
    while publishers.acknowledgements < count:
        before = publishers.acknowledgements
        progress(before, "")
        try:
            async with asyncio.timeout(STUCK_SECONDS):
                while publishers.acknowledgements == before:  # noqa: ASYNC110 - threads of others set no event of ours
                    await asyncio.sleep(LOOK_SECONDS)
        except TimeoutError:
            raise AssertionError(f"after {before} messages nothing is acknowledged any more") from None
    progress(publishers.acknowledgements, "")


async def stored_numbers(url: str, keys_url: str = "") -> Counter[int]:
    """The numbers in the streams of all partitions, and how often each is there; `keys_url` has what opens them."""
    numbers: Counter[int] = Counter()
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(client_of(url))
        keys = await stack.enter_async_context(client_of(keys_url)) if keys_url else None
        sealing = Sealing(cast("Any", keys)) if keys else None
        for partition in range(PARTITIONS):
            start = "-"
            while page := cast(
                "list[tuple[bytes, dict[bytes, bytes]]]",
                await client.xrange(raw_key(partition, PARTITIONS), min=start, count=_PAGE),
            ):
                assert sealing is None or all(is_sealed(fields) for _, fields in page)
                opened = await sealing.opened(page) if sealing else page
                numbers.update(int(message.payload) for _, fields in opened for message in decode_entry(fields))
                start = "(" + page[-1][0].decode()
    return numbers
