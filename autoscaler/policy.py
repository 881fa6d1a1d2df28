"""What should be, from what is: no Docker, no Redis, no clock of its own."""

import math
from dataclasses import dataclass

from autoscaler.settings import AutoscalerSettings
from core.clock import Clock


@dataclass(frozen=True, slots=True)
class Load:
    """One reading of all replicas together; None is what could not be read."""

    connections: int | None = None
    """Open MQTT connections."""
    messages: float | None = None
    """Messages a second."""
    lag: int | None = None
    """Stream entries that no decoder has finished."""

    def brokers(self, settings: AutoscalerSettings) -> float | None:
        """How many brokers' worth it is, by whichever asks for more; None where nothing is known."""
        by_connections = None if self.connections is None else self.connections / settings.broker_connections
        by_messages = None if self.messages is None else self.messages / settings.broker_messages
        return max((part for part in (by_connections, by_messages) if part is not None), default=None)

    def decoders(self, settings: AutoscalerSettings) -> float | None:
        """How many decoders' worth of work waits; None where that is not known."""
        return None if self.lag is None else self.lag / settings.decoder_lag


class Scaler:
    """The number of replicas of one service: more at once, fewer one at a time and only after the cool-down."""

    def __init__(self, *, settings: AutoscalerSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._changed: int | None = None

    def decide(self, *, running: int, demand: float | None) -> int:
        """How many there should be, where `running` are and the load is `demand` replicas' worth.

        An unknown demand changes nothing, except that the limits hold. A decision to change starts the cool-down.
        """
        limits = self._settings
        wanted = min(max(self._wanted(running, demand), limits.scale_minimum), limits.scale_maximum)
        if wanted != running:
            self._changed = self._clock()
        return wanted

    def _wanted(self, running: int, demand: float | None) -> int:
        if demand is None:
            return running
        if demand > running:
            return math.ceil(demand)
        fits_in_fewer = demand <= (running - 1) * (1 - self._settings.scale_hysteresis)
        return running - 1 if fits_in_fewer and self._rested() else running

    def _rested(self) -> bool:
        return self._changed is None or self._clock() - self._changed >= self._settings.scale_cool_down * 1000
