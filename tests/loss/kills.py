"""The trial: nodes are killed for as long as it takes, while clients send, and subscribers hop between the nodes."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random

from broker.auth.passwords import hash_password
from broker.auth.users import User, Users
from core.kinds import Role
from tests.loss.clients import Account, Client, Sender, Subscriber
from tests.loss.system import System, running_system
from tests.loss.trial import stored_numbers
from tests.redis_servers.clients import client_of

PASSWORD = b"a password of the trial"
SUBSCRIBERS = 3
RATE = 40.0
"""Messages a second of each sender."""
WINDOW = 50
HOP_SECONDS = (1.0, 6.0)
NUMBERS = 10_000_000
"""Of one sender of positions: they begin at its own multiple of it."""
LIMIT_SECONDS = 120.0
"""After the last kill: whoever is not through by then is stuck."""


@dataclass(frozen=True, slots=True)
class Plan:
    """So many kills over so many seconds, at moments that the seed gives."""

    kills: int
    seconds: float
    seed: int


@dataclass(slots=True)
class Outcome:
    """What came of it."""

    kills: int = 0
    sent: int = 0
    connects: int = 0
    missing: list[str] = field(default_factory=list)
    """Acknowledged, and not where they belong."""
    doubled: list[str] = field(default_factory=list)
    """Of QoS 2, and more than once at a subscriber."""
    lost_sessions: int = 0
    refused: dict[int, int] = field(default_factory=dict)
    through: dict[str, float] = field(default_factory=dict)
    """By client: seconds from the last kill until something came through: an acknowledgement, or a message."""
    caught_up: dict[str, float] = field(default_factory=dict)
    """By client: seconds until something came through that was sent after the last kill. A subscriber first gets what
    has waited in its queue, in order: that takes as long as the queue is."""
    stuck: list[str] = field(default_factory=list)

    @property
    def slowest(self) -> float:
        """Seconds from the last kill until every client was through again."""
        return max(self.through.values(), default=0.0)


def _position(first: int, number: int) -> bytes:
    return b"%d" % (first + number)


def _message(name: str, number: int) -> bytes:
    return f"{name} {number}".encode()


class Traffic:
    """All clients of the trial."""

    def __init__(self, port: int, random: Random) -> None:
        def account(name: str) -> Account:
            return Account(port, name, PASSWORD, random)

        self.positions = [
            Sender(
                account(f"positions-{number}"),
                qos=1 + number % 2,
                topic=("car-iotp", "mobile-iotp")[number // 2],
                rate=RATE,
                window=WINDOW,
                payload=partial(_position, number * NUMBERS),
            )
            for number in range(4)
        ]
        self.messages = {
            name: Sender(
                account(name),
                qos=1 + number % 2,
                topic=f"loss/{name}",
                rate=RATE,
                window=WINDOW,
                payload=partial(_message, name),
            )
            for number, name in enumerate(f"messages-{number}" for number in range(4))
        }
        self.subscribers = [
            Subscriber(account(f"subscriber-{number}"), topic_filter="loss/#", sent_at=self._sent_at)
            for number in range(SUBSCRIBERS)
        ]

    def _sent_at(self, payload: bytes) -> float:
        name, _, number = payload.decode().partition(" ")
        return self.messages[name].sent_at[int(number)]

    @property
    def senders(self) -> list[Sender]:
        """Of positions and of messages."""
        return [*self.positions, *self.messages.values()]

    @property
    def clients(self) -> list[Client]:
        """All of them."""
        return [*self.senders, *self.subscribers]

    @property
    def users(self) -> dict[str, Role]:
        """Who they are."""
        return {
            **{client.name: Role.GATEWAY for client in self.positions},
            **{client.name: Role.SERVICE for client in (*self.messages.values(), *self.subscribers)},
        }

    def missing(self, stored: Mapping[int, int]) -> list[str]:
        """What was acknowledged, and is not in the streams or not at each subscriber."""
        positions = [
            f"{sender.name} {number}"
            for index, sender in enumerate(self.positions)
            for number in sorted(sender.done)
            if index * NUMBERS + number not in stored
        ]
        return positions + [
            f"{name} {number} at {subscriber.name}"
            for subscriber in self.subscribers
            for name, sender in self.messages.items()
            for number in sorted(sender.done)
            if f"{name} {number}".encode() not in subscriber.got
        ]

    def doubled(self) -> list[str]:
        """What was sent at QoS 2, and came more than once."""
        twice = {name for name, sender in self.messages.items() if sender.qos == 2}
        return [
            f"{payload.decode()} at {subscriber.name}"
            for subscriber in self.subscribers
            for payload, count in subscriber.got.items()
            if count > 1 and payload.decode().partition(" ")[0] in twice
        ]


async def try_kills(plan: Plan, folder: Path, progress: Callable[[str], None]) -> Outcome:
    """Do it. `folder` is for the files of all processes; its path must be short, for sockets are there."""
    random, outcome = Random(plan.seed), Outcome()  # noqa: S311 - it is to be repeatable
    # Whoever is kept out for long shall lose nothing for want of room: what is tried is something else.
    room = {
        "QUEUE_MAX_LENGTH": "50000",
        "QUEUE_MAX_BYTES": "33554432",
        "SESSIONS_USER_MAX_BYTES": "33554432",
        "SESSIONS_MAX_BYTES": "134217728",
        "INBOX_MAX_BYTES": "33554432",
        "QUEUE_POSITIONS_MAX_AGE": "900",
    }
    settings = {"MQTT_ALLOW_ANONYMOUS": "false", "DRAIN_NOTICE": "0", **room}
    async with running_system(folder, of_nodes=settings) as system:
        traffic = Traffic(system.port, random)
        async with client_of(system.redis.url) as client:
            await Users(client).put(
                [User(name, role.name, hash_password(PASSWORD)) for name, role in traffic.users.items()]
            )
        async with asyncio.TaskGroup() as group:
            running = [group.create_task(each.run()) for each in traffic.clients]
            async with asyncio.timeout(LIMIT_SECONDS):
                for subscriber in traffic.subscribers:
                    await subscriber.subscribed.wait()
            sending = [group.create_task(each.publish()) for each in traffic.senders]
            hopping = [group.create_task(each.hop(system.unstick, HOP_SECONDS)) for each in traffic.subscribers]
            await _kill(plan, system, random, traffic, progress)
            last = asyncio.get_running_loop().time()
            for task in hopping:
                task.cancel()
            await _until_through(traffic, outcome, last)
            for sender in traffic.senders:
                sender.stopped = True
            await asyncio.gather(*sending)
            await _settle(traffic)
            for task in running:
                task.cancel()
        outcome.kills = system.kills
        outcome.missing = traffic.missing(await stored_numbers(system.redis.url))
    outcome.doubled = traffic.doubled()
    outcome.sent = sum(sender.sent for sender in traffic.senders)
    outcome.connects = sum(each.connects for each in traffic.clients)
    outcome.lost_sessions = sum(each.lost_sessions for each in traffic.clients)
    for each in traffic.clients:
        for code, count in each.refused.items():
            outcome.refused[code] = outcome.refused.get(code, 0) + count
    return outcome


async def _kill(plan: Plan, system: System, random: Random, traffic: Traffic, progress: Callable[[str], None]) -> None:
    loop = asyncio.get_running_loop()
    begun = loop.time()
    for number in range(plan.kills):
        due = begun + plan.seconds * (number + random.uniform(0.2, 1.0)) / plan.kills
        await asyncio.sleep(max(0.0, due - loop.time()))
        await system.kill_a_node(random)
        sent, waits = sum(each.sent for each in traffic.senders), sum(each.waits for each in traffic.senders)
        progress(f"{number + 1} of {plan.kills} kills, {sent} messages sent, {waits} of them under way")


async def _until_through(traffic: Traffic, outcome: Outcome, last: float) -> None:
    loop = asyncio.get_running_loop()
    while loop.time() - last < LIMIT_SECONDS and len(outcome.caught_up) < len(traffic.clients):
        await asyncio.sleep(0.02)
        for each in traffic.clients:
            if each.last > last:
                outcome.through.setdefault(each.name, each.last - last)
            if each.fresh > last:
                outcome.caught_up.setdefault(each.name, loop.time() - last)
    outcome.stuck = [each.name for each in traffic.clients if each.name not in outcome.caught_up]


async def _settle(traffic: Traffic) -> None:
    """Wait until everything that was sent is acknowledged and has arrived, if it does."""
    loop = asyncio.get_running_loop()
    wanted = sum(sender.sent for sender in traffic.messages.values())
    limit = loop.time() + LIMIT_SECONDS
    while loop.time() < limit:
        waits = sum(sender.waits for sender in traffic.senders)
        if not waits and all(len(each.got) >= wanted for each in traffic.subscribers):
            return
        await asyncio.sleep(0.05)
