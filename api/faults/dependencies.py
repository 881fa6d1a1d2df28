"""What the routes of faults work with."""

from dataclasses import dataclass
from typing import Annotated

from api.http.dependencies import opened
from core.clock import Clock
from state.apps import AppStore
from state.faults import FaultStore


@dataclass(frozen=True, kw_only=True)
class FaultsResources:
    """The faults, as one API process reads and changes them."""

    store: FaultStore
    apps: AppStore
    allowed: bool
    """Whether faults can be made here at all (FAULTS)."""
    max_seconds: int
    """FAULTS_MAX_SECONDS."""
    clock: Clock


Resources = Annotated[FaultsResources, opened("faults")]
