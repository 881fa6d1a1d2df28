"""One update at a time: made of what the campus says, kept, and told to whoever asks or subscribes."""

import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from random import SystemRandom

import aiomqtt

from apps.kit.campus import Campus, CampusError, Zone

LONGEST_PAUSE = 30.0
"""Seconds between two tries to reach the campus."""
_log = logging.getLogger("app")
_random = SystemRandom()

Text = Callable[[Zone, Campus, datetime], Awaitable[str]]
"""What a version says of a zone at an instant (UTC). Raises CampusError where it cannot say anything."""


@dataclass(frozen=True, slots=True)
class Version:
    """What makes a version: its names, and what it says."""

    app: str
    version: str
    zone: str
    """Id of the zone that it follows, unless ZONE names another."""
    text: Text

    @property
    def topic(self) -> str:
        """Where it publishes. Whoever gets this version sees it as `apps/{app}/latest`."""
        return f"app-versions/{self.app}/{self.version}/latest"


@dataclass(frozen=True, slots=True)
class Update:
    """What a version last said."""

    text: str
    made_at: datetime

    def body(self, version: Version) -> bytes:
        """The JSON that is answered over REST and published over MQTT."""
        content = {
            "app": version.app,
            "version": version.version,
            "text": self.text,
            "made_at": self.made_at.isoformat(timespec="seconds").replace("+00:00", "Z"),
        }
        return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


class Updates:
    """Makes updates as long as it runs."""

    def __init__(
        self, version: Version, campus: Campus, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._version = version
        self._campus = campus
        self._now = now
        self.latest: Update | None = None
        self.problem = "nothing was heard of the campus yet"
        """Why there is nothing new; empty where all is well."""

    async def follow(self, pause: Callable[[float], Awaitable[None]], client_id: str) -> None:
        """Follow the zone, and publish each update whose text is another, for ever."""
        failures = 0
        while True:
            try:
                async with self._campus.connection(client_id) as client:
                    async for zone in self._campus.zones(client):
                        failures = 0
                        await self._take(zone, client)
                self.problem = "the broker has ended the connection"
            except (aiomqtt.MqttError, CampusError) as error:
                self.problem = str(error)
            failures += 1
            longest = min(2.0**failures, LONGEST_PAUSE)
            _log.warning("%s; again in %.0f s at the most", self.problem, longest)
            await pause(_random.uniform(longest / 2, longest))

    async def _take(self, zone: Zone, client: aiomqtt.Client) -> None:
        text = await self._version.text(zone, self._campus, self._now())
        self.problem = ""
        if self.latest is None or text != self.latest.text:
            self.latest = Update(text, self._now())
        # Also what has not changed: with a new connection nobody knows what the broker still has.
        await client.publish(self._version.topic, self.latest.body(self._version), qos=1, retain=True)
