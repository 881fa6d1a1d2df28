"""Decoder and API in one process, by a clock that is moved by hand: what is published of positions that are sent."""

import json
import random
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx

from api.http.metrics import ApiMetrics
from api.live.change_log import ChangeLog
from api.live.mirrored import Mirrored
from api.live.poller import poll_once
from api.settings import ApiSettings
from api.zones.campus import FollowedCampus
from core.clock import format_rfc3339, system_clock
from core.kinds import DEFAULT_KINDS, KindId, Role
from core.messages import RawMessage
from decoder.archive import Archiver
from decoder.batch import BatchDecoder
from decoder.campus import CampusFollower
from decoder.coverage import CoverageRecorder
from decoder.device_keys import KeyKeeper
from decoder.devices import DeviceHasher
from decoder.effects import Effects
from decoder.metrics import DecoderMetrics
from decoder.observe import Observer
from decoder.release import Release
from decoder.released_windows import ReleasedWindows
from decoder.rollup import Rollup
from decoder.settings import DecoderSettings
from decoder.walks import Walks, ZoneWalks, decoded, encoded
from disclosure.policy import Policy
from disclosure.walk import begun
from documents import open_store as open_documents
from geofence import Geofence
from runtime.settings import CommonSettings
from state.client import Redis, open_redis
from state.dead_letters import DeadLetters
from state.entries import encode_entries, group_of
from state.group import Group
from state.newest_input import note_newest_input
from state.nodes import NODES
from state.raw import ARCHIVE_GROUP, Finisher, Raw, keys_of
from state.raw_group import RawGroup
from state.released import WALKS
from state.sources import Sources
from tests.api.conftest import Parts, client_of
from tests.privacy.attacks.place import Place, the_campus
from timeseries import open_store

SLOT_MS = 30_000
HOUR_MS = 3_600_000
TTL = 86_400
"""Seconds: who does not move does not send either."""
_AT_ONCE = 5000


@dataclass(slots=True)
class HandClock:
    """Milliseconds since the epoch, and the seconds of stopwatches."""

    now: int

    def __call__(self) -> int:
        return self.now

    def elapsed(self) -> float:
        return self.now / 1000


class System:
    """One that runs a slot at a time. Its devices send to nobody else."""

    def __init__(
        self,
        *,
        clock: HandClock,
        redis: Redis,
        policy: Policy,
        client: httpx.AsyncClient,
        parts: Parts,
        group: RawGroup,
        observer: Observer,
        rollup: Rollup,
        coverage: CoverageRecorder,
        archiver: Archiver,
        positions: Group,
        release: Release | None,
        released_windows: ReleasedWindows | None,
    ) -> None:
        """`release` and `released_windows` are there where the policy is not open."""
        self.clock = clock
        self.redis = redis
        self.policy = policy
        self.client = client
        self.parts = parts
        self._group = group
        self._observer = observer
        self._rollup = rollup
        self._coverage = coverage
        self._archiver = archiver
        self._positions = positions
        self._release = release
        self._released_windows = released_windows
        # With a seed, as `running` has one; none is that of the coins of trials.
        self._draw = random.Random("thresholds that begin anew").randrange  # noqa: S311
        self._mirrored = Mirrored(10_000_000)
        self._raw = Raw(client=redis, partitions=1)

    async def send(self, devices: Iterable[tuple[str, Place]], kind: str = "mobile", *, user: str = "") -> None:
        """Let devices say where they are, now, and count that; as this user, or as nobody."""
        now = self.clock.now
        role = DEFAULT_KINDS.role(kind) if user else Role.ANONYMOUS
        messages = [
            RawMessage(f"{kind}-iotp", user, role.name, now, _payload(device, place, now)) for device, place in devices
        ]
        if not messages:
            return
        await self._raw.append(0, encode_entries(map(group_of, messages)), most=10 * _AT_ONCE)
        await note_newest_input(self.redis, {KindId(kind): now})
        left = len(messages)
        while left:
            entries = await self._group.read(_AT_ONCE)
            await self._observer(entries)
            left -= self._group.size(entries)

    async def archive(self) -> None:
        """Make documents of the positions that were counted since the last time, of which there are some."""
        await self._archiver(await self._positions.read(_AT_ONCE))

    async def end_slot(self) -> None:
        """Move the clock to the next slot, and do all that follows from what was counted until then."""
        self.clock.now = (self.clock.now // SLOT_MS + 1) * SLOT_MS
        while await self._rollup.step():
            pass
        await self._coverage.step()
        if self._release is not None and self._released_windows is not None:
            await self._release.step(self.clock.now)
            while await self._released_windows.step():
                pass
        await poll_once(self.parts.live)

    async def beat(self) -> None:
        """A broker says that it lives."""
        await self.redis.hincrby(NODES, "one", 1)

    async def forget_walks(self) -> None:
        """All counts were told as nobody, and any threshold may follow: an attacker knows least of them then.

        Windows that are open stay as they are.
        """
        text = await self.redis.get(WALKS)
        held = decoded(text) if isinstance(text, bytes) else None
        if held is not None:
            zones = {name: self._begun(name, each) for name, each in held.zones.items()}
            await self.redis.set(WALKS, encoded(Walks(held.at, zones, held.windows)))

    def _begun(self, name: str, zone: ZoneWalks) -> ZoneWalks:
        width = self.policy.campus_width if name == "campus" else self.policy.width
        return ZoneWalks(zone.shape, 0, {kind: begun(width=width, draw=self._draw) for kind in zone.walks}, width)

    async def get(self, path: str, **parameters: str | int) -> Any:  # noqa: ANN401 - JSON
        """What GET answers; what is refused is None."""
        answer = await self.client.get(path, params=parameters)
        return answer.json() if answer.status_code == httpx.codes.OK else None

    def events_since(self, number: int) -> bytes:
        """What a stream of events was sent after this number."""
        return self.parts.live.change_log.since(number) or b""

    def mirror(self) -> dict[str, bytes]:
        """What the mirror publishes now, by topic."""
        view, snapshot = self.parts.live.zones.view, self.parts.live.change_log.latest
        if snapshot is None:
            return {}
        found = self._mirrored.changes(view, snapshot)
        self._mirrored.published(view, snapshot)
        return found


@asynccontextmanager
async def running(url: str, folder: Path, **settings: Any) -> AsyncIterator[System]:
    """A system on this Redis, which is emptied; `settings` are those of privacy."""
    clock = HandClock(system_clock() // HOUR_MS * HOUR_MS)
    common = {"data_dir": folder, "presence_ttl": TTL, "partitions": 1, **settings}
    decoding = DecoderSettings(**common)
    # Zones may be drawn over one another: more than they may by default.
    serving = ApiSettings(**common, api_rate_limit=0, history_max_points=100_000, privacy_zone_depth=3)
    async with AsyncExitStack() as resources:
        redis = await resources.enter_async_context(open_redis(CommonSettings(redis_url=url)))
        await redis.flushall()
        store = await resources.enter_async_context(open_store(decoding))
        await store.setup()
        released = None
        if not serving.policy.is_open:
            released = await resources.enter_async_context(open_store(decoding, released=True))
            await released.setup()
        documents = await resources.enter_async_context(open_documents(decoding))
        await documents.setup()
        who, timezone = decoding.who_is_who, ZoneInfo(decoding.campus_timezone)
        campus, hasher, metrics = the_campus(), DeviceHasher(b"k" * 32, rotates=who.rotates), DecoderMetrics()
        keeper = (
            KeyKeeper(client=redis, hasher=hasher, rotation=who.rotation, zone=timezone, clock=clock, metrics=metrics)
            if who.rotates
            else None
        )
        parts = Parts(
            settings=serving,
            kinds=DEFAULT_KINDS,
            followed=FollowedCampus(client=redis, file=campus),
            redis=redis,
            store=released or store,
            documents=documents,
            hasher=hasher,
            metrics=ApiMetrics(),
            clock=clock,
            elapsed=clock.elapsed,
            change_log=ChangeLog(elapsed=clock.elapsed),
        )
        client = await resources.enter_async_context(client_of(parts.app()))
        decoder = BatchDecoder(
            kinds=DEFAULT_KINDS,
            fence=Geofence(campus),
            hasher=hasher,
            partitions=1,
            rules=decoding.rules(DEFAULT_KINDS),
            presence_ttl=TTL,
            by_source=who.source,
        )
        group = RawGroup(client=redis, partition=0, partitions=1, consumer="one", claim_after_ms=60_000)
        await group.create()
        observer = Observer(
            partition=0,
            decoder=decoder,
            campus=CampusFollower(
                kinds=DEFAULT_KINDS, client=redis, decoder=decoder, file=campus, metrics=metrics, partitions=1
            ),
            effects=Effects(
                client=redis,
                partitions=1,
                kinds=DEFAULT_KINDS,
                zone=timezone,
                away=hasher.away,
                presence_ttl=TTL,
                rollup_every=0,
                dead_letters_max=100,
                implausible_speed=decoding.implausible_speed,
            ),
            finisher=Finisher(client=redis, partitions=1, dead_letters_max=100),
            clock=clock,
            metrics=metrics,
            keys=keeper,
            sources=Sources(redis) if who.source else None,
        )
        rollup = Rollup(
            client=redis,
            store=store,
            kinds=DEFAULT_KINDS,
            clock=clock,
            metrics=metrics,
            partitions=1,
            timezone=timezone,
            every_ms=0,
            batch_size=1000,
            dead_letters_max=100,
        )
        coverage = CoverageRecorder(
            client=redis,
            store=store,
            kinds=DEFAULT_KINDS,
            file=campus,
            clock=clock,
            metrics=metrics,
            dead_letters_max=100,
        )
        positions = Group(
            client=redis, stream=keys_of(0, 1).positions, group=ARCHIVE_GROUP, consumer="one", claim_after_ms=60_000
        )
        await positions.create()
        archiver = Archiver(
            dead_letters=DeadLetters(redis, partitions=1),
            group=positions,
            store=documents,
            clock=clock,
            metrics=metrics,
            dead_letters_max=100,
        )
        release = windows = None
        if released is not None:
            # A source with a seed: figures are to be the same again. What releases otherwise has one nobody can know.
            draw = random.Random("thresholds").randrange  # noqa: S311
            release = Release(
                client=redis,
                kinds=DEFAULT_KINDS,
                policy=serving.policy,
                partitions=1,
                ttl=TTL,
                timezone=timezone,
                file=campus,
                clock=clock,
                metrics=metrics,
                draw=draw,
            )
            windows = ReleasedWindows(
                client=redis, store=released, kinds=DEFAULT_KINDS, file=campus, clock=clock, metrics=metrics
            )
        yield System(
            clock=clock,
            redis=redis,
            policy=serving.policy,
            client=client,
            parts=parts,
            group=group,
            observer=observer,
            rollup=rollup,
            coverage=coverage,
            archiver=archiver,
            positions=positions,
            release=release,
            released_windows=windows,
        )


def _payload(device: str, place: Place, at: int) -> bytes:
    feature = {
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": place},
        "properties": {"device_id": device, "timestamp": format_rfc3339(at), "accuracy": 3},
    }
    return json.dumps(feature).encode()
