"""What the routes that read positions work with."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from api.auth import Audit, Key
from api.http.dependencies import opened
from api.positions.cells import Cells
from api.positions.pseudonyms import Pseudonyms
from api.zones import Zones
from core.clock import Clock
from documents import DocumentStore
from state.client import Redis


@dataclass(frozen=True, kw_only=True)
class Guarded:
    """How positions are told where PRIVACY is not open."""

    cells: Cells
    """To whoever has `positions:read`."""
    names: Callable[[Key], Pseudonyms]
    """By which whoever has `positions:exact` knows devices."""


@dataclass(frozen=True, kw_only=True)
class PositionsResources:
    """Where positions are."""

    zones: Zones
    documents: DocumentStore
    redis: Redis
    clock: Clock
    audit: Audit
    guarded: Guarded | None
    """None where PRIVACY is open: all who may read positions are given them as they are."""


Resources = Annotated[PositionsResources, opened("positions")]
"""The parameter through which a route receives them."""
