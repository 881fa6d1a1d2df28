"""One round with so many nodes: who is where at first, after all came again, after a node died, after it is back."""

import asyncio
import time
from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass

from bench.balance.clients import Crowd
from bench.balance.fairness import jain
from bench.balance.system import CONNECTIONS, MESSAGES, System, system
from bench.broker.latency import Latency, latency

SLOW_MS = 50.0
"""p99 of an acknowledgement from which a rate is too high."""
LATE_MS = 10.0
"""The generator's own p99 of lateness from which the figure is the generator's."""
STEP = 1.3
FIRST_RATE = 300.0
MOST_STEPS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How much of everything."""

    clients: int = 400
    rounds: int = 5
    """Messages of each client while messages are counted, one a second."""
    every: float = 1.0
    seconds: float = 1.5
    """Of each rate."""
    tries: int = 2
    """A rate is too high when it is so each time: others on the machine also make an acknowledgement late."""
    steps: int = MOST_STEPS
    connections: int = 40
    """That publish at each rate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What one round found. Shares are by node, in their order."""

    connections: tuple[float, ...]
    same_node: float
    """Share of the clients that came to the same node after all had left, and come again."""
    messages: tuple[float, ...]
    cpu: Mapping[str, float]
    """CPU seconds for a million messages, by process, while messages were counted."""
    after_death: tuple[float, ...]
    """Connections of the nodes that live, after the last node was killed."""
    back_seconds: float
    """Until each client that was cut off was connected again."""
    cut_off: int
    after_birth: tuple[float, ...]
    """After the node was started again, and half as many clients more had come."""
    rates: Mapping[float, float]
    """p99 of an acknowledgement in ms, by messages/s; the better one where a rate was tried again."""
    most: float
    """Messages/s up to which p99 stayed below `SLOW_MS`."""
    limited_by_generator: bool

    @property
    def fairness(self) -> Mapping[str, float]:
        """Jain's index of each."""
        return {
            "connections": jain(self.connections),
            "messages": jain(self.messages),
            "after a node died": jain(self.after_death),
            "after one came": jain(self.after_birth),
        }


async def measure(nodes: int, seed: int, sizes: Sizes, generator: Executor) -> Round:
    """One round, with a system of its own."""
    async with system(nodes) as up:
        crowd = Crowd(up.port, seed)
        names = [f"client-{number}" for number in range(sizes.clients)]
        await crowd.more(names)
        connections, first = await _shares(up, CONNECTIONS), await _places(up, crowd)
        await crowd.leave()
        await crowd.more(names)
        second = await _places(up, crowd)
        same_node = sum(first[name] == second[name] for name in names) / len(names)
        before, cpu = await up.counts(MESSAGES), up.cpu()
        await crowd.publish(sizes.rounds, sizes.every)
        count = sizes.rounds * sizes.clients
        spent = {name: (now - cpu[name]) / count * 1e6 for name, now in up.cpu().items()}
        after = await up.counts(MESSAGES)
        messages = tuple(after[number] - before[number] for number in up.nodes)
        after_death, back, cut_off, after_birth = connections, 0.0, 0, connections
        if nodes > 1:
            cut_off = int((await _shares(up, CONNECTIONS))[-1])
            lost = crowd.lost
            await up.kill(nodes)
            killed = time.perf_counter()
            await crowd.until_lost(lost + cut_off)
            await crowd.all_up()
            back = time.perf_counter() - killed
            after_death = await _shares(up, CONNECTIONS)
            await up.start(nodes)
            await crowd.more([f"late-{number}" for number in range(sizes.clients // 2)])
            after_birth = await _shares(up, CONNECTIONS)
        await crowd.leave()
        rates, most, limited = await _rates(up, sizes, generator)
    return Round(
        connections=connections,
        same_node=same_node,
        messages=messages,
        cpu=spent,
        after_death=after_death,
        back_seconds=back,
        cut_off=cut_off,
        after_birth=after_birth,
        rates=rates,
        most=most,
        limited_by_generator=limited,
    )


async def _shares(up: System, metric: str) -> tuple[float, ...]:
    found = await up.counts(metric)
    return tuple(found[number] for number in sorted(found))


async def _places(up: System, crowd: Crowd) -> dict[str, str]:
    """The node of each client, as HAProxy calls it."""
    servers = await up.servers()
    return {client.name: servers[client.local_port] for client in crowd.clients}


async def _rates(up: System, sizes: Sizes, generator: Executor) -> tuple[dict[float, float], float, bool]:
    """p99 by rate, the highest rate that was not slow, and whether the generator ended it."""
    found: dict[float, float] = {}
    most, rate = 0.0, FIRST_RATE
    for _ in range(sizes.steps):
        job = Latency(
            port=up.port,
            connections=sizes.connections,
            per_second=rate,
            warm_up=sizes.seconds / 4,
            seconds=sizes.seconds,
        )
        for _ in range(sizes.tries):
            waits = await asyncio.wrap_future(generator.submit(latency, job))
            found[rate] = min(waits.p99, found.get(rate, waits.p99))
            if waits.late_p99 <= LATE_MS and waits.p99 <= SLOW_MS:
                break
        else:
            return found, most, waits.late_p99 > LATE_MS
        most, rate = rate, rate * STEP
    return found, most, False
