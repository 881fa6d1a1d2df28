"""Decoders as tasks of the test's own process: to kill one is to cancel it, and the clock can be moved on."""

import asyncio

from decoder.__main__ import serve
from decoder.settings import DecoderSettings
from runtime.service import Stop


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
        while not self._task.done():  # more than once: see runtime.service
            self._task.cancel()
            await asyncio.wait([self._task], timeout=0.05)

    async def stop(self) -> None:
        self._stop.set()
        await self._task
