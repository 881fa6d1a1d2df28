"""The stage `release`: what is told of counts where PRIVACY is not open, once a slot (decision 67).

It looks at who is truly where a moment before a slot begins, so that what is told is told as it begins, however long
the look took. Any number of processes may do that: whoever is first tells the slot, and the others have drawn in vain.
"""

import asyncio
import hashlib
from collections.abc import Mapping
from functools import partial
from typing import NamedTuple
from zoneinfo import ZoneInfo

import structlog

from core.clock import Clock
from core.kinds import KindId, Kinds
from decoder.metrics import DecoderMetrics
from decoder.stage_retry import StageRetry
from decoder.walks import LOST_MS, Walking, Walks, decoded, encoded, redrawn, released_of
from disclosure.policy import Policy
from disclosure.times import slot_start
from disclosure.walk import Draw
from geofence import Campus, parse_campus
from runtime.service import Stop, pause
from state.campus import StoredCampus
from state.campus_follower import CampusFollower, UnusableCampusError
from state.client import Redis
from state.newest_input import Silence, signs_of_input
from state.presence_reader import PresenceReader
from state.released import Held, Released, ReleasedWindow, ReleasedWriter

LEAD_MS = 2000
"""How long before a slot begins the look for it does."""

_log = structlog.stdlib.get_logger("release")


class Zones(NamedTuple):
    """The zones of a campus, as far as they matter here."""

    version: str
    campus: str
    """The id of the boundary."""
    shapes: Mapping[str, str]
    """What the outline of each zone comes to, the boundary's too, by id."""


class Look(NamedTuple):
    """What a look at the counts has come to, and nobody was told yet."""

    released: Released
    walks: Walks
    over: list[ReleasedWindow]
    after: bytes
    """What it follows (`state.released.Held.mark`)."""


class Release:
    """Walks of all zones, as one process goes on with them."""

    def __init__(
        self,
        *,
        client: Redis,
        kinds: Kinds,
        policy: Policy,
        partitions: int,
        ttl: int,
        timezone: ZoneInfo,
        file: Campus,
        clock: Clock,
        metrics: DecoderMetrics,
        draw: Draw,
    ) -> None:
        """`ttl` is PRESENCE_TTL in seconds, `file` the campus as long as there is none in Redis."""
        self._client = client
        self._kinds = kinds
        self._policy = policy
        self._clock = clock
        self._metrics = metrics
        self._retry = StageRetry("release", metrics)
        self._writer = ReleasedWriter(client)
        self._reader = PresenceReader(client, kinds, partitions=partitions, ttl=ttl)
        self._silence = Silence(clock)
        self._walking = Walking(kinds=kinds.ids, policy=policy, timezone=timezone, draw=draw)
        self._campus: CampusFollower[Zones] = CampusFollower(
            client, file=_zones_of(file), version=file.version, make=_stored_zones
        )
        self._newest = 0
        """The newest slot that this process knows of."""

    async def run(self, stop: Stop) -> None:
        """Tell each slot as it begins, until `stop`; that in which it is begun at once, if nobody has."""
        slot = slot_start(self._clock(), self._policy)
        self._metrics.release_due.set(_seconds(slot + self._policy.slot_ms))
        while not stop.is_set():
            found = await self._retry.until_available(partial(self.look, slot))
            await self._until(slot, stop)
            # What comes a whole slot late is not told: the next one is looked at anew.
            if found is not None and self._clock() < slot + self._policy.slot_ms:
                await self._retry.until_available(partial(self.tell, found))
            slot = slot_start(self._clock(), self._policy) + self._policy.slot_ms
            await self._until(slot - LEAD_MS, stop)

    async def step(self, slot: int) -> bool:
        """Look and tell at once; whether this process has told the slot. Raises UnavailableError."""
        found = await self.look(slot)
        return found is not None and await self.tell(found)

    async def look(self, slot: int) -> Look | None:
        """What is to be told of a slot, which begins then (ms since the epoch); None where it is told already.

        Raises UnavailableError.
        """
        zones = await self._zones()
        held = await self._writer.held()
        if held.released is not None and slot <= held.released.at <= slot + LOST_MS:
            self._knows(held.released.at)
            return None
        before = self._before(held, slot)
        if held.released is not None and self._newest < held.released.at < slot:
            # Also who never is the first to tell knows what was told, should Redis lose it.
            self._knows(held.released.at)
        signs = await signs_of_input(self._client, self._kinds)
        await self._reader.read(list(zones.shapes), now=self._clock())
        walks, over = self._walking.step(
            before,
            held.released,
            slot=slot,
            campus=zones.campus,
            shapes=zones.shapes,
            present=self._present,
            recorded=bool(signs.beats) and self._silence.since(signs.beats) is None,
        )
        return Look(released_of(walks, zones.version), walks, over, held.mark)

    async def tell(self, look: Look) -> bool:
        """Tell it, unless somebody has told a slot meanwhile; whether it was told. Raises UnavailableError."""
        text = await asyncio.to_thread(encoded, look.walks)
        told = await self._writer.tell(look.released, after=look.after, walks=text, over=look.over)
        if told:
            self._knows(look.released.at)
            self._metrics.released_slots.inc()
        return told

    def _before(self, held: Held, slot: int) -> Walks | None:
        """The walks that are gone on with: with new thresholds where Redis has lost some, or they are of long ago."""
        walks = decoded(held.walks) if held.walks is not None else None
        if walks is None:
            if held.walks is not None:
                _log.warning("the walks in Redis cannot be read, and begin anew at what was told")
            return None
        if walks.at < self._newest or abs(slot - walks.at) > LOST_MS:
            _log.warning("the walks in Redis are old: their thresholds are drawn anew", at=walks.at, slot=slot)
            return redrawn(walks)
        return walks

    def _knows(self, slot: int) -> None:
        self._newest = slot
        self._metrics.release_due.set(_seconds(slot + self._policy.slot_ms))

    def _present(self, zone: str, kind: KindId) -> int:
        return self._reader.present[zone][kind].devices

    async def _zones(self) -> Zones:
        try:
            return await self._campus.look()
        except UnusableCampusError as error:
            # The stage observe waits for it, and says so; what is told goes on with the zones that are known.
            _log.warning("the campus in Redis cannot be used", reason=str(error))
            return self._campus.view

    async def _until(self, at: int, stop: Stop) -> None:
        if (wait := at - self._clock()) > 0:
            await pause(wait / 1000, stop)


def _zones_of(campus: Campus) -> Zones:
    shapes = {zone.id: hashlib.blake2b(zone.geometry.wkb, digest_size=8).hexdigest() for zone in campus.everything}
    return Zones(campus.version, campus.boundary.id, shapes)


def _stored_zones(stored: StoredCampus) -> Zones:
    return _zones_of(parse_campus(stored.geojson, "the campus in Redis"))._replace(version=stored.version)


def _seconds(ms: int) -> float:
    return ms / 1000
