"""Which layout the keys of Redis have, and how many partitions: what all services must agree on.

    layout:{campus}  hash  `version` of the layout, and `partitions`; `migrating` while `python -m state migrate` has
                           not come to its end, with what it has done (`state.upgrade`); `restoring` while a backup is
                           (`state.restoring`)

Whoever starts first on an empty Redis writes it. Who finds another one refuses to start.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, cast

from core.errors import BadSettingsError, UnavailableError
from runtime.service import Stop, pause
from state.access import Right, access
from state.client import Redis
from state.slots import CAMPUS, guard
from state.upgrade.names import TELLING

ACCESS = {
    Right.READ: [access(" ".join(("layout:{campus}", *TELLING)), "EXISTS"), access("layout:{campus}", "HMGET")],
    Right.WRITE: [access("layout:{campus}", "EVAL EXISTS HMGET HSET")],
}
LAYOUT = f"layout:{CAMPUS}"
VERSION = 3
"""Version 1 has no such key: its keys are named in `state.upgrade.names`. What became of 2: `state.upgrade.options`."""
BEFORE = "Redis has the data of the version before: stop all services, and run `python -m state migrate`"
AGAIN_SECONDS = 0.5
Stage = Callable[[Stop], Awaitable[None]]

# KEYS: guard, layout. ARGV: version, partitions. Answers version, partitions, migrating.
_AGREE = """
if redis.call('EXISTS', KEYS[2]) == 0 then
    redis.call('HSET', KEYS[2], 'version', ARGV[1], 'partitions', ARGV[2])
end
return redis.call('HMGET', KEYS[2], 'version', 'partitions', 'migrating', 'restoring')
"""
BEING_RESTORED = (
    "REDIS_URL: a backup is being restored there, or that was begun and has not come to its end: run "
    "`python -m backup restore` again"
)


@dataclass(frozen=True, slots=True)
class Layout:
    """What Redis is laid out for."""

    version: int
    partitions: int
    migrating: int | None = None
    """Where a migration was begun, and has not come to its end: the number of partitions that there were, 0 for the
    version before. Else None."""

    @classmethod
    def of(cls, answer: list[bytes | None]) -> "Layout | None":
        """From the fields `version`, `partitions` and `migrating`; None where they are none."""
        version, partitions, migrating = answer
        try:
            return cls(int(version or b""), int(partitions or b""), None if migrating is None else int(migrating))
        except ValueError:
            return None

    def fault(self, partitions: int) -> str | None:
        """Why a service with that many partitions must not work on it; None where it may."""
        if self.version > VERSION:
            return f"Redis has the data of a later version (layout {self.version}): run that one"
        if self.version < VERSION:
            return (
                f"Redis has the data of an earlier version (layout {self.version}): stop all services, and run "
                "`python -m state migrate`"
            )
        if self.migrating is not None:
            return "a migration of Redis was begun and has not come to its end: run `python -m state migrate` again"
        if self.partitions != partitions:
            return (
                f"PARTITIONS is {partitions}, and Redis is laid out for {self.partitions}: set PARTITIONS="
                f"{self.partitions}, or stop all services and run `python -m state migrate` with the new one"
            )
        return None


async def read_layout(client: Redis) -> Layout | None:
    """The layout that Redis has; None before there is one.

    Raises BadSettingsError while a backup is being restored, UnavailableError.
    """
    *layout, restoring = await cast("Any", client.hmget(LAYOUT, "version", "partitions", "migrating", "restoring"))
    if restoring is not None:
        raise BadSettingsError(BEING_RESTORED)
    return Layout.of(layout)


async def known_layout(client: Redis) -> Layout | None:
    """The same, for whoever works on what there is, however many partitions it has; None where Redis is empty.

    Raises BadSettingsError where nobody may work on it now, UnavailableError.
    """
    if await is_of_the_version_before(client):
        raise BadSettingsError(BEFORE)
    layout = await read_layout(client)
    if layout is not None and (fault := layout.fault(layout.partitions)):
        raise BadSettingsError(fault)
    return layout


async def is_of_the_version_before(client: Redis) -> bool:
    """Whether Redis has data of the version before, and no layout. Raises UnavailableError."""
    async with client.pipeline(transaction=False) as pipeline:
        for key in (LAYOUT, *TELLING):
            pipeline.exists(key)
        layout, *old = await pipeline.execute()
    return not layout and any(old)


async def agree_on_layout(client: Redis, partitions: int) -> None:
    """Write the layout where there is none. Raises BadSettingsError where Redis has another, UnavailableError."""
    if await is_of_the_version_before(client):
        raise BadSettingsError(BEFORE)
    answer = await client.register_script(_AGREE)(keys=[guard(CAMPUS), LAYOUT], args=[VERSION, partitions])
    *layout, restoring = answer
    if restoring is not None:
        raise BadSettingsError(BEING_RESTORED)
    found = Layout.of(layout)
    if found is None:
        raise BadSettingsError(f"{LAYOUT} in Redis is none that a service of ours wrote")
    if fault := found.fault(partitions):
        raise BadSettingsError(fault)


async def write_version(client: Redis) -> None:
    """Say that what Redis has is in this version's layout. Raises UnavailableError."""
    await cast("Any", client.hset(LAYOUT, "version", str(VERSION)))


def once_agreed(client: Redis, partitions: int, stage: Stage) -> Stage:
    """A stage of a service that touches nothing in Redis before the layout is agreed on."""
    return _once(lambda: agree_on_layout(client, partitions), stage)


def once_known(client: Redis, stage: Stage) -> Stage:
    """The same for a service that knows no partitions: it writes no layout, and goes by none of another version."""
    return _once(lambda: known_layout(client), stage)


def _once(look: Callable[[], Awaitable[object]], stage: Stage) -> Stage:
    async def run(stop: Stop) -> None:
        await _patiently(look, stop)
        if not stop.is_set():
            await stage(stop)

    return run


async def _patiently(look: Callable[[], Awaitable[object]], stop: Stop) -> None:
    while not stop.is_set():
        try:
            await look()
        except UnavailableError:
            await pause(AGAIN_SECONDS, stop)
        else:
            return
