"""The keeper of faults as a process, and its API."""

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from tests.conftest import eventually
from tests.oracle.processes import ROOT
from tests.ports import free_port
from tests.toxiproxy.server import toxiproxy_executable

LIMIT_SECONDS = 60.0


class Keeper:
    """The keeper's API."""

    def __init__(self, session: aiohttp.ClientSession, port: int) -> None:
        self._session = session
        self._url = f"http://127.0.0.1:{port}/faults"

    async def make(self, faults: list[dict[str, Any]], seconds: float) -> None:
        """Make faults that end by themselves."""
        wanted = [{**fault, "seconds_left": seconds} for fault in faults]
        async with self._session.put(self._url, json=wanted) as answer:
            assert answer.status == 200, await answer.text()

    async def is_over(self) -> bool:
        """Whether none is on; False also where it does not answer yet."""
        try:
            async with self._session.get(self._url) as answer:
                return not await answer.json()
        except aiohttp.ClientError:
            return False


@asynccontextmanager
async def running_keeper(ends: Mapping[str, tuple[str, str]]) -> AsyncIterator[Keeper]:
    """One that stands between parts: where the first finds it, and where the second is."""
    port = free_port()
    environment = {
        "PATH": "/usr/bin:/bin",
        "KEEPER_PORT": str(port),
        "TOXIPROXY": toxiproxy_executable(),
        "TOXIPROXY_PORT": str(free_port()),
        "FAULTS_PROXIES": ",".join(f"{between}={listen}={to}" for between, (listen, to) in ends.items()),
        "LOG_LEVEL": "error",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "controller", "keeper", cwd=ROOT, env=environment
    )
    try:
        async with aiohttp.ClientSession() as session:
            keeper = Keeper(session, port)
            await eventually(keeper.is_over, limit=LIMIT_SECONDS)
            yield keeper
    finally:
        process.terminate()
        await process.wait()
