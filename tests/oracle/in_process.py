"""Decoders as tasks of the test's own process: to kill one is to cancel it, and the clock can be moved on."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from unittest.mock import patch

from core.clock import system_clock
from core.runtime import Stop
from decoder.__main__ import serve
from decoder.settings import DecoderSettings
from tests.oracle.traffic import PRESENT

LEASES_LAPSE_MS = 600_000
"""Longer than any claim holds."""


@dataclass(slots=True)
class RunningClock:
    """Begins at PRESENT, and can be moved on; milliseconds. It runs: what lapses in Redis must lapse here, too."""

    ahead: int

    @classmethod
    def at_present(cls) -> "RunningClock":
        return cls(PRESENT - system_clock())

    def __call__(self) -> int:
        return system_clock() + self.ahead

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Decoders that start meanwhile go by this clock."""
        with patch("decoder.__main__.system_clock", self):
            yield


class TaskDecoder:
    """All of `python -m decoder` but the process."""

    def __init__(self, settings: DecoderSettings) -> None:
        self._stop = Stop()
        self._task = asyncio.ensure_future(serve(settings, self._stop))

    def check(self) -> None:
        if self._task.done():
            self._task.result()
            raise AssertionError("a decoder ended although nobody asked it to")

    async def kill(self) -> None:
        while not self._task.done():  # more than once: see core.runtime
            self._task.cancel()
            await asyncio.wait([self._task], timeout=0.05)

    async def stop(self) -> None:
        self._stop.set()
        await self._task
