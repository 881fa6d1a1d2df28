"""A client of an event stream, over ASGI alone: what it reads, and when, is up to the test."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec
from fastapi import FastAPI
from starlette.types import Message

from tests.conftest import eventually


@dataclass(frozen=True, slots=True)
class Event:
    """One event, as a browser would give it."""

    name: str
    id: str
    data: Any


@dataclass(slots=True)
class StreamClient:
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    ended: bool = False
    reads: asyncio.Event = field(default_factory=asyncio.Event)
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    aborted: bool = False

    @property
    def events(self) -> list[Event]:
        """All events so far."""
        blocks = [block for block in self.body.decode().split("\n\n") if "event: " in block]
        fields = [dict(line.split(": ", 1) for line in block.splitlines()) for block in blocks]
        return [Event(each["event"], each["id"], msgspec.json.decode(each["data"])) for each in fields]

    @property
    def heartbeats(self) -> int:
        return self.body.count(b": heartbeat\n\n")

    async def until(self, events: int) -> list[Event]:
        """All events, once there are so many."""

        async def arrived() -> bool:
            return len(self.events) >= events

        await eventually(arrived)
        return self.events

    async def until_ended(self) -> None:
        async def over() -> bool:
            return self.ended

        await eventually(over)

    # What the server's side calls.

    async def send(self, message: Message) -> None:
        await self.reads.wait()
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        else:
            self.body += message.get("body", b"")

    async def receive(self) -> Message:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    def abort(self) -> None:
        self.aborted = True
        self.gone.set()

    def set_write_buffer_limits(self, high: int) -> None:
        assert high <= 65_536

    def get_extra_info(self, name: str) -> None:
        assert name == "socket"


@asynccontextmanager
async def streaming(
    app: FastAPI,
    query: str = "",
    *,
    last_event_id: str = "",
    method: str = "GET",
    key: dict[str, str] | None = None,
    address: str = "127.0.0.1",
) -> AsyncIterator[StreamClient]:
    """A client that has asked for the events; it goes at the end."""
    client = StreamClient()
    client.reads.set()
    headers = {**({"last-event-id": last_event_id} if last_event_id else {}), **(key or {})}
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": "/v1/events",
        "raw_path": b"/v1/events",
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        "client": (address, 1),
        "server": ("campus", 80),
        "extensions": {"campus.connection": client},
    }

    async def serve() -> None:
        try:
            await app(scope, client.receive, client.send)
        finally:
            client.ended = True

    task = asyncio.create_task(serve())

    async def answered() -> bool:
        return client.status > 0 or client.ended

    try:
        await eventually(answered)
        yield client
    finally:
        client.gone.set()
        client.reads.set()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
