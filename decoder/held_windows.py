"""Windows that wait while the roll-up goes on with others: how many, until when, and what for."""

from collections import Counter

from decoder.metrics import DecoderMetrics


class HeldWindows:
    """What this process knows of them; the times in Redis are what holds them."""

    def __init__(self, metrics: DecoderMetrics) -> None:
        self._metrics = metrics
        self._held: list[tuple[int, int, str]] = []

    def hold(self, windows: int, until: int, reason: str) -> None:
        """Note that so many wait until then, milliseconds since the epoch."""
        self._held.append((until, windows, reason))
        self._tell()

    def forget(self, now: int) -> None:
        """They wait no longer, once their time has come."""
        if self._held:
            self._held = [each for each in self._held if each[0] > now]
            self._tell()

    def _tell(self) -> None:
        counts: Counter[str] = Counter()
        for _, windows, reason in self._held:
            counts[reason] += windows
        self._metrics.holds(
            {
                reason: "1 window of rollup waits" if count == 1 else f"{count} windows of rollup wait"
                for reason, count in counts.items()
            }
        )
        self._metrics.held_windows.set(counts.total())
