"""An API whose counts a test sets by hand: the pages are the real ones, what they read is made up here.

What the real API does seldom can be shown at will: streams that break, refused ones, answers that are old or kept back.
"""

import asyncio
import math
import socket
import threading
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import uvicorn
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from api.web.pages import MapOptions, pages
from core.clock import format_rfc3339, system_clock
from core.kinds import DEFAULT_KINDS, Kinds
from geofence import load_campus
from tests.conftest import WAIT_SECONDS

MINUTE_MS = 60_000
DAY_MS = 1440 * MINUTE_MS
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


class Stage:
    """The campus as a test has set it."""

    def __init__(self, options: MapOptions, kinds: Kinds) -> None:
        self.kinds = kinds
        self.campus = load_campus(None)
        self.counts: dict[str, tuple[int | None, ...]] = {}
        """By zone: one of each kind, in their order; None for what is kept back."""
        self.capacity: dict[str, int] = {}
        self.names: dict[str, str] = {}
        """Other names than those of the campus, by zone."""
        self.down = False
        """Every question is answered with 503."""
        self.refuses_streams = False
        self.frozen_at: int | None = None
        """Where the clock of the counts stands still, milliseconds since the epoch."""
        self.lag_seconds = 0
        self.stale: str | None = None
        self.asked: list[str] = []
        """The paths that were asked for."""
        self.questions: list[str] = []
        """What was asked of them: the parameters."""
        self.address = ""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._streams: set[asyncio.Queue[bytes]] = set()
        self.app = self._application(options)

    @property
    def streams(self) -> int:
        """How many read events now."""
        return len(self._streams)

    def set(self, zone: str, *counts: int | None) -> None:
        """Change a zone's counts, and tell those who listen."""
        self.counts[zone] = counts
        self._send(b"event: occupancy\nid: 1\ndata: " + msgspec.json.encode(self._occupancy(zone)) + b"\n\n")

    def campus_changed(self) -> None:
        """Tell those who listen that zones are others now."""
        self._send(b'event: zones\ndata: {"version":"2"}\n\n')

    def cut_streams(self) -> None:
        """End every stream."""
        self._send(b"")

    def listen(self, loop: asyncio.AbstractEventLoop) -> None:
        """Say which loop the streams run in."""
        self._loop = loop

    def _send(self, data: bytes) -> None:
        def put() -> None:
            for stream in self._streams:
                stream.put_nowait(data)

        if self._loop is not None:
            self._loop.call_soon_threadsafe(put)

    def _now(self) -> int:
        return system_clock() if self.frozen_at is None else self.frozen_at

    def _occupancy(self, zone_id: str) -> dict[str, Any]:
        zone = self.campus.by_id[zone_id]
        counts: dict[str, int | None] = dict(
            zip(self.kinds.ids, self.counts.get(zone_id, (0,) * len(self.kinds)), strict=True)
        )
        capacity = self.capacity.get(zone_id)
        takers = [kind.id for kind in self.kinds if zone.category in kind.capacity_of]
        used = _sum(counts[kind] for kind in takers or self.kinds.ids)
        return {
            "zone": zone_id,
            "name": self.names.get(zone_id, zone.name),
            "category": zone.category,
            **counts,
            "total": _sum(counts.values()),
            "suppressed": None in counts.values(),
            "capacity": capacity,
            "percentage": round(100 * used / capacity, 1) if capacity and used is not None else None,
            "observed_at": None,
            "lag_seconds": self.lag_seconds,
            "newest_input_at": dict.fromkeys(self.kinds.ids),
            "stale": self.stale,
            "last_updated": format_rfc3339(self._now()),
            "ttl": 1,
        }

    def _all(self) -> dict[str, Any]:
        zones = [self._occupancy(zone.id) for zone in self.campus.everything]
        return {
            "last_updated": zones[0]["last_updated"],
            "ttl": 1,
            "lag_seconds": self.lag_seconds,
            "newest_input_at": dict.fromkeys(self.kinds.ids),
            "stale": self.stale,
            "zones": zones,
        }

    def _zones(self) -> dict[str, Any]:
        collection: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(self.campus.as_feature_collection()))
        for feature in collection["features"]:
            feature["properties"]["name"] = self.names.get(feature["id"], feature["properties"]["name"])
        return collection

    def _history(self, kind: str) -> dict[str, Any]:
        end = self._now() // (5 * MINUTE_MS) * 5 * MINUTE_MS
        starts = range(end - DAY_MS, end, 5 * MINUTE_MS)
        points = [
            {
                "start": format_rfc3339(start),
                "end": format_rfc3339(start + 5 * MINUTE_MS),
                "devices": _usual(kind, start / DAY_MS % 1) + start // MINUTE_MS % 7,
                "suppressed": False,
            }
            for start in starts
        ]
        known = {"first": points[30]["start"], "last": points[-1]["start"]}
        return {
            "kind": kind,
            "window": "5m",
            "start": points[0]["start"],
            "end": points[-1]["end"],
            "points": points,
            **known,
        }

    def _summary(self, kind: str) -> dict[str, Any]:
        days = [
            {
                "weekday": weekday,
                "hours": [
                    {
                        "hour": hour,
                        "devices": float(_usual(kind, hour / 24) // (1 if number < 5 else 6)),
                        "suppressed": False,
                        "weeks": 0 if number == 6 and hour < 8 else 4,
                    }
                    for hour in range(24)
                ],
            }
            for number, weekday in enumerate(WEEKDAYS)
        ]
        return {"kind": kind, "popular_times": days}

    async def _events(self) -> AsyncIterator[bytes]:
        queue: asyncio.Queue[bytes] = asyncio.Queue()
        self._streams.add(queue)
        try:
            yield b"retry: 300\n\nevent: snapshot\ndata: " + msgspec.json.encode(self._all()) + b"\n\n"
            while data := await queue.get():
                yield data
        finally:
            self._streams.discard(queue)

    def _application(self, options: MapOptions) -> FastAPI:
        app = FastAPI()
        app.include_router(pages(self.kinds, options))

        @app.get("/v1/{path:path}")
        async def answer(request: Request, path: str) -> Response:
            self.asked.append(path)
            self.questions.append(request.url.query)
            if self.down or (path == "events" and self.refuses_streams):
                return JSONResponse({"detail": "The store is away."}, 503)
            if path == "events":
                return StreamingResponse(self._events(), media_type="text/event-stream")
            kind = request.query_params.get("kind", "")
            if path.endswith("/history"):
                return JSONResponse(self._history(kind))
            if path == "flows" or path.endswith(("/forecast", "/visits")):
                # Nothing was computed.
                return JSONResponse({"computed_at": None, "points": [], "hours": [], "flows": [], "data_end": None})
            if path.endswith("/summary"):
                return JSONResponse(self._summary(kind))
            return JSONResponse(self._zones() if path == "zones" else self._all())

        return app


def _sum(counts: Iterable[int | None]) -> int | None:
    known = [*counts]
    return None if None in known else sum(filter(None, known))


def _usual(kind: str, part_of_day: float) -> int:
    """A working day: full at noon, empty at night."""
    most = 45 if kind == "car" else 220
    return max(0, round(most * math.cos((part_of_day - 0.52) * 2 * math.pi)))


@contextmanager
def opened_stage(options: MapOptions | None = None, kinds: Kinds = DEFAULT_KINDS) -> Iterator[Stage]:
    """A stage that is served, by a thread of its own."""
    stage = Stage(options or MapOptions(), kinds)
    # It listens from now on: whoever connects before the server runs is answered once it does.
    listener = socket.create_server(("127.0.0.1", 0))
    stage.address = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    server = uvicorn.Server(uvicorn.Config(stage.app, log_config=None, lifespan="off", timeout_graceful_shutdown=1))

    async def serve() -> None:
        stage.listen(asyncio.get_running_loop())
        await server.serve(sockets=[listener])

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        yield stage
    finally:
        stage.refuses_streams = True
        stage.cut_streams()
        server.should_exit = True
        thread.join(WAIT_SECONDS)
