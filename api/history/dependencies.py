"""What the routes of history work with."""

from dataclasses import dataclass
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from api.http.dependencies import opened
from api.privacy import least_of, released_basis
from api.zones import Zones
from core.clock import Clock
from core.kinds import KindId, Kinds
from disclosure.policy import Policy
from timeseries import TimeseriesStore


@dataclass(frozen=True, kw_only=True)
class HistoryResources:
    """Where history is, and how much of it may be told."""

    kinds: Kinds
    zones: Zones
    store: TimeseriesStore
    clock: Clock
    timezone: ZoneInfo
    """The campus's own."""
    most: int
    """How many windows one answer may hold."""
    policy: Policy
    """How much may be told of counts. Where it is not open, all that `store` has are released ones."""

    def least_of(self, kind: KindId) -> int:
        """Under which number counts of a kind are withheld."""
        return least_of(kind, self.kinds, self.policy.least, released=not self.policy.is_open)

    def told(self) -> dict[str, Any]:
        """The members of an answer that say what its counts are; none where they are true."""
        return {} if self.policy.is_open else {"protected": True, "basis": released_basis(self.policy)}


Resources = Annotated[HistoryResources, opened("history")]
"""The parameter through which a route receives them."""
