"""Spans of the requests whose answers are the first to hold what is traced.

What observers and the roll-up have noted (`state.traces`) is followed in the background: no request waits for it.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.clock import Clock
from core.errors import UnavailableError
from core.kinds import KindId
from core.windows import Width, Window
from runtime.service import Stop, pause
from runtime.tracing import Tracing
from state.traces import Note, Notes

LOOK_SECONDS = 0.5
KNOWN = 100
"""The newest that nobody has asked for yet: each request is compared with them."""
SNAPSHOT_MS = 1_000
"""How old what an answer about now is made of may be (`api.occupancy.dependencies`)."""
NOW = frozenset({"/v1/occupancy", "/v1/zones/{zone}/occupancy"})
ANSWERED = "campus.answered"
"""What a route leaves in the scope of a request, for a span of it: a `Past`."""


class Past(NamedTuple):
    """The windows that an answer holds."""

    zones: Sequence[str]
    kind: KindId
    width: Width
    start: int
    end: int
    """From when until when windows begin, in ms since the epoch; the end is not one of them."""

    def holds(self, window: Window) -> bool:
        """Whether a window is one of them."""
        return (
            window.width is self.width
            and self.start <= window.start < self.end
            and window.kind == self.kind
            and window.zone in self.zones
        )


class Shown:
    """What was counted and stored of what is traced, and was in no answer of this process yet."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes
        self._counted: dict[str, tuple[Note, list[Window]]] = {}
        self._stored: dict[str, tuple[Note, list[Window]]] = {}

    async def run(self, stop: Stop) -> None:
        """Follow the notes that are written from now on, until `stop`."""
        begun = False
        while not stop.is_set():
            with suppress(UnavailableError):
                if begun:
                    self.take(await self._notes.new())
                else:
                    await self._notes.skip()
                    begun = True
            await pause(LOOK_SECONDS, stop)

    def take(self, notes: Sequence[Note]) -> None:
        """Know of notes."""
        for note in notes:
            known = self._stored if note.stored else self._counted
            with suppress(ValueError):
                known[note.origin] = note, [Window.parse(each) for each in note.windows]
            while len(known) > KNOWN:
                del known[next(iter(known))]

    def counted(self, zone: str | None, before: int) -> list[str]:
        """What an answer about now is the first to hold, of a zone or of all; `before` is in ms since the epoch."""
        found = [
            origin
            for origin, (note, windows) in self._counted.items()
            if note.at <= before and (zone is None or any(each.zone == zone for each in windows))
        ]
        for origin in found:
            del self._counted[origin]
        return found

    def stored(self, past: Past) -> list[str]:
        """What an answer about the past is the first to hold."""
        found = [origin for origin, (_, windows) in self._stored.items() if any(map(past.holds, windows))]
        for origin in found:
            del self._stored[origin]
        return found


class Traced:
    """Makes the spans of an application's requests."""

    def __init__(self, app: ASGIApp, *, tracing: Tracing, shown: Shown, clock: Clock) -> None:
        self._app = app
        self._tracing = tracing
        self._shown = shown
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        status = 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        began = self._clock()
        await self._app(scope, receive, sending)
        route = getattr(scope.get("route"), "path", "")
        if origins := self._first_in(scope, route, status, began):
            self._tracing.span(f"GET {route}", origins, began=began, ended=self._clock(), status=status)

    def _first_in(self, scope: Scope, route: str, status: int, began: int) -> list[str]:
        if status != 200:  # noqa: PLR2004 - a whole answer
            return []
        if past := scope.get(ANSWERED):
            return self._shown.stored(past)
        if route in NOW and not scope["query_string"]:
            return self._shown.counted(scope["path_params"].get("zone"), began - SNAPSHOT_MS)
        return []
