"""One id for each request, in all lines that are logged of it and in its answer.

HAProxy gives a request its id, and logs it (`haproxy/haproxy.cfg`); what did not come by a proxy gets one here.
"""

from uuid import UUID, uuid4

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

HEADER = b"x-request-id"
_UUID_CHARACTERS = 36


class RequestIds:
    """The outermost of all: it sees the proxy's own address, and then has uvicorn say who the client is.

    So uvicorn must not do that itself (`proxy_headers=False`): behind it a proxy cannot be told from a client.
    """

    def __init__(self, app: ASGIApp, *, trusted: list[str]) -> None:
        """`trusted` are addresses and networks of proxies: API_TRUSTED_PROXIES."""
        self._app = app
        self._proxies = ProxyHeadersMiddleware(app, trusted_hosts=trusted)  # type: ignore[arg-type] # uvicorn's own types
        self._trusted = self._proxies.trusted_hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = self._given(scope) or str(uuid4())
        header = (HEADER, request.encode())

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), header]
            await send(message)

        with structlog.contextvars.bound_contextvars(request=request):
            await self._proxies(scope, receive, sending)  # type: ignore[arg-type] # uvicorn's own types

    def _given(self, scope: Scope) -> str | None:
        """The id that a trusted proxy has given it. A client's own could be anybody's, or a text of any kind."""
        client = scope.get("client")
        if not client or client[0] not in self._trusted:
            return None
        found = [value for name, value in scope["headers"] if name == HEADER]
        if len(found) != 1 or len(found[0]) != _UUID_CHARACTERS:
            return None
        try:
            return str(UUID(found[0].decode("ascii")))
        except ValueError:
            return None
