"""The mirror: every resource that changes, as a retained MQTT topic of the same path, with the same JSON.

One process of all does it, the holder of a lease in Redis. It publishes what differs from what it has published on its
present connection, once a second at the most; a new connection begins with everything, for nobody knows what the broker
still has. Whoever comes after it ends its connection, by the client id: what a process publishes that was stopped for
a while, and does not know yet that it is the mirror no more, does not arrive.
"""

import asyncio
import random
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import aiomqtt
import structlog

from api import mqtt
from api.feed import Look
from api.lease import Lease
from api.state import State
from core.errors import BadSettings, Unavailable
from core.runtime import Stop, pause
from state import streams
from state.client import redis_errors
from state.unreadable import bury_unreadable

EVERY_SECONDS = 1.0
"""Between two messages about one zone, at the least."""
MAX_WAIT_SECONDS = 30.0
STARTING_SECONDS = 30.0
"""After the start of the process it may be that the broker, or its users, are not there yet."""
QOS = 1

_log = structlog.stdlib.get_logger("mirror")


@dataclass(frozen=True, slots=True)
class Message:
    """What a topic is to hold."""

    payload: bytes
    content: Hashable
    """Another one is a change, whatever the payload says about the time."""


def messages_of(look: Look, zones: bytes, features: Mapping[str, bytes]) -> dict[str, Message]:
    """What each topic is to hold: `zones` is the body of GET /v1/zones, `features` those of GET /v1/zones/{zone}."""
    messages = {"v1/zones": Message(zones, zones)}
    messages |= {f"v1/zones/{zone}": Message(body, body) for zone, body in features.items()}
    everything = tuple(body.content for body in look.zones.values())
    messages["v1/occupancy"] = Message(look.everything, everything)
    messages |= {f"v1/zones/{zone}/occupancy": Message(body.json, body.content) for zone, body in look.zones.items()}
    return messages


class Mirror:
    """The mirror, as one process sees it: it publishes while the lease is held."""

    def __init__(self, state: State, lease: Lease) -> None:
        """Raises BadSettings for a MIRROR_URL that is none, and without MIRROR_USERNAME."""
        if not state.settings.mirror_username:
            raise BadSettings("MIRROR_USERNAME: MIRROR needs an MQTT user with the role service")
        self._state = state
        self._lease = lease
        self._address = mqtt.address_of(state.settings.mirror_url)
        self._too_large: frozenset[str] = frozenset()
        self._started = state.feed.elapsed()
        self._said: tuple[str, bool] | None = None

    async def run(self, stop: Stop) -> None:
        """Mirror whenever nobody else does, until `stop`."""
        failures = 0
        while not stop.is_set():
            wait = EVERY_SECONDS
            try:
                client_id = await self._lease.take()
                if client_id is not None:
                    try:
                        await self._connected(client_id, stop)
                    finally:
                        self._state.metrics.mirroring.set(0)
                        await self._lease.release()
                failures = 0
            except Unavailable as error:
                self._say(str(error))
            except (aiomqtt.MqttError, OSError) as error:
                failures += 1
                self._state.metrics.mirror_failures.inc()
                self._say(f"the broker at {self._address.host}:{self._address.port}: {error}")
                wait = random.uniform(0.5, 1) * min(2.0**failures, MAX_WAIT_SECONDS)  # noqa: S311 - no secret
            await pause(max(wait, EVERY_SECONDS), stop)

    async def _connected(self, client_id: str, stop: Stop) -> None:
        login = mqtt.login_of(self._state.settings)
        async with mqtt.client(self._address, login, client_id=client_id) as client:
            known = await self._known()
            published: dict[str, Hashable] = {}
            self._said = None
            self._state.metrics.mirroring.set(1)
            _log.info("mirroring", broker=f"{self._address.host}:{self._address.port}", user=login.name)
            while not stop.is_set():
                if await self._lease.take() is None:
                    _log.info("another process mirrors now")
                    return
                if wanted := self._wanted():
                    await self._publish(client, wanted, published, known)
                await pause(EVERY_SECONDS, stop)

    def _wanted(self) -> dict[str, Message] | None:
        look, view = self._state.feed.latest, self._state.followed.view
        # Between a change of the campus and the next look at its zones the two do not fit.
        if look is None or look.version != view.version:
            return None
        wanted = messages_of(look, view.collection, view.features)
        most = self._state.settings.mirror_max_payload
        too_large = frozenset(topic for topic, message in wanted.items() if len(message.payload) > most)
        if too_large != self._too_large:
            self._too_large = too_large
            self._state.metrics.mirror_too_large.set(len(too_large))
            if too_large:
                _log.warning("too large for the broker, and not mirrored", topics=sorted(too_large)[:10], most=most)
        return {topic: message for topic, message in wanted.items() if topic not in too_large}

    async def _publish(
        self, client: aiomqtt.Client, wanted: dict[str, Message], published: dict[str, Hashable], known: set[str]
    ) -> None:
        """Publish what is new; clear what is gone. `published` and `known` are kept up."""
        changed = [topic for topic, message in wanted.items() if published.get(topic) != message.content]
        if new := [topic for topic in changed if topic not in known]:
            # First, so that whoever mirrors next can clear what this one leaves behind.
            await self._note(new)
            known.update(new)
        for topic in await self._send(client, {topic: wanted[topic].payload for topic in changed}):
            published[topic] = wanted[topic].content
        if gone := known - wanted.keys():
            for topic in await self._send(client, dict.fromkeys(sorted(gone), b"")):
                published.pop(topic, None)
            await self._forget(gone)
            known -= gone

    async def _send(self, client: aiomqtt.Client, payloads: dict[str, bytes]) -> Iterable[str]:
        """Publish, some at a time; the topics, once the broker has acknowledged them all."""
        topics = list(payloads)
        for start in range(0, len(topics), mqtt.AT_ONCE):
            if not self._lease.held:
                raise Unavailable("the lease of the mirror was not renewed in time")
            try:
                async with asyncio.TaskGroup() as group:
                    for topic in topics[start : start + mqtt.AT_ONCE]:
                        group.create_task(client.publish(topic, payloads[topic], qos=QOS, retain=True))
            except BaseExceptionGroup as errors:
                raise errors.exceptions[0] from None
        self._state.metrics.mirrored.inc(len(topics))
        return topics

    async def _known(self) -> set[str]:
        with redis_errors():
            topics = cast("set[bytes]", await cast("Any", self._state.redis.smembers(streams.MIRROR_TOPICS)))
        known = set()
        for topic in topics:
            try:
                known.add(topic.decode())
            except UnicodeDecodeError:
                await bury_unreadable(self._state.redis, "mirror:topics", "SREM", streams.MIRROR_TOPICS, topic)
        return known

    async def _note(self, topics: Iterable[str]) -> None:
        with redis_errors():
            await cast("Any", self._state.redis.sadd(streams.MIRROR_TOPICS, *topics))

    async def _forget(self, topics: Iterable[str]) -> None:
        with redis_errors():
            await cast("Any", self._state.redis.srem(streams.MIRROR_TOPICS, *topics))

    def _say(self, problem: str) -> None:
        """Once, and again when it is another problem, or lasts for longer than a start may take."""
        starting = self._state.feed.elapsed() < self._started + STARTING_SECONDS
        if (said := (problem, starting)) != self._said:
            self._said = said
            if starting:
                _log.info("not mirroring yet", waits_for=problem)
            else:
                _log.warning("cannot mirror", problem=problem)
