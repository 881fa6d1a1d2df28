"""What should be, from what is: no Docker, no Redis, no clock of its own."""

import math
from collections import deque
from dataclasses import dataclass

from autoscaler.settings import AutoscalerSettings, Bounds
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

    @property
    def knows_brokers(self) -> bool:
        """Whether nothing is missing for `brokers`; else that is a lower bound."""
        return self.connections is not None and self.messages is not None

    def decoders(self, settings: AutoscalerSettings) -> float | None:
        """How many decoders' worth of work waits; None where that is not known."""
        return None if self.lag is None else self.lag / settings.decoder_lag


class Scaler:
    """The number of replicas of one service: more at once, fewer one at a time and only after the cool-down.

    One is taken away only where the load has been seen to be low enough for all of the cool-down.
    """

    def __init__(self, *, settings: AutoscalerSettings, clock: Clock, bounds: Bounds | None = None) -> None:
        """Without `bounds`, those of the brokers hold."""
        self._settings = settings
        self._bounds = bounds or settings.bounds("broker")
        self._clock = clock
        # Of what was before nothing is known: a process that is started again and again must not take one each time.
        self._changed = clock()
        self._recent: deque[tuple[int, float]] = deque()
        """When a demand was read, and the demand; each less than the one before it, as only the greatest counts."""

    def decide(self, *, running: int, demand: float | None, sure: bool = True) -> int:
        """How many there should be, where `running` are and the load is `demand` replicas' worth.

        An unknown demand changes nothing, except that the limits hold; one that is not `sure` is a lower bound, and
        takes none away. A decision to change starts the cool-down.
        """
        wanted = min(max(self._wanted(running, demand, sure=sure), self._bounds.minimum), self._bounds.maximum)
        if wanted != running:
            self._changed = self._clock()
        return wanted

    def _wanted(self, running: int, demand: float | None, *, sure: bool) -> int:
        if demand is None:
            return running
        peak = self._peak(demand)
        if demand > running:
            return math.ceil(demand)
        fits_in_fewer = peak <= (running - 1) * (1 - self._settings.scale_hysteresis)
        return running - 1 if fits_in_fewer and sure and self._rested() else running

    def _peak(self, demand: float) -> float:
        now = self._clock()
        while self._recent and self._recent[-1][1] <= demand:
            self._recent.pop()
        self._recent.append((now, demand))
        while now - self._recent[0][0] >= self._cool_down_ms and len(self._recent) > 1:
            self._recent.popleft()
        return self._recent[0][1]

    def _rested(self) -> bool:
        return self._clock() - self._changed >= self._cool_down_ms

    @property
    def _cool_down_ms(self) -> float:
        return self._settings.scale_cool_down * 1000
