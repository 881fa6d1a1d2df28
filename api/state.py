"""What the routes work with: opened once by whoever starts the API, and given to each request."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, cast

from fastapi import Depends
from starlette.requests import Request

from api.auth import Access, Keys
from api.http.metrics import ApiMetrics
from api.live.change_log import ChangeLog
from api.occupancy.decoder_lag import DecoderLag
from api.occupancy.newest_input import InputWatch
from api.occupancy.snapshots import Snapshots
from api.settings import ApiSettings
from api.zones import FollowedCampus, Zones
from core.clock import Clock
from core.kinds import Kinds
from core.messages import Role
from documents import DocumentStore
from geofence import Campus
from runtime.buckets import Buckets
from runtime.devices import DeviceHasher
from runtime.failures import Failures
from runtime.position_rates import parse_rates
from state.client import Redis
from state.server import RedisWatch
from timeseries import TimeseriesStore


@dataclass(frozen=True, kw_only=True)
class State:
    """The resources of one API process."""

    settings: ApiSettings
    kinds: Kinds
    followed: FollowedCampus
    redis: Redis
    store: TimeseriesStore
    documents: DocumentStore
    hasher: DeviceHasher
    metrics: ApiMetrics
    clock: Clock
    elapsed: Callable[[], float] = time.monotonic
    """Seconds since any moment; never goes back."""
    failures: Failures = field(default_factory=Failures)
    """Of what runs beside the answers: `api.live.poller`, the mirror, and what follows the campus."""
    change_log: ChangeLog = field(default_factory=ChangeLog)
    """The newest snapshot of all zones, where `api.live.poller` takes them, and the changes."""

    @property
    def campus(self) -> Campus:
        """The campus as it is now. Take it once for an answer: another may be there after the next `await`."""
        return self.followed.view.campus

    @cached_property
    def keys(self) -> Keys:
        """The API keys, as this process sees them."""
        return Keys(self.redis, clock=self.clock)

    @cached_property
    def redis_watch(self) -> RedisWatch:
        """How full Redis is, and whether it may be used."""
        settings = self.settings
        return RedisWatch(
            client=self.redis,
            registry=self.metrics.registry,
            limit_share=settings.redis_memory_share,
            reserve=settings.redis_reserve,
        )

    @cached_property
    def positions(self) -> Buckets | None:
        """How many positions each key may send: keys are gateways. None where gateways have no limit."""
        rate = parse_rates(self.settings.position_rate).get(Role.GATEWAY)
        return None if rate is None else Buckets(rate=rate.rate, burst=rate.burst, seconds=self.elapsed)

    @cached_property
    def lag(self) -> DecoderLag:
        """How far the decoders are behind."""
        return DecoderLag(self.redis, partitions=self.settings.partitions, clock=self.clock)

    @cached_property
    def input(self) -> InputWatch:
        """Whether positions come in."""
        return InputWatch(self.redis, clock=self.clock, elapsed=self.elapsed)

    @cached_property
    def snapshots(self) -> Snapshots:
        """How all zones are read."""
        return Snapshots(
            self.redis,
            settings=self.settings,
            followed=self.followed,
            lag=self.lag,
            input_=self.input,
            clock=self.clock,
        )

    @cached_property
    def access(self) -> Access:
        """Who may do what."""
        return Access(keys=self.keys, public_occupancy=self.settings.api_public_occupancy)

    @cached_property
    def zones(self) -> Zones:
        """The zones."""
        return Zones(
            followed=self.followed,
            redis=self.redis,
            partitions=self.settings.partitions,
            access=self.access,
            clock=self.clock,
        )


async def _state_of(request: Request) -> State:
    return cast("State", request.app.state.resources)


Resources = Annotated[State, Depends(_state_of)]
"""The parameter through which a route receives the `State`."""
