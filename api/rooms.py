"""The rooms of the API, put together: each with what its routes work with, and no more."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from api.analytics import AnalyticsResources, NewestAnswers
from api.apps import AppsResources
from api.auth import Access, Audit, Key, Keys
from api.faults import FaultsResources
from api.history.dependencies import HistoryResources
from api.http.metrics import ApiMetrics
from api.http.shared_limits import SharedLimits
from api.live.change_log import ChangeLog
from api.live.dependencies import LiveResources
from api.live.results import ResultsWatch
from api.occupancy import OccupancyResources, Snapshots
from api.occupancy.decoder_lag import DecoderLag
from api.occupancy.newest_input import InputWatch
from api.occupancy.released_snapshots import ReleasedSnapshots
from api.occupancy.snapshot import TakesSnapshots
from api.positions.cells import Cells
from api.positions.dependencies import Guarded, PositionsResources
from api.positions.erasure import Erasure
from api.positions.ingest import Ingest
from api.positions.pseudonyms import Pseudonyms
from api.settings import ApiSettings
from api.zones import FollowedCampus, Zones
from core.clock import Clock
from core.kinds import Kinds, Role
from documents import DocumentStore
from runtime.devices import DeviceHasher
from state.apps import AppStore
from state.client import Redis
from state.durability import Writes
from state.faults import FaultStore
from state.known_hashes import KnownHashes
from state.raw import Raw
from state.raw_redis import raw_redis
from state.server import RedisWatch
from timeseries import TimeseriesStore

Limit = Callable[[str, float, float], SharedLimits]
"""Makes one of a name, so much a second, and so much at once."""


@dataclass(frozen=True, kw_only=True)
class Rooms:
    """Those of one API process, and the kinds of devices that all of them know."""

    kinds: Kinds
    requests: SharedLimits | None
    """How often a client may ask; None where that has no limit."""
    access: Access
    audit: Audit
    zones: Zones
    occupancy: OccupancyResources
    history: HistoryResources
    analytics: AnalyticsResources
    positions: PositionsResources
    ingest: Ingest
    erasure: Erasure
    live: LiveResources
    apps: AppsResources
    faults: FaultsResources


def open_rooms(
    *,
    settings: ApiSettings,
    kinds: Kinds,
    followed: FollowedCampus,
    redis: Redis,
    watch: RedisWatch,
    store: TimeseriesStore,
    documents: DocumentStore,
    hasher: DeviceHasher,
    metrics: ApiMetrics,
    clock: Clock,
    elapsed: Callable[[], float] = time.monotonic,
    change_log: ChangeLog | None = None,
    keys: Redis | None = None,
) -> Rooms:
    """The rooms over these resources, which whoever calls opens and closes.

    `elapsed` gives seconds since any moment, and never goes back. `keys` is the Redis of keys, where there is one.
    Raises BadSettingsError for POSITION_RATE and POSITION_MAX_AGE.
    """
    partitions, rate = settings.partitions, settings.api_rate_limit
    changes = change_log or ChangeLog()
    app_store = AppStore(redis)

    def limit(name: str, rate: float, burst: float) -> SharedLimits:
        return SharedLimits(redis, name, rate=rate, burst=burst, hidden=hasher.client, elapsed=elapsed)

    access = Access(
        keys=Keys(redis, clock=clock),
        public_occupancy=settings.api_public_occupancy,
        with_purpose=not settings.policy.is_open,
    )
    audit = Audit(redis=redis, clock=clock, kept=not settings.policy.is_open)
    zones = Zones(
        kinds=kinds,
        followed=followed,
        redis=redis,
        partitions=partitions,
        access=access,
        clock=clock,
        finest=None if settings.policy.is_open else settings.finest_zones,
    )
    snapshots = _snapshots(settings, kinds, followed=followed, redis=redis, clock=clock, elapsed=elapsed)
    analytics = AnalyticsResources(
        kinds=kinds,
        zones=zones,
        store=store,
        clock=clock,
        policy=settings.policy,
        flows_least=settings.flows_min_devices,
    )
    return Rooms(
        kinds=kinds,
        requests=limit("requests", rate, settings.api_rate_burst) if rate else None,
        access=access,
        audit=audit,
        zones=zones,
        occupancy=OccupancyResources(
            zones=zones,
            snapshots=snapshots,
            newest=changes,
            clock=clock,
            ttl=settings.occupancy_ttl,
            slot_ms=None if settings.policy.is_open else settings.policy.slot_ms,
        ),
        history=HistoryResources(
            kinds=kinds,
            zones=zones,
            store=store,
            clock=clock,
            timezone=ZoneInfo(settings.campus_timezone),
            most=settings.history_max_points,
            policy=settings.policy,
        ),
        analytics=analytics,
        positions=PositionsResources(
            zones=zones,
            documents=documents,
            redis=redis,
            clock=clock,
            audit=audit,
            guarded=_guarded(settings, documents=documents, zones=zones, hasher=hasher),
        ),
        ingest=_ingest(settings, kinds, redis=redis, watch=watch, metrics=metrics, clock=clock, limit=limit),
        erasure=Erasure(
            kinds=kinds,
            zones=zones,
            documents=documents,
            hashes=KnownHashes(hasher, redis=redis, keys=keys),
            redis=redis,
            partitions=partitions,
            clock=clock,
        ),
        live=LiveResources(
            zones=zones,
            snapshots=snapshots,
            change_log=changes,
            results=ResultsWatch(NewestAnswers(analytics), changes),
            metrics=metrics,
            heartbeat=settings.events_heartbeat,
            most=settings.events_max_streams,
            share=settings.events_address_share,
        ),
        apps=AppsResources(store=app_store, roles=[role.name for role in kinds.user_roles], clock=clock),
        faults=FaultsResources(
            store=FaultStore(redis),
            apps=app_store,
            allowed=settings.faults,
            max_seconds=settings.faults_max_seconds,
            clock=clock,
        ),
    )


def _snapshots(
    settings: ApiSettings,
    kinds: Kinds,
    *,
    followed: FollowedCampus,
    redis: Redis,
    clock: Clock,
    elapsed: Callable[[], float],
) -> TakesSnapshots:
    """Of true counts, or of released ones."""
    input_ = InputWatch(redis, kinds, clock=clock, elapsed=elapsed)
    if not settings.policy.is_open:
        return ReleasedSnapshots(
            redis, kinds=kinds, policy=settings.policy, followed=followed, input_=input_, clock=clock
        )
    return Snapshots(
        redis,
        kinds=kinds,
        settings=settings,
        followed=followed,
        lag=DecoderLag(redis, partitions=settings.partitions, clock=clock),
        input_=input_,
        clock=clock,
    )


def _guarded(settings: ApiSettings, *, documents: DocumentStore, zones: Zones, hasher: DeviceHasher) -> Guarded | None:
    policy, timezone = settings.policy, ZoneInfo(settings.campus_timezone)
    if policy.is_open:
        return None

    def names(key: Key) -> Pseudonyms:
        return Pseudonyms(hasher, key.id, timezone)

    cells = Cells(documents=documents, zones=zones, hasher=hasher, least=policy.least, width=policy.width)
    return Guarded(cells=cells, names=names)


def _ingest(
    settings: ApiSettings,
    kinds: Kinds,
    *,
    redis: Redis,
    watch: RedisWatch,
    metrics: ApiMetrics,
    clock: Clock,
    limit: Limit,
) -> Ingest:
    writes = Writes(
        raw_redis(redis),
        durability=settings.durability,
        replicas=settings.replicas,
        reserve=settings.redis_reserve,
    )
    rate = settings.position_rates(kinds).get(Role.GATEWAY)
    return Ingest(
        kinds=kinds,
        redis=redis,
        raw=Raw(client=redis, partitions=settings.partitions, writes=writes),
        partitions=settings.partitions,
        max_length=settings.raw_max_length,
        ages=settings.position_max_age_ms(kinds, most=settings.who_is_who.most_age_ms),
        by_source=settings.who_is_who.source,
        watch=watch,
        limit=limit("positions", rate.rate, rate.burst) if rate else None,
        clock=clock,
        refused=metrics.positions_refused,
    )
