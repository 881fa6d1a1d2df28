"""Who may rewrite and delete files of the lake: one at a time. Appending needs no lock.

In a folder it is the operating system's lock on `_lock`, which ends with its process. In a bucket `_lock` is an object
that says who has it and until when, renewed while work goes on, and taken over when it has lapsed.
"""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from core.clock import Clock, system_clock
from core.errors import UnavailableError
from core.unreadable import UNREADABLE
from lake.layout import LOCK
from lake.store import Lake, Version

LEASE_MS = 300_000
"""How long it is held without being renewed. A step (`Hold.renew`) must take less: reading, sorting and storing some
dozens of megabytes."""
SKEW_MS = 60_000
"""How far clocks of those who want it may be apart."""
_RENEW_MS = 30_000
_LOOK_SECONDS = 0.2


class LockedError(UnavailableError):
    """Somebody else is rewriting files of the lake."""


class LockLostError(UnavailableError):
    """We were so slow that somebody else may have the lock by now: nothing more may be deleted."""


class Hold:
    """That we have the lock."""

    def __init__(self, renew: Callable[[], None]) -> None:
        self._renew = renew

    def renew(self) -> None:
        """To be called before each file that is deleted. Raises LockLostError, and UnavailableError."""
        self._renew()


@contextmanager
def held(lake: Lake, owner: str, *, wait_seconds: float = 0.0, clock: Clock = system_clock) -> Iterator[Hold]:
    """The lock of a lake, for as long as the block lasts. `owner` is who has it, for people.

    Raises LockedError where somebody else has it after `wait_seconds`, which block this thread; and UnavailableError.
    """
    until = time.monotonic() + wait_seconds
    while True:
        try:
            taken = _Flock(lake.folder) if lake.folder else _Lease(lake, owner, clock)
            break
        except LockedError:
            if time.monotonic() >= until:
                raise
        time.sleep(_LOOK_SECONDS)
    try:
        yield Hold(taken.renew)
    finally:
        taken.release()


class _Flock:
    def __init__(self, folder: Path) -> None:
        try:
            self._descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise UnavailableError(f"the folder {folder} cannot be used: {error}") from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._descriptor)
            raise LockedError(f"somebody else is rewriting files in the folder {folder}") from error

    def renew(self) -> None:
        """It ends with this process, and not before."""

    def release(self) -> None:
        os.close(self._descriptor)


class _Body(msgspec.Struct, frozen=True):
    owner: str
    until: int
    """Milliseconds since the epoch; 0: nobody has it."""


class _Lease:
    def __init__(self, lake: Lake, owner: str, clock: Clock) -> None:
        self._lake = lake
        self._owner = owner
        self._clock = clock
        self._until = clock() + LEASE_MS
        body = self._body(self._until)
        found = lake.version(LOCK)
        if found is None:
            if not lake.create(LOCK, body):
                raise LockedError(f"somebody else is rewriting files in {lake.name}")
        else:
            other = _read(found)
            if other.until and clock() <= other.until + SKEW_MS:
                raise LockedError(f"{other.owner} is rewriting files in {lake.name}")
            if not lake.replace(LOCK, body, found):
                raise LockedError(f"somebody else is rewriting files in {lake.name}")

    def renew(self) -> None:
        now = self._clock()
        if now < self._until - LEASE_MS + _RENEW_MS:
            return
        found = self._mine()
        until = now + LEASE_MS
        if found is None or not self._lake.replace(LOCK, self._body(until), found):
            raise LockLostError(f"somebody else has taken over the lock of {self._lake.name}")
        self._until = until

    def release(self) -> None:
        # Not deleted: an object cannot be deleted on the condition that it is still ours.
        found = self._mine()
        if found is not None:
            self._lake.replace(LOCK, self._body(0), found)

    def _mine(self) -> Version | None:
        """The lock, if it is as we left it: each owner's times are its own, and names are of one process."""
        found = self._lake.version(LOCK)
        return found if found is not None and found.data == self._body(self._until) else None

    def _body(self, until: int) -> bytes:
        return msgspec.json.encode(_Body(self._owner, until))


def _read(found: Version) -> _Body:
    try:
        return msgspec.json.decode(found.data, type=_Body)
    except UNREADABLE:
        # Nobody of ours has written that, so nobody of ours has the lock.
        return _Body("nobody", 0)
