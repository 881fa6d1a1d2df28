"""One id for each request: a proxy's where it is trusted, else one of our own; in the lines and in the answer."""

from uuid import UUID

import httpx
import pytest
import structlog
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from api.http.request_id import RequestIds

GIVEN = "0f8fad5b-d9cb-469f-a165-70867728950e"


async def tell(request: Request) -> JSONResponse:
    """What a line of the log would have, and who the client is."""
    assert request.client is not None
    return JSONResponse({**structlog.contextvars.get_contextvars(), "client": request.client.host})


async def ask(*headers: tuple[str, str], peer: str = "127.0.0.1") -> tuple[str, dict[str, str]]:
    """The id in the answer, and what was told."""
    app = RequestIds(Starlette(routes=[Route("/", tell)]), trusted=["127.0.0.1", "10.0.0.0/8"])
    transport = httpx.ASGITransport(app=app, client=(peer, 4711))
    async with httpx.AsyncClient(transport=transport, base_url="http://campus") as client:
        answer = await client.get("/", headers=list(headers))
    (said,) = answer.headers.get_list("x-request-id")
    return said, answer.json()


@pytest.mark.parametrize("peer", ["127.0.0.1", "10.1.2.3"])
async def test_the_id_of_a_trusted_proxy_is_taken(peer: str) -> None:
    said, told = await ask(("X-Request-ID", GIVEN), ("X-Forwarded-For", "192.0.2.7"), peer=peer)
    assert said == told["request"] == GIVEN
    assert told["client"] == "192.0.2.7"


async def test_that_of_anybody_else_is_not() -> None:
    said, told = await ask(("X-Request-ID", GIVEN), ("X-Forwarded-For", "127.0.0.1"), peer="192.0.2.7")
    assert said == told["request"] != GIVEN
    assert UUID(said).version == 4
    assert told["client"] == "192.0.2.7"


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("X-Request-ID", "")],
        [("X-Request-ID", "12")],
        [("X-Request-ID", GIVEN + "0" * 1000)],
        [("X-Request-ID", "forged\"}{'event': 'another line'}      ")],
        [("X-Request-ID", GIVEN), ("X-Request-ID", GIVEN)],
    ],
)
async def test_what_is_no_single_uuid_is_not_taken(headers: list[tuple[str, str]]) -> None:
    said, told = await ask(*headers)
    assert said == told["request"] != GIVEN
    assert UUID(said).version == 4


async def test_nothing_is_left_of_it_for_the_next_one() -> None:
    first, _ = await ask()
    second, _ = await ask()
    assert first != second
    assert "request" not in structlog.contextvars.get_contextvars()
