"""Answers without the machinery of FastAPI's parameters: bytes that are sent as they are, and what must be quick."""

from collections.abc import Awaitable, Callable
from functools import lru_cache

from fastapi.routing import APIRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from api.http.answers import etag_of, names_etag

RawHeaders = list[tuple[bytes, bytes]]


class CachedResponse:
    """A body with its headers, ready to be sent to anybody."""

    __slots__ = ("_body", "_etag", "_headers", "_not_modified")

    def __init__(self, body: bytes, *, etag: str, media_type: str, cache_control: str) -> None:
        """`etag` has its quotes."""
        self._body = body
        self._etag = etag
        self._not_modified = [(b"etag", etag.encode()), (b"cache-control", cache_control.encode())]
        self._headers = [
            (b"content-length", str(len(body)).encode()),
            (b"content-type", media_type.encode()),
            (b"x-content-type-options", b"nosniff"),
            *self._not_modified,
        ]

    async def __call__(self, scope: Scope, _: Receive, send: Send) -> None:
        """Answer a request: 304 where its If-None-Match names this body."""
        known = [value for name, value in scope["headers"] if name == b"if-none-match"]
        if known and names_etag(b",".join(known).decode("latin-1"), self._etag):
            status, headers, body = 304, self._not_modified, b""
        else:
            status, headers, body = 200, self._headers, self._body
        # The list is copied: middlewares add headers of their own to it.
        await send({"type": "http.response.start", "status": status, "headers": [*headers]})
        await send({"type": "http.response.body", "body": body})


def _json(body: bytes, cache_control: str) -> CachedResponse:
    return CachedResponse(body, etag=etag_of(body), media_type="application/json", cache_control=cache_control)


# The same bytes are prepared once. Bodies about all zones can be large, those about one cannot.
cached_all = lru_cache(maxsize=2)(_json)
"""The newest JSON body about all zones, prepared; with its Cache-Control."""
cached_zone = lru_cache(maxsize=256)(_json)
"""A JSON body about one zone, prepared; with its Cache-Control."""


def route_with(quick: Callable[[Scope], Awaitable[ASGIApp | None]]) -> type[APIRoute]:
    """A class of routes that ask `quick` for a response first, and do what they otherwise do where it has none.

    No dependency of the route is asked before: `quick` gives nothing where one could refuse the request.
    """

    class QuickRoute(APIRoute):
        async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
            if scope["method"] == "GET" and (response := await quick(scope)) is not None:
                await response(scope, receive, send)
            else:
                await super().handle(scope, receive, send)

    return QuickRoute
