"""How long to wait before a process that has ended is started again, and when to give it up."""

from collections import deque

FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 30.0
MOST_ENDS = 3
WITHIN_SECONDS = 60.0
"""A process that ends `MOST_ENDS` times within that long will not get well by itself."""
WELL_SECONDS = 300.0
"""A process that has lived for so long begins with a short pause again."""


class RestartPause:
    """Of one process."""

    def __init__(self) -> None:
        self._ends: deque[float] = deque(maxlen=MOST_ENDS)
        self._pause = 0.0

    def pause(self, started: float, ended: float) -> float | None:
        """How many seconds to wait before the next start of a process that lived between two times, in seconds.

        None where it has ended too often: it is not to be started again.
        """
        self._ends.append(ended)
        if len(self._ends) == MOST_ENDS and ended - self._ends[0] < WITHIN_SECONDS:
            return None
        grown = 0.0 if ended - started >= WELL_SECONDS else 2 * self._pause
        self._pause = min(max(grown, FIRST_PAUSE_SECONDS), LONGEST_PAUSE_SECONDS)
        return self._pause
