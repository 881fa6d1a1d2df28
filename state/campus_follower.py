"""Following the campus in Redis: what every service does that has to know its zones."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import structlog

from core.errors import UnavailableError
from runtime.service import Stop, pause
from state.campus import StoredCampus, present_campus, present_version
from state.client import Redis

LOOK_SECONDS = 2.0
"""How long Redis may take for one answer; the connection itself would wait for much longer."""
Answer = TypeVar("Answer")
View = TypeVar("View")

_log = structlog.stdlib.get_logger("campus")


class UnusableCampusError(UnavailableError):
    """What is in Redis is no campus; the message says why. It is waited for: somebody has to put another one there."""


class CampusFollower(Generic[View]):
    """The campus as one process sees it, in the form that it needs. It is the file until Redis has another one."""

    def __init__(self, client: Redis, *, file: View, version: str, make: Callable[[StoredCampus], View]) -> None:
        """`file`, whose version is `version`, holds as long as there is no campus in Redis.

        `make` makes the same of one in Redis; it raises ValueError where it is none. It runs in a thread.
        """
        self._client = client
        self._file, self._file_version = file, version
        self._make = make
        self._taken = 0
        self.number, self.version = 0, version
        """Of the present state: as Redis counts its changes, and as the geofence names it."""
        self.view = file
        """The present state. Take it once for an answer: it is replaced while others are awaited."""

    async def run(self, stop: Stop, *, every: float) -> None:
        """Look every so many seconds until `stop`.

        While Redis is away, or holds what is no campus, what is known stays.
        """
        away = False
        while not stop.is_set():
            try:
                await self.look()
            except UnavailableError as error:
                if not away:
                    _log.warning("the campus cannot be followed", error=str(error))
                away = True
            else:
                away = False
            await pause(every, stop)

    async def look(self) -> View:
        """Take up the campus that is in Redis now. Raises UnavailableError, and UnusableCampusError."""
        number, version = await _in_time(present_version(self._client))
        if (number, version or self._file_version) != (self.number, self.version):
            await self.refresh()
        return self.view

    async def refresh(self) -> None:
        """Read the campus that is in Redis now, and take it up. Raises as `look`."""
        taken = self._taken
        present = await _in_time(present_campus(self._client))
        stored = present.stored
        view, version = self._file, self._file_version
        if stored is not None and stored.version == self.version:
            view, version = self.view, self.version
        elif stored is not None:
            try:
                # In a thread: thousands of outlines are checked.
                view, version = await asyncio.to_thread(self._make, stored), stored.version
            except ValueError as error:
                raise UnusableCampusError(str(error)) from error
        # Where another was taken meanwhile, this one may be older.
        if taken == self._taken:
            self.take(view, version)
            self.number = present.number

    def take(self, view: View, version: str) -> None:
        """Answer from this state from now on."""
        if view is not self.view:
            self._taken += 1
            self.view, self.version = view, version
            _log.info("campus", version=version)


async def _in_time(answer: Awaitable[Answer]) -> Answer:
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            return await answer
    except TimeoutError as error:
        raise UnavailableError(f"Redis did not answer within {LOOK_SECONDS} s") from error
