"""Room on the disk of Redis, for whoever waits until Redis has kept something.

With `appendfsync everysec` Redis answers also where it could not write to its append-only file: what it had in hand is
in its memory alone then, until there is room (decision 18). So whoever runs Redis keeps a file beside its data, the
reserve, and removes it when less than its size is free. Nobody relies on how soon that is: who writes looks at the free
room, too, before it writes and once Redis has answered.
"""

import asyncio
import os
from pathlib import Path
from typing import Any

from redis.exceptions import ResponseError

from state.access import Right, access
from state.client import Redis
from state.codes import RedisUnavailableError

ACCESS = {Right.READ: [access("", "INFO")]}
LOOK_SECONDS = 0.1


def is_nearly_full(reserve: Path | None) -> bool:
    """Whether the disk has less room than the reserve takes, or the reserve is gone; False where nobody keeps one.

    It takes some two microseconds: what is found a moment later is too late.
    """
    if reserve is None:
        return False
    try:
        size = os.stat(reserve).st_size  # noqa: PTH116 - half the time of Path.stat
        disk = os.statvfs(reserve)
    except OSError:
        return True
    return disk.f_bavail * disk.f_frsize < size


async def until_written(server: Redis) -> None:
    """Return once all that a server has answered is in its append-only file, or it keeps none, or does not tell.

    Raises UnavailableError where it does not answer, or has been started again meanwhile.
    """
    run_id = None
    while True:
        told = await _told(server)
        if run_id not in {None, told.get("run_id")}:
            raise RedisUnavailableError("Redis was started again before it had written what it answered", code="")
        # While an fsync takes long, it gathers what is to be written; where a write has failed, it keeps it likewise.
        written = told.get("aof_last_write_status") == "ok" and not told.get("aof_buffer_length")
        if written or not told.get("aof_enabled"):
            return
        run_id = told.get("run_id")
        await asyncio.sleep(LOOK_SECONDS)


async def _told(server: Redis) -> dict[str, Any]:
    try:
        return await server.info()
    except (RedisUnavailableError, ResponseError) as error:
        if isinstance(error, RedisUnavailableError) and error.code != "NOPERM":
            raise
        return {}
