"""When each message of a load is due, whatever became of those before (an open loop)."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Schedule:
    """So many messages a second for so many seconds, evenly. Times are seconds since the load began."""

    rate: float
    seconds: float

    @property
    def total(self) -> int:
        """How many messages there are."""
        return round(self.rate * self.seconds)

    def due(self, number: int) -> float:
        """When a message is due; the first one, 0, at the beginning."""
        return number / self.rate

    def due_by(self, elapsed: float) -> int:
        """How many are due by a time."""
        return max(0, min(self.total, int(elapsed * self.rate) + 1)) if elapsed >= 0 else 0
