"""Toxiproxy, which stands between two parts of the system and harms their connections: its process and its API.

https://github.com/Shopify/toxiproxy: one proxy for each pair of parts. What it does to them are *toxics*.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from core.errors import UnavailableError

START_SECONDS = 30.0
ANSWER_SECONDS = 5.0
_LOOK_SECONDS = 0.05
_STOP_SECONDS = 5.0


class Toxiproxy:
    """Its API, which only this process can reach. All methods raise UnavailableError where it does not answer."""

    def __init__(self, session: aiohttp.ClientSession, port: int) -> None:
        self._session = session
        self._url = f"http://127.0.0.1:{port}"

    async def create(self, name: str, *, listen: str, upstream: str) -> None:
        """Make a proxy that passes all on from an address to another, each `host:port`."""
        await self._ask("POST", "/proxies", {"name": name, "listen": listen, "upstream": upstream, "enabled": True})

    async def update(self, name: str, *, enabled: bool, upstream: str) -> None:
        """Let it pass connections on, or none; to an upstream. Whatever is connected is cut off where that changes."""
        await self._ask("PATCH", f"/proxies/{name}", {"enabled": enabled, "upstream": upstream})

    async def add(self, name: str, toxic: str, *, kind: str, share: float, attributes: Mapping[str, int]) -> None:
        """Harm what comes back through a proxy, in a share of its connections, those that there are included."""
        body = {"name": toxic, "type": kind, "stream": "downstream", "toxicity": share, "attributes": dict(attributes)}
        await self._ask("POST", f"/proxies/{name}/toxics", body)

    async def remove(self, name: str, toxic: str) -> None:
        """Do that no longer."""
        await self._ask("DELETE", f"/proxies/{name}/toxics/{toxic}", None)

    async def answers(self) -> bool:
        """Whether it does."""
        try:
            await self._ask("GET", "/version", None)
        except UnavailableError:
            return False
        return True

    async def _ask(self, method: str, path: str, body: dict[str, Any] | None) -> None:
        timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
        try:
            async with self._session.request(method, f"{self._url}{path}", json=body, timeout=timeout) as answer:
                if answer.status >= 300:  # noqa: PLR2004 - what is no success
                    said = (await answer.content.read(500)).decode(errors="replace")
                    raise UnavailableError(f"Toxiproxy answers {answer.status} to {method} {path}: {said}")
        except (aiohttp.ClientError, TimeoutError) as error:
            raise UnavailableError(f"Toxiproxy does not answer: {error or 'too slow'}") from error


@asynccontextmanager
async def running_toxiproxy(
    executable: str, session: aiohttp.ClientSession, *, port: int
) -> AsyncIterator[tuple[Toxiproxy, "asyncio.Task[int]"]]:
    """One that is this process's own, with the task that ends when it ends; it is ended with the context.

    `port` is of its API, which listens on the loopback network alone.

    Raises UnavailableError where it cannot be started.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *(executable, "-host", "127.0.0.1", "-port", str(port)), env={**os.environ, "LOG_LEVEL": "error"}
        )
    except OSError as error:
        raise UnavailableError(f"TOXIPROXY: {executable} cannot be started: {error}") from error
    proxy, ended = Toxiproxy(session, port), asyncio.create_task(process.wait())
    try:
        async with asyncio.timeout(START_SECONDS):
            while not await proxy.answers():
                if ended.done():
                    raise UnavailableError(f"TOXIPROXY: {executable} ended with {ended.result()}")
                await asyncio.sleep(_LOOK_SECONDS)
        yield proxy, ended
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                async with asyncio.timeout(_STOP_SECONDS):
                    await ended
            except TimeoutError:
                process.kill()
                await process.wait()
