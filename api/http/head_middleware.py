"""HEAD: what GET answers, without the body."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEAD = "campus.head"
"""Among the extensions of a request that was a HEAD: an answer without an end ends after its headers."""


class HeadAsGet:
    """Every GET is a HEAD, too, as RFC 9110 section 9.1 wants."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def without_body(message: Message) -> None:
            if message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        extensions = {**scope.get("extensions", {}), HEAD: {}}
        await self._app({**scope, "method": "GET", "extensions": extensions}, receive, without_body)
