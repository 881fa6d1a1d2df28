"""The newest answers about all zones, for those who follow: written as GET writes them."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import msgspec

from api.analytics.anomalies import anomalies, as_expected, read_anomalies
from api.analytics.body import DAY_MS, HOUR_MS, Range
from api.analytics.dependencies import AnalyticsResources
from api.analytics.flows import Flows, flows
from api.analytics.forecast import Forecast, forecast
from api.analytics.visits import ZoneVisits, visits
from core.kinds import KindId
from timeseries.results import DAYS

MOST_ZONES = 500
"""Of a campus with more zones no answer about a single zone is kept: each of them is some questions to the store."""
Body = Flows | Forecast | ZoneVisits


@dataclass(frozen=True, slots=True)
class Newest:
    """Answers, as JSON."""

    bodies: Mapping[str, bytes] = field(default_factory=lambda: MappingProxyType({}))
    """By path, without its first slash. What is asked for by kind has a member for each kind; what was never computed
    is left out."""


class NewestAnswers:
    """Asks for them, again only where something was computed since, or an hour has passed."""

    def __init__(self, resources: AnalyticsResources) -> None:
        self._resources = resources
        self._newest = Newest()
        self._seen: object = None

    async def anomalies(self) -> dict[str, bytes]:
        """What is not as expected, by zone: the bodies of GET /v1/zones/{zone}/anomaly that have any.

        Raises UnavailableError.
        """
        return {zone: msgspec.json.encode(body) for zone, body in (await read_anomalies(self._resources)).items()}

    def as_expected(self, zone: str) -> bytes:
        """The body about a zone without any anomaly."""
        return msgspec.json.encode(as_expected(self._resources, zone))

    async def all(self) -> Newest:
        """All answers; the same object as before where nothing was computed since. Raises UnavailableError."""
        seen = await self._state()
        if seen != self._seen:
            self._newest = Newest(await self._bodies())
            self._seen = seen
        return self._newest

    async def _state(self) -> object:
        """What is another one once something was computed."""
        resources = self._resources
        now, view = resources.clock(), resources.zones.view
        campus = view.campus.boundary.id
        computed = [
            max(
                (
                    each.values["computed_at"]
                    for each in await resources.store.results(job, start=now - 2 * DAY_MS, end=now + DAY_MS, zone=zone)
                ),
                default=None,
            )
            for job, zone in ((DAYS, None), ("forecast_score", campus), ("nowcast", campus))
        ]
        return now // HOUR_MS, view.version, computed, await self.anomalies()

    async def _bodies(self) -> dict[str, bytes]:
        resources = self._resources
        view, now = resources.zones.view, resources.clock()
        asked = Range((now - DAY_MS) // HOUR_MS * HOUR_MS, -(-now // HOUR_MS) * HOUR_MS)
        found: dict[str, bytes] = {}
        if resources.has_paths:
            found["v1/flows"] = await self._by_kind(lambda kind: flows(resources, kind, asked))
        for zone in view.ids if len(view.ids) <= MOST_ZONES else ():
            found |= await self._of_zone(zone, asked)
        return {path: body for path, body in found.items() if body}

    async def _of_zone(self, zone: str, asked: Range) -> dict[str, bytes]:
        resources, path = self._resources, f"v1/zones/{zone}"
        found = {f"{path}/forecast": await self._by_kind(lambda kind: forecast(resources, zone, kind))}
        if resources.has_paths:
            found[f"{path}/visits"] = await self._by_kind(lambda kind: visits(resources, zone, kind, asked))
        if found[f"{path}/forecast"]:
            found[f"{path}/anomaly"] = msgspec.json.encode(await anomalies(resources, zone))
        return found

    async def _by_kind(self, answer: Callable[[KindId], Awaitable[Body]]) -> bytes:
        """What is answered of each kind, as one object; empty where nothing was computed of any."""
        bodies = {kind: await answer(kind) for kind in self._resources.kinds.ids}
        known = any(body.computed_at is not None for body in bodies.values())
        return msgspec.json.encode(bodies) if known else b""
