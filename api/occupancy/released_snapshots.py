"""All zones as they are told where PRIVACY is not open: by released counts, which change once a slot at the most.

Nothing in an answer is of true counts, or of when anything came in: the user by whom the API logs in to Redis there may
not read them (decision 67).
"""

import asyncio

from api.occupancy.body import OccupancyBodies
from api.occupancy.newest_input import Input, InputWatch
from api.occupancy.snapshot import Snapshot, ZonePart
from api.zones import CampusView, FollowedCampus
from core.clock import Clock, format_rfc3339
from core.errors import UnavailableError
from core.kinds import Kinds
from disclosure.policy import Policy
from geofence import Zone
from state.client import Redis
from state.released import Released, read_released, released_at

REDIS_SECONDS = 2.0
"""How long an answer waits for Redis, and for its turn to ask."""
LATE_SLOTS = 3
"""Released counts that are older are doubted."""


class ReleasedSnapshots:
    """Takes snapshots of all zones, for one process."""

    def __init__(
        self,
        client: Redis,
        *,
        kinds: Kinds,
        policy: Policy,
        followed: FollowedCampus,
        input_: InputWatch,
        clock: Clock,
    ) -> None:
        self._client = client
        self._bodies = OccupancyBodies(kinds, least=policy.least, released=True)
        self._policy = policy
        self._followed = followed
        self.input = input_
        """Whether brokers live; when messages came is in no answer."""
        self._clock = clock
        self._taking = asyncio.Lock()
        self._released: Released | None = None
        self._of: tuple[CampusView, Released] | None = None
        """What `_parts` are of."""
        self._parts: list[ZonePart] = []

    async def take(self) -> Snapshot:
        """All zones as they are told now.

        Raises UnavailableError if Redis does not answer in time, and where nothing was ever released.
        """
        try:
            async with asyncio.timeout(REDIS_SECONDS), self._taking:
                view, now = self._followed.view, self._clock()
                stale = (await self.input.status()).stale
                released = await self._read()
                self._take_up(view, released)
        except TimeoutError as error:
            raise UnavailableError(f"Redis did not answer within {REDIS_SECONDS} s") from error
        stale = stale or self._late(released, now)
        # No lag, and no time of any message: none of it is of released counts.
        shared = self._bodies.shared_members(
            now=released.at, ttl=self._policy.slot_ms // 1000, lag=0, input_=Input(newest={}, stale=stale)
        )
        return Snapshot(
            at=now,
            version=view.version,
            shared=shared,
            zones=view.places,
            parts=self._parts,
            stale=stale,
            told_at=released.at,
        )

    async def take_zone(self, zone: Zone) -> bytes:
        """What GET answers about this zone alone, as it is told now. Raises UnavailableError as `take`."""
        snapshot = await self.take()
        # A zone that the campus has lost meanwhile was there when it was asked for.
        return snapshot.zone(zone.id) or snapshot.one(self._bodies.released_part(zone, {}))

    async def _read(self) -> Released:
        """What is told now; all of it is read only where another slot was told."""
        known = self._released
        if known is None or await released_at(self._client) != (known.at, known.version):
            known = self._released = await read_released(self._client)
        if known is None:
            raise UnavailableError("no counts were released yet: a decoder with the stage release does that")
        return known

    def _late(self, released: Released, now: int) -> str | None:
        if now - released.at <= LATE_SLOTS * self._policy.slot_ms:
            return None
        return f"No counts were released since {format_rfc3339(released.at)}: these are those of then."

    def _take_up(self, view: CampusView, released: Released) -> None:
        """Write what is said of zones: as long as it is the same of one, its part is the same object."""
        before = self._of
        if before is not None and before[0] is view and before[1] is released:
            return
        known = dict(zip(before[0].places, self._parts, strict=True)) if before else {}
        self._of = None
        parts = []
        for zone in view.campus.everything:
            part = self._bodies.released_part(zone, released.counts.get(zone.id, {}))
            old = known.get(zone.id)
            parts.append(old if old is not None and old.json == part.json else part)
        # A slot in which nothing was another leaves the list the same.
        same = before is not None and before[0] is view and all(map(lambda a, b: a is b, parts, self._parts))
        self._parts = self._parts if same else parts
        self._of = view, released
