"""The mirror: every resource that changes, as a retained MQTT topic of the same path, with the same JSON.

One process of all does it, the holder of a lease in Redis. It publishes what differs from what it has published on its
present connection, once a second at the most; a new connection begins with everything, for nobody knows what the broker
still has. Whoever comes after it ends its connection, by the client id: what a process publishes that was stopped for
a while, and does not know yet that it is the mirror no more, does not arrive.
"""

import asyncio
import random

import aiomqtt
import structlog

from api.live import mqtt
from api.live.dependencies import LiveResources
from api.live.lease import Lease
from api.live.mirrored import Mirrored, result_of
from api.settings import ApiSettings
from core.errors import BadSettingsError, UnavailableError
from runtime.service import Stop, pause
from state.client import Redis
from state.mirror import forget_topics, known_topics, note_topics

EVERY_SECONDS = 1.0
"""Between two messages about one zone, at the least."""
MAX_WAIT_SECONDS = 30.0
STARTING_SECONDS = 30.0
"""After the start of the process it may be that the broker, or its users, are not there yet."""
QOS = 1

_log = structlog.stdlib.get_logger("mirror")


class Mirror:
    """The mirror, as one process sees it: it publishes while the lease is held."""

    def __init__(self, live: LiveResources, lease: Lease, *, redis: Redis, settings: ApiSettings) -> None:
        """Raises BadSettingsError for a MIRROR_URL that is none, and without MIRROR_USERNAME."""
        if not settings.mirror_username:
            raise BadSettingsError("MIRROR_USERNAME: MIRROR needs an MQTT user with the role service")
        self._live = live
        self._redis = redis
        self._settings = settings
        self._metrics = live.metrics
        self._lease = lease
        self._address = mqtt.address_of(settings.mirror_url)
        self._too_large: frozenset[str] = frozenset()
        self._started = live.change_log.elapsed()
        self._said: tuple[str, bool] | None = None
        self.shortage: str | None = None
        """Which limit of the broker is too small for the campus, as a sentence, while this process mirrors."""

    async def run(self, stop: Stop) -> None:
        """Mirror whenever nobody else does, until `stop`."""
        failures = 0
        while not stop.is_set():
            wait = EVERY_SECONDS
            try:
                client_id = await self._lease.take()
                if client_id is not None:
                    self._live.results.mirror(wanted=True)
                    try:
                        await self._connected(client_id, stop)
                    finally:
                        self._live.results.mirror(wanted=False)
                        self.shortage = None
                        self._metrics.mirroring.set(0)
                        self._metrics.mirror_over_limits.set(0)
                        await self._lease.release()
                failures = 0
            except UnavailableError as error:
                self._say(str(error))
            except (aiomqtt.MqttError, OSError) as error:
                failures += 1
                self._metrics.mirror_failures.inc()
                self._say(f"the broker at {self._address.host}:{self._address.port}: {error}")
                wait = random.uniform(0.5, 1) * min(2.0**failures, MAX_WAIT_SECONDS)  # noqa: S311 - no secret
            await pause(max(wait, EVERY_SECONDS), stop)

    async def _connected(self, client_id: str, stop: Stop) -> None:
        login = mqtt.login_of(self._settings)
        async with mqtt.client(self._address, login, client_id=client_id) as client:
            known = await known_topics(self._redis)
            mirrored = Mirrored(self._settings.mirror_max_payload)
            self._said = None
            self._metrics.mirroring.set(1)
            _log.info("mirroring", broker=f"{self._address.host}:{self._address.port}", user=login.name)
            while not stop.is_set():
                if await self._lease.take() is None:
                    _log.info("another process mirrors now")
                    return
                await self._publish(client, mirrored, known)
                await pause(EVERY_SECONDS, stop)

    async def _publish(self, client: aiomqtt.Client, mirrored: Mirrored, known: set[str]) -> None:
        """Publish what is new; clear what is gone. `known`, the topics that may be retained, is kept up."""
        snapshot, view = self._live.change_log.latest, self._live.zones.view
        # Between a change of the campus and the next look at its zones the two do not fit.
        if snapshot is None or snapshot.version != view.version:
            return
        before, newest = (mirrored.topics, mirrored.newest), self._live.results.newest
        changes = mirrored.changes(view, snapshot, newest)
        self._say_too_large(mirrored.too_large)
        if new := changes.keys() - known:
            # First, so that whoever mirrors next can clear what this one leaves behind.
            await note_topics(self._redis, new)
            known.update(new)
        await self._send(client, changes)
        mirrored.published(view, snapshot)
        if mirrored.topics is before[0] and mirrored.newest is before[1]:
            return
        self._say_shortage(mirrored)
        gone = known - mirrored.topics
        if newest is None:
            # What was computed is not known yet: what another process has published of it stays until it is.
            gone = {topic for topic in gone if result_of(topic) is None}
        if gone:
            await self._send(client, dict.fromkeys(sorted(gone), b""))
            await forget_topics(self._redis, gone)
            known -= gone

    def _say_shortage(self, mirrored: Mirrored) -> None:
        settings = self._settings
        self.shortage = mirrored.shortage(
            retained_max=settings.retained_max, retained_max_bytes=settings.retained_max_bytes
        )
        self._metrics.mirror_over_limits.set(self.shortage is not None)
        if self.shortage:
            _log.warning("the broker keeps too little for the mirror", problem=self.shortage)

    def _say_too_large(self, topics: frozenset[str]) -> None:
        if topics != self._too_large:
            self._too_large = topics
            self._metrics.mirror_too_large.set(len(topics))
            if topics:
                most = self._settings.mirror_max_payload
                _log.warning("too large for the broker, and not mirrored", topics=sorted(topics)[:10], most=most)

    async def _send(self, client: aiomqtt.Client, payloads: dict[str, bytes]) -> None:
        """Publish, some at a time, until the broker has acknowledged all."""
        topics = list(payloads)
        for start in range(0, len(topics), mqtt.AT_ONCE):
            # All zones of a large campus take longer than the lease lasts.
            if self._lease.held and self._lease.due:
                await self._lease.take()
            if not self._lease.held:
                raise UnavailableError("the lease of the mirror was not renewed in time")
            try:
                async with asyncio.TaskGroup() as group:
                    for topic in topics[start : start + mqtt.AT_ONCE]:
                        group.create_task(client.publish(topic, payloads[topic], qos=QOS, retain=True))
            except BaseExceptionGroup as errors:
                raise errors.exceptions[0] from None
        self._metrics.mirrored.inc(len(topics))

    def _say(self, problem: str) -> None:
        """Once, and again when it is another problem, or lasts for longer than a start may take."""
        starting = self._live.change_log.elapsed() < self._started + STARTING_SECONDS
        if (said := (problem, starting)) != self._said:
            self._said = said
            if starting:
                _log.info("not mirroring yet", waits_for=problem)
            else:
                _log.warning("cannot mirror", problem=problem)
