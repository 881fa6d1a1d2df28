"""How a track is replayed: which fixes, in which order, at which times."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from core.clock import Clock
from simulator.fix import Fix
from simulator.pacing import MAX_SPEED

AnyFix = TypeVar("AnyFix", bound=Fix)
FUTURE_LIMIT_MS = 5 * 60_000
"""How far ahead of the broker's clock a position may be before it becomes a dead letter."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How a track is replayed. Raises ValueError where two wishes contradict each other."""

    speed: float = MAX_SPEED
    """Times as fast as it was recorded."""
    shuffle: int | None = None
    """Seed of a random order; None: as recorded."""
    shift_to_now: bool = False
    """The first fix is now, and the time of the others runs as fast as `speed`."""
    limit: int | None = None
    """Only so many fixes, from the first on."""
    loop: bool = False
    """Again and again."""

    def __post_init__(self) -> None:
        """Refuse what cannot be paced."""
        if self.shuffle is not None and self.speed != MAX_SPEED:
            raise ValueError("a shuffled track has no pace: leave out --shuffle, or use --speed max")

    def total(self, track: Sequence[Fix]) -> int | None:
        """How many fixes will be sent; None where there is no end."""
        return None if self.loop else len(track[: self.limit])

    @property
    def pace(self) -> float:
        """Times as fast as the fixes of a round say: those of a shifted one have the speed in their times already."""
        return 1.0 if self.shift_to_now and self.speed != MAX_SPEED else self.speed

    def rounds(self, track: list[AnyFix], clock: Clock) -> Iterator[list[AnyFix]]:
        """The fixes of each round, in the order in which they are sent.

        Raises ValueError where `shift_to_now` would put fixes into the future that nobody accepts.
        """
        chosen = track[: self.limit]
        while True:
            fixes = self._shifted(chosen, clock()) if self.shift_to_now else chosen
            if self.shuffle is not None:
                fixes = random.Random(self.shuffle).sample(fixes, len(fixes))  # noqa: S311 - an order, no secret
            yield fixes
            if not self.loop:
                return

    def _shifted(self, fixes: list[AnyFix], now: int) -> list[AnyFix]:
        first = min(fix.at_ms for fix in fixes)
        # At --speed max nothing waits, so the times cannot run along: the track moves as it is.
        pace = 1.0 if self.speed == MAX_SPEED else self.speed
        shifted = [replace(fix, at_ms=now + round((fix.at_ms - first) / pace)) for fix in fixes]
        last = max(fix.at_ms for fix in shifted)
        if self.speed == MAX_SPEED and last - now > FUTURE_LIMIT_MS:
            raise ValueError(
                f"the last fix would be {(last - now) // 60_000} minutes ahead of now, and more than "
                f"{FUTURE_LIMIT_MS // 60_000} are refused: use --speed 1 with --shift-to-now, or a --limit"
            )
        return shifted
