"""Work that a node has begun beside its stages, held until it ends."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import structlog

_log = structlog.stdlib.get_logger("broker")


class Tasks:
    """The tasks that are under way."""

    def __init__(self, ended: Callable[[], None]) -> None:
        """`ended` is called after each of them."""
        self._ended = ended
        self._under_way: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._under_way)

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Begin something; what it raises is for whoever asked for it."""
        return self._begin(work, self._over)

    def detach(self, work: Coroutine[Any, Any, None], failed: Callable[[], None] = lambda: None) -> None:
        """Begin something that nobody waits for; where it meets a defect that is logged, and `failed` is called."""
        self._begin(work, partial(self._check, failed))

    def cancel(self) -> None:
        """Ask all of them to end."""
        for task in self._under_way:
            task.cancel()

    async def end(self) -> None:
        """Cancel all of them, and those that they begin meanwhile, until none is left."""
        while self._under_way:
            self.cancel()
            await asyncio.wait(self._under_way)

    def _begin(self, work: Coroutine[Any, Any, None], over: Callable[[asyncio.Task[None]], None]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(work)
        self._under_way.add(task)
        task.add_done_callback(over)
        return task

    def _over(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        self._ended()

    def _check(self, failed: Callable[[], None], task: asyncio.Task[None]) -> None:
        self._over(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a defect of ours", exc_info=error)
            failed()
