"""Reading all zones, at a cost that depends on what has changed since, and not on how many there are."""

import asyncio

from api.occupancy.body import OccupancyBodies
from api.occupancy.decoder_lag import DecoderLag
from api.occupancy.newest_input import InputWatch
from api.occupancy.snapshot import Snapshot, ZonePart
from api.settings import ApiSettings
from api.zones import CampusView, FollowedCampus
from core.clock import Clock
from core.errors import UnavailableError
from core.kinds import Kinds
from geofence import Zone
from state.client import Redis
from state.presence import presence_now
from state.presence_reader import PresenceReader

REDIS_SECONDS = 2.0
"""How long an answer waits for Redis, and for its turn to ask; the connection itself would wait for much longer."""


class Snapshots:
    """Takes snapshots of all zones, for one process."""

    def __init__(
        self,
        client: Redis,
        *,
        kinds: Kinds,
        settings: ApiSettings,
        followed: FollowedCampus,
        lag: DecoderLag,
        input_: InputWatch,
        clock: Clock,
    ) -> None:
        self._client = client
        self._kinds = kinds
        self._settings = settings
        self._bodies = OccupancyBodies(kinds, least=settings.policy.least)
        self._followed = followed
        self._lag = lag
        self.input = input_
        """Whether positions come in."""
        self._clock = clock
        self._reader = PresenceReader(client, kinds, partitions=settings.partitions, ttl=settings.presence_ttl)
        self._taking = asyncio.Lock()
        self._view: CampusView | None = None
        """The campus that `_parts` are of; None while they do not fit what was read."""
        self._parts: list[ZonePart] = []

    async def take(self) -> Snapshot:
        """All zones as they are now. Raises UnavailableError if Redis does not answer in time."""
        try:
            async with asyncio.timeout(REDIS_SECONDS), self._taking:
                view, now = self._followed.view, self._clock()
                shared, stale = await self._shared(now)
                changed = await self._reader.read(view.ids, now=now)
                self._take_up(view, changed)
        except TimeoutError as error:
            raise _too_late() from error
        return Snapshot(at=now, version=view.version, shared=shared, zones=view.places, parts=self._parts, stale=stale)

    async def take_zone(self, zone: Zone) -> bytes:
        """What GET answers about this zone alone, as it is now.

        Raises UnavailableError if Redis does not answer in time.
        """
        now, settings = self._clock(), self._settings
        try:
            async with asyncio.timeout(REDIS_SECONDS):
                shared, _ = await self._shared(now)
                present = await presence_now(
                    self._client,
                    [zone.id],
                    self._kinds,
                    now=now,
                    ttl=settings.presence_ttl,
                    partitions=settings.partitions,
                )
        except TimeoutError as error:
            raise _too_late() from error
        part = self._bodies.zone_part(zone, present[zone.id])
        return b"%b,%b}" % (part.json, shared)

    async def _shared(self, now: int) -> tuple[bytes, str | None]:
        """What all bodies of a moment share; and why counts cannot be those of now, if that is known."""
        lag = await self._lag.seconds()
        input_ = await self.input.status()
        shared = self._bodies.shared_members(now=now, ttl=self._settings.occupancy_ttl, lag=lag, input_=input_)
        return shared, input_.stale

    def _take_up(self, view: CampusView, changed: frozenset[str]) -> None:
        """Write what is said of zones that have changed; of all of them where the campus has."""
        before, self._view = self._view, None
        if before is view:
            # Snapshots that were taken before keep what they have.
            parts = self._parts.copy() if changed else self._parts
            for zone in changed:
                at = view.places[zone]
                parts[at] = self._part(view.campus.by_id[zone], parts[at])
        else:
            known = dict(zip(before.places, self._parts, strict=True)) if before else {}
            parts = [self._part(zone, known.get(zone.id)) for zone in view.campus.everything]
        self._parts, self._view = parts, view

    def _part(self, zone: Zone, before: ZonePart | None) -> ZonePart:
        present = self._reader.present[zone.id]
        part = self._bodies.zone_part(zone, present)
        return before if before is not None and before.json == part.json else part


def _too_late() -> UnavailableError:
    return UnavailableError(f"Redis did not answer within {REDIS_SECONDS} s")
