"""A Redis as a campus runs it, which syncs each write before it answers, and goes away now and then."""

import asyncio
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

from redis.asyncio import Redis
from redis.exceptions import RedisError

from tests.conftest import eventually, redis_executable

IN_FLIGHT_SECONDS = 0.02
"""How long messages may have been on their way when it goes."""
AWAY_SECONDS = 2.0
STOP_SECONDS = 15.0


class DurableRedis:
    """One on a socket in `folder`, whose path must be short: a socket's has 107 bytes at the most."""

    durability = "fsynced"
    replicas = 1

    def __init__(self, folder: Path) -> None:
        self.url = f"unix://{folder / 'redis.sock'}"
        self._command = [redis_executable(), "--port", "0", "--unixsocket", str(folder / "redis.sock")]
        self._command += ["--dir", str(folder), "--save", "", "--appendonly", "yes", "--appendfsync", "always"]
        self._command += ["--logfile", str(folder / "redis.log")]
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Return once it answers."""
        self._process = await asyncio.to_thread(subprocess.Popen[bytes], self._command)
        await eventually(self._answers)

    async def kill(self) -> None:
        """End it without a warning."""
        if self._process:
            self._process.kill()
            await asyncio.to_thread(self._process.wait, STOP_SECONDS)

    async def outage(self, random: Random) -> None:
        """Go away, mostly without a warning, for up to AWAY_SECONDS, and come back with all that was answered."""
        await asyncio.sleep(random.uniform(0, IN_FLIGHT_SECONDS))
        if self._process and random.random() < 0.3:
            self._process.terminate()
            await asyncio.to_thread(self._process.wait, STOP_SECONDS)
        await self.kill()
        await asyncio.sleep(random.uniform(0, AWAY_SECONDS))
        await self.start()

    async def _answers(self) -> bool:
        async with Redis.from_url(self.url) as client:
            try:
                return bool(await client.ping())
            except (RedisError, OSError):
                return False


@asynccontextmanager
async def durable_redis(folder: Path) -> AsyncIterator[DurableRedis]:
    """A running one; it ends with the context."""
    redis = DurableRedis(folder)
    try:
        await redis.start()
        yield redis
    finally:
        await redis.kill()
