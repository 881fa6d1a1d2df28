"""Applications that are not real: each says its version, and can be made to fail."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from state.apps import Instance
from tests.conftest import free_port

APP = "update-schuman"


@dataclass(slots=True)
class FakeApp:
    """One instance. It answers any path below its own with its version."""

    version: str
    port: int = field(default_factory=free_port)
    status: int = 200
    healthy: bool = True
    asked: list[web.BaseRequest] = field(default_factory=list)
    holds: asyncio.Event | None = None
    """Answers wait for it."""
    headers: dict[str, str] = field(default_factory=dict)
    """Of each answer."""

    async def answer(self, request: web.BaseRequest) -> web.Response:
        """Any request."""
        if request.path == "/healthz":
            return web.Response(status=200 if self.healthy else 503)
        self.asked.append(request)
        if self.holds is not None:
            await self.holds.wait()
        return web.Response(status=self.status, text=self.version, headers=self.headers)

    def instance(self, *, app: str = APP, healthy: bool = True, since: int = 1) -> Instance:
        """It, as the registry has it."""
        return Instance(
            app=app,
            version=self.version,
            name=f"{app}-{self.version}-{self.port}",
            address="127.0.0.1",
            port=self.port,
            healthy=healthy,
            since=since,
        )


@asynccontextmanager
async def fake_app(version: str) -> AsyncIterator[FakeApp]:
    """An instance that listens."""
    app = FakeApp(version)
    runner = web.ServerRunner(web.Server(app.answer), shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", app.port).start()
    try:
        yield app
    finally:
        await runner.cleanup()
