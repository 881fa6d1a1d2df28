"""What the campus says of a zone: over REST, and over MQTT whenever something changes there."""

import json
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Self

import aiohttp
import aiomqtt

from apps.kit.settings import AppSettings

ANSWER_SECONDS = 10.0
MAX_BODY_BYTES = 1024 * 1024
KEEPALIVE_SECONDS = 20


class CampusError(Exception):
    """The campus did not answer, or not what was expected; the text says what."""


@dataclass(frozen=True, slots=True)
class Zone:
    """Who is in a zone now. A count is None where it is withheld, since it could tell of single people."""

    name: str
    phones: int | None
    cars: int | None
    percentage: float | None
    """Of its capacity; None where it has none, or where that is withheld."""
    stale: str | None
    """Why the counts cannot be those of now; None where they are."""


def zone_of(body: Mapping[str, Any]) -> Zone:
    """A zone as `GET /v1/zones/{zone}/occupancy` and its MQTT topic tell of it. Raises CampusError."""
    try:
        return Zone(
            name=str(body["name"]),
            phones=_count(body.get("mobile")),
            cars=_count(body.get("car")),
            percentage=None if body.get("percentage") is None else float(body["percentage"]),
            stale=None if body.get("stale") is None else str(body["stale"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise CampusError(f"that is nothing about a zone: {error!r}") from error


def _count(value: object) -> int | None:
    if value is None or isinstance(value, int):
        return value
    raise ValueError(f"{value!r} is no count")


class Campus:
    """One campus: asks its API, and listens to its brokers. To be entered before anything is asked."""

    def __init__(self, settings: AppSettings, zone_id: str) -> None:
        self.zone_id = zone_id
        """Of the zone that is followed."""
        self._settings = settings
        self._session: aiohttp.ClientSession

    async def __aenter__(self) -> Self:
        """Open what its requests share."""
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS))
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close it."""
        await self._session.close()

    async def get(self, path: str, **query: str) -> dict[str, Any]:
        """What the API answers at a path below `/v1`. Raises CampusError."""
        key = self._settings.api_key
        headers = {} if key is None else {"Authorization": f"Bearer {key.get_secret_value()}"}
        url = f"{self._settings.api_url}/v1/{path}"
        try:
            async with self._session.get(url, params=query, headers=headers) as answer:
                body = await answer.content.read(MAX_BODY_BYTES)
                if answer.status != 200:  # noqa: PLR2004 - OK
                    raise CampusError(f"{url} answers {answer.status}")
                found = json.loads(body)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise CampusError(f"{url}: {error or 'too slow'}") from error
        if not isinstance(found, dict):
            raise CampusError(f"{url} answers no JSON object")
        return found

    async def zone(self) -> Zone:
        """Who is in the zone now. Raises CampusError."""
        return zone_of(await self.get(f"zones/{self.zone_id}/occupancy"))

    def connection(self, client_id: str) -> AbstractAsyncContextManager[aiomqtt.Client]:
        """A connection to a broker; entering it raises aiomqtt.MqttError."""
        settings = self._settings
        password = settings.mqtt_password
        return aiomqtt.Client(
            settings.mqtt_host,
            settings.mqtt_port,
            username=settings.mqtt_username,
            password=None if password is None else password.get_secret_value(),
            identifier=client_id,
            keepalive=KEEPALIVE_SECONDS,
            timeout=ANSWER_SECONDS,
            tls_context=ssl.create_default_context(cafile=settings.mqtt_ca) if settings.mqtt_tls else None,
        )

    async def zones(self, client: aiomqtt.Client) -> AsyncIterator[Zone]:
        """The zone as it is, and again whenever something changes there, until the connection is lost.

        Raises aiomqtt.MqttError, and CampusError where not even the first answer comes.
        """
        await client.subscribe(f"v1/zones/{self.zone_id}/occupancy", qos=1)
        yield await self.zone()
        async for message in client.messages:
            body = message.payload
            if not isinstance(body, bytes) or not 0 < len(body) <= MAX_BODY_BYTES:
                continue
            try:
                yield zone_of(json.loads(body))
            except (CampusError, ValueError):
                continue
