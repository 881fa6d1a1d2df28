"""A clock that begins at the traffic's present, and how decoders are made to go by it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from unittest.mock import patch

from core.clock import system_clock


@dataclass(slots=True)
class RunningClock:
    """So many milliseconds ahead of the real one. It runs: what lapses in Redis must lapse here, too."""

    ahead: int

    @classmethod
    def beginning_at(cls, moment: int) -> "RunningClock":
        """Milliseconds since the epoch."""
        return cls(moment - system_clock())

    def __call__(self) -> int:
        return system_clock() + self.ahead

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Decoders that start meanwhile go by this clock."""
        with patch("decoder.__main__.system_clock", self):
            yield
