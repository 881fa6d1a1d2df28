"""What the routes that read positions work with."""

from dataclasses import dataclass
from typing import Annotated

from api.http.dependencies import opened
from api.zones import Zones
from core.clock import Clock
from documents import DocumentStore
from state.client import Redis


@dataclass(frozen=True, kw_only=True)
class PositionsResources:
    """Where positions are."""

    zones: Zones
    documents: DocumentStore
    redis: Redis
    clock: Clock


Resources = Annotated[PositionsResources, opened("positions")]
"""The parameter through which a route receives them."""
