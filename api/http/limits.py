"""What one client may ask for: how often, and with how large a body. Middlewares, so that they hold for every route."""

import asyncio
import math
from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.http.problems import ProblemError

BODY_SECONDS = 30.0
"""How long a body may take to come."""
EXEMPT = frozenset({"/healthz"})
"""For the proxy in front: a probe that is refused would take the process out of service."""


class RateLimited:
    """Answers 429 to a client that asks too often."""

    def __init__(self, app: ASGIApp, *, take: Callable[[str], float], whose: Callable[[Scope], str]) -> None:
        """`take` has a client make one request; 0, or the seconds after which it may. `whose` names who that is."""
        self._app = app
        self._take = take
        self._whose = whose

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["path"] in EXEMPT:
            await self._app(scope, receive, send)
            return
        wait = self._take(self._whose(scope))
        if not wait:
            await self._app(scope, receive, send)
            return
        await _too_many(wait).answer(scope["path"])(scope, receive, send)


class BodyLimited:
    """Answers 413 to a body that is too large, and 408 to one that takes too long, whatever the route makes of that."""

    def __init__(self, app: ASGIApp, *, most: int) -> None:
        """`most` is in bytes."""
        self._app = app
        self._most = most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        length = _content_length(scope)
        if length == 0:
            await self._app(scope, receive, send)
            return
        if length is not None and length > self._most:
            await self._too_large().answer(scope["path"])(scope, receive, send)
            return
        await _Exchange(self._app, scope, receive, send, most=self._most, too_large=self._too_large()).run()

    def _too_large(self) -> ProblemError:
        return ProblemError(
            status=413,
            type_="/docs#too-large",
            title="The body is too large",
            detail=f"A body may have {self._most:,} bytes at the most: send it in parts.",
            headers={"Connection": "close"},
        )


class _Exchange:
    """One request that has a body, and its answer."""

    def __init__(
        self, app: ASGIApp, scope: Scope, receive: Receive, send: Send, *, most: int, too_large: ProblemError
    ) -> None:
        self._app = app
        self._scope = scope
        self._receive = receive
        self._send = send
        self._most = most
        self._too_large = too_large
        self._complete = False
        self._started = False
        self._problem: ProblemError | None = None
        self._loop = asyncio.get_running_loop()
        self._until = self._loop.time() + BODY_SECONDS

    async def run(self) -> None:
        try:
            await self._app(self._scope, self._receiving, self._sending)
        except ProblemError:
            # Ours, where no handler of the application's has answered it.
            if self._problem is None:
                raise
        if self._problem is not None and not self._started:
            await self._problem.answer(self._scope["path"])(self._scope, self._receive, self._send)

    async def _receiving(self) -> Message:
        if self._problem is not None:
            raise self._problem
        if self._complete:
            return await self._receive()
        try:
            async with asyncio.timeout_at(self._until):
                message = await self._receive()
        except TimeoutError:
            self._problem = ProblemError(
                status=408,
                detail=f"The body did not come within {BODY_SECONDS:.0f} s.",
                headers={"Connection": "close"},
            )
            raise self._problem from None
        self._most -= len(message.get("body", b""))
        self._complete = not message.get("more_body", False)
        if self._most < 0:
            self._problem = self._too_large
            raise self._problem
        return message

    async def _sending(self, message: Message) -> None:
        # What the application makes of our own error is not the answer: frameworks turn it into a 400, say.
        if self._problem is None or self._started:
            self._started = True
            await self._send(message)


def _content_length(scope: Scope) -> int | None:
    """How long the body is: 0 without one; None where that is not said."""
    headers = Headers(scope=scope)
    length = headers.get("content-length")
    if length is not None:
        # The server has checked that it is a number; tests have other servers.
        return int(length) if length.isascii() and length.isdigit() else None
    return None if "transfer-encoding" in headers else 0


def _too_many(wait: float) -> ProblemError:
    return too_many(wait, "You ask more often than one client may.")


def too_many(wait: float, what: str) -> ProblemError:
    """429, to be tried again after so many seconds, with a sentence on what was too much."""
    seconds = max(1, math.ceil(wait))
    return ProblemError(
        status=429,
        type_="/docs#too-many",
        title="Too many requests",
        detail=f"{what} Try again in {seconds} s.",
        headers={"Retry-After": str(seconds)},
    )
