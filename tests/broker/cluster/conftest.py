"""Nodes of a cluster without their connections, beside a real Redis."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import pytest
from redis.asyncio import Redis

from broker.cluster import Cluster, Limits, follower
from broker.cluster.publisher import Publish
from broker.protocol.message import Message
from core.kinds import DEFAULT_KINDS
from runtime.service import Stop
from state.routes import SubscriptionOptions
from tests.conftest import NOON, eventually

EXPIRY_MS = 60_000
MAX_AGE_MS = 30_000


class Time:
    """A wall clock in milliseconds that a test moves."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> int:
        return self.now


@dataclass
class Recorder:
    """A node's own side, which only remembers what it was told."""

    messages: list[Message] = field(default_factory=list)
    woken: list[str] = field(default_factory=list)
    states: list[str] = field(default_factory=list)
    disconnected: list[tuple[str, int]] = field(default_factory=list)
    times_fenced: int = 0
    times_users_changed: int = 0

    def deliver(self, messages: list[Message]) -> None:
        self.messages += messages

    def wake(self, client_id: str) -> None:
        self.woken.append(client_id)

    def changed(self, topics: list[str]) -> None:
        self.states += topics

    def disconnect(self, client_id: str, connection: int) -> None:
        self.disconnected.append((client_id, connection))

    def fenced(self) -> None:
        self.times_fenced += 1

    def users_changed(self) -> None:
        self.times_users_changed += 1

    @property
    def payloads(self) -> list[bytes]:
        return [message.payload for message in self.messages]


@dataclass
class Running:
    """A node and the task that it runs in."""

    cluster: Cluster
    local: Recorder
    stop: Stop
    task: "asyncio.Task[None]"

    async def leave(self) -> None:
        self.stop.set()
        await self.task

    async def die(self) -> None:
        """End without a word to anybody, as by SIGKILL."""
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task

    async def connect(
        self, client_id: str, connection: int, *, clean: bool = False, will: Message | None = None
    ) -> None:
        await self.cluster.sessions.open(client_id, connection, clean=clean, will=will)

    async def subscribe(
        self, client_id: str, connection: int, *filters: str, qos: int = 1, ingest: bool = False
    ) -> None:
        """Subscribe a persistent session, which this node has connected."""
        await self.cluster.sessions.subscribe(
            client_id, connection, dict.fromkeys(filters, qos), persistent=True, ingest=ingest, interest={}
        )

    async def want(self, *filters: str, qos: int = 2, positions: bool = False) -> None:
        """Have this node want messages, as for subscribers with clean sessions."""
        await self.cluster.sessions.interest(dict.fromkeys(filters, SubscriptionOptions(qos, positions)))

    async def publish(self, topic: str, *payloads: bytes, qos: int = 1, retain: bool = False) -> list[bool]:
        return await self.cluster.publisher.publish(
            [Publish(Message(topic, payload, qos, retain)) for payload in payloads]
        )

    async def load(self, client_id: str, connection: int, *, after: int = 0, count: int = 100) -> list[bytes]:
        """The payloads of a queue."""
        queued = await self.cluster.sessions.load(client_id, connection, after=after, count=count)
        return [message.payload for _, message, _ in queued]


class Start(Protocol):
    """Starts a node. One that does not follow hears nothing of the others, as if it were slow."""

    def __call__(self, name: str, *, follow: bool = True, **options: Any) -> Awaitable[Running]: ...


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
async def start(service_redis: Redis, time: Time, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Start]:
    monkeypatch.setattr(follower, "BLOCK_MS", 20)
    started: list[Running] = []

    async def start(name: str, *, follow: bool = True, **options: Any) -> Running:
        local = Recorder()
        limits = Limits(
            session_expiry_ms=EXPIRY_MS, queue_max_length=1000, queue_max_age_ms=MAX_AGE_MS, retained_max=1000
        )
        given = {name: options.pop(name) for name in list(options) if hasattr(limits, name)}
        made = Cluster(
            kinds=DEFAULT_KINDS,
            client=service_redis,
            name=name,
            local=local,
            clock=time,
            limits=replace(limits, **given),
            **options,
        )
        stop = Stop()
        if follow:
            running = Running(made, local, stop, asyncio.create_task(made.run(stop)))
        else:
            await made._membership.beat()
            running = Running(made, local, stop, asyncio.create_task(made.publisher.run(stop)))
        started.append(running)
        await eventually(is_well(running))
        return running

    yield start
    for running in started:
        running.stop.set()
    for running in started:
        with suppress(asyncio.CancelledError):
            await running.task


def is_well(running: Running) -> Callable[[], Awaitable[bool]]:
    """Whether a node is one of the cluster."""

    async def probe() -> bool:
        return running.cluster.problem is None

    return probe


async def delivered(running: Running, count: int) -> list[bytes]:
    """The payloads of the first messages that a node was given, once there are as many as `count`."""

    async def probe() -> bool:
        return len(running.local.messages) >= count

    await eventually(probe)
    return running.local.payloads


async def keys_of_sessions(client: Redis) -> set[bytes]:
    """All keys but those that are there without any client, too."""
    always = {
        b"nodes:{mqtt}",
        b"routes:log:{mqtt}",
        b"routes:version:{mqtt}",
        b"retained:bytes:{mqtt}",
        b"carried:{mqtt}",
    }
    return {
        key
        async for key in client.scan_iter()
        if key not in always and not key.startswith((b"node:{mqtt}:", b"inbox:{mqtt}:"))
    }
