import asyncio
import dataclasses
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from redis.asyncio import Redis
from starlette.requests import Request
from starlette.types import Message

from api.http import limits
from api.settings import ApiSettings
from core.errors import BadSettingsError
from runtime.settings import load
from tests.api.conftest import Parts, assert_problem, client_of, key_for
from tests.conftest import WAIT_SECONDS


def with_settings(parts: Parts, **changes: Any) -> Parts:
    return dataclasses.replace(parts, settings=parts.settings.model_copy(update=changes))


async def test_who_asks_too_often_is_told_when_to_come_back(parts: Parts) -> None:
    app = with_settings(parts, api_rate_limit=0.1, api_rate_burst=3).app()
    async with client_of(app) as client:
        answers = [await client.get("/v1/zones") for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        problem = assert_problem(answers[-1], 429)
        assert problem["type"] == "/docs#too-many"
        assert 1 <= int(answers[-1].headers["retry-after"]) <= 10
        # What operators ask is never refused: a probe would take the process out of service.
        assert (await client.get("/healthz")).status_code == 200
    other = httpx.AsyncClient(transport=httpx.ASGITransport(app, client=("192.0.2.7", 1)), base_url="http://campus")
    async with other:
        assert (await other.get("/v1/zones")).status_code == 200


async def test_a_key_has_a_limit_of_its_own_and_a_wrong_one_has_none(parts: Parts, redis_client: Redis) -> None:
    app = with_settings(parts, api_rate_limit=0.001, api_rate_burst=5).app()
    async with client_of(app) as client:
        key = await key_for(redis_client, "admin")
        # The first use is the address's, which does not know the key yet; then five of the key's.
        statuses = [(await client.get("/v1/zones/kemmy/versions", headers=key)).status_code for _ in range(7)]
        assert statuses == [200] * 6 + [429]
        # Another wrong key each time is the same address still, which has four left.
        wrong = [f"ck_{number:016x}_{'A' * 43}" for number in range(6)]
        statuses = [
            (await client.get("/v1/zones/kemmy/versions", headers={"X-API-Key": text})).status_code for text in wrong
        ]
        assert statuses == [401] * 4 + [429] * 2


router = APIRouter()


@router.post("/test/length")
async def length(request: Request) -> int:
    return len(await request.body())


@router.post("/test/swallowing")
async def swallowing(request: Request) -> str:
    try:
        await request.body()
    except Exception:  # noqa: BLE001 - as frameworks do
        return "swallowed"
    return "read"


@pytest.fixture
def app(parts: Parts) -> FastAPI:
    app = with_settings(parts, api_max_body=2000).app()
    app.include_router(router)
    return app


async def chunks(*sizes: int) -> AsyncIterator[bytes]:
    for size in sizes:
        yield b"x" * size


async def test_a_body_may_be_as_large_as_the_setting_says_and_no_larger(app: FastAPI) -> None:
    async with client_of(app) as client:
        for path in ("/test/length", "/test/swallowing"):
            assert (await client.post(path, content=b"x" * 2000)).status_code == 200
            assert (await client.post(path, content=chunks(1000, 1000))).status_code == 200
            for content in (b"x" * 2001, chunks(1000, 1000, 1), chunks(100_000)):
                answer = await client.post(path, content=content)
                problem = assert_problem(answer, 413)
                assert problem["type"] == "/docs#too-large"
                assert "2,000 bytes" in str(problem["detail"])


async def test_a_length_that_lies_does_not_help(app: FastAPI) -> None:
    async with client_of(app) as client:
        answer = await client.post("/test/length", content=chunks(1500, 1500), headers={"Content-Length": "10"})

    assert_problem(answer, 413)


async def test_a_body_that_never_comes_is_408(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "BODY_SECONDS", 0.05)
    sent: list[Message] = []

    async def never() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/test/swallowing",
        "raw_path": b"/test/swallowing",
        "query_string": b"",
        "headers": [(b"content-length", b"10")],
        "client": ("192.0.2.7", 1),
    }
    async with asyncio.timeout(WAIT_SECONDS):
        await app(scope, never, send)

    assert sent[0]["status"] == 408


async def test_only_named_origins_may_read_answers_and_none_by_default(parts: Parts) -> None:
    page = {"Origin": "https://map.example.org"}
    async with client_of(parts.app()) as client:
        assert "access-control-allow-origin" not in (await client.get("/v1/zones", headers=page)).headers
    open_to = with_settings(parts, cors_origins="https://map.example.org,https://other.example.org")
    async with client_of(open_to.app()) as client:
        answer = await client.get("/v1/zones", headers=page)
        assert answer.headers["access-control-allow-origin"] == "https://map.example.org"
        assert "ETag" in answer.headers["access-control-expose-headers"]
        assert (await client.get("/v1/zones/atlantis", headers=page)).headers["access-control-allow-origin"]
        asked = {**page, "Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "If-Match"}
        preflight = await client.options("/v1/zones/kemmy", headers=asked)
        assert preflight.status_code == 200
        assert "PUT" in preflight.headers["access-control-allow-methods"]
        stranger = {"Origin": "https://evil.example.org"}
        assert "access-control-allow-origin" not in (await client.get("/v1/zones", headers=stranger)).headers


@pytest.mark.parametrize("origins", ["map.example.org", "https://a.example/path", "https://a b", "ftp://a", "null"])
def test_an_origin_that_is_none_is_refused_at_the_start(monkeypatch: pytest.MonkeyPatch, origins: str) -> None:
    monkeypatch.setenv("CORS_ORIGINS", origins)

    with pytest.raises(BadSettingsError, match="CORS_ORIGINS"):
        load(ApiSettings)
