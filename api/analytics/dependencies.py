"""What the routes of analytics work with."""

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

from api.analytics.flow_days import FlowDays
from api.http.dependencies import opened
from api.privacy import least_of
from api.zones import Zones
from core.clock import Clock
from core.kinds import KindId, Kinds
from disclosure.policy import Policy
from timeseries import TimeseriesStore


@dataclass(frozen=True, kw_only=True)
class AnalyticsResources:
    """Where results are, and how much of them may be told."""

    kinds: Kinds
    zones: Zones
    store: TimeseriesStore
    clock: Clock
    policy: Policy
    """How much may be told of counts. Where it is not open, all that `store` has is of released ones."""
    flows_least: int
    """FLOWS_MIN_DEVICES."""

    @cached_property
    def flow_days(self) -> FlowDays:
        """Flows, as far as they may be shown."""
        return FlowDays(self.store, clock=self.clock, least=self.least_devices)

    def least_of(self, kind: KindId) -> int:
        """Under which number counts of a kind, and forecasts of them, are withheld."""
        return least_of(kind, self.kinds, self.policy.least, released=not self.policy.is_open)

    def told(self) -> dict[str, bool]:
        """The member of an answer that says that its counts are released ones; none where they are true."""
        return {} if self.policy.is_open else {"protected": True}

    @property
    def has_paths(self) -> bool:
        """Whether visits and flows are told: they are made of where single devices went, and of no released count."""
        return self.policy.is_open

    @property
    def least_devices(self) -> int:
        """Under how many devices flows and visits are withheld, of every kind."""
        return max(self.policy.least, self.flows_least)


Resources = Annotated[AnalyticsResources, opened("analytics")]
"""The parameter through which a route receives them."""
