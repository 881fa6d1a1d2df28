import dataclasses
from base64 import b64encode
from typing import Annotated, Any

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from redis.asyncio import Redis

from api.auth.access import public_occupancy, requires
from api.auth.keys import Key
from api.live.poller import poll_once
from api.settings import ApiSettings
from disclosure.policy import Privacy
from state.client import open_redis
from tests.api.conftest import Parts, assert_problem, client_of, client_over, key_for
from tests.conftest import free_port

router = APIRouter()


@router.get("/test/read", dependencies=[requires("positions:read")])
async def read() -> str:
    return "read"


@router.get("/test/who")
async def who(key: Annotated[Key, requires("admin")]) -> str:
    return key.name


@router.get("/test/public", dependencies=[public_occupancy])
async def public() -> str:
    return "public"


@pytest.fixture
def guarded(parts: Parts) -> FastAPI:
    app = parts.app()
    app.include_router(router)
    return app


async def test_without_a_key_what_needs_one_is_401_with_a_challenge(guarded: FastAPI) -> None:
    async with client_of(guarded) as client:
        answer = await client.get("/test/read")

    problem = assert_problem(answer, 401)
    assert problem["type"] == "/docs#key-needed"
    assert answer.headers["www-authenticate"].startswith("Bearer realm=")
    assert answer.headers["cache-control"] == "no-store"


async def test_a_key_with_the_scope_is_let_in_by_either_header(guarded: FastAPI, redis_client: Redis) -> None:
    bearer = await key_for(redis_client, "positions:read")
    text = bearer["Authorization"].removeprefix("Bearer ")
    async with client_of(guarded) as client:
        basic = b64encode(f"ann:{text}".encode()).decode()
        # A password that a front asks for, beside a key for what is behind it.
        front = {"Authorization": f"Basic {b64encode(b'ann:front').decode()}", "X-API-Key": text}
        for headers in (
            *(bearer, {"Authorization": f"bearer  {text}"}, {"X-API-Key": text}),
            *({"Authorization": f"Basic {basic}"}, {"Authorization": f"BASIC  {basic} "}, front),
        ):
            assert (await client.get("/test/read", headers=headers)).json() == "read"


async def test_a_key_with_another_scope_is_403_that_names_the_one_that_is_needed(
    guarded: FastAPI, redis_client: Redis
) -> None:
    async with client_of(guarded) as client:
        answer = await client.get("/test/read", headers=await key_for(redis_client, "positions:write"))

    problem = assert_problem(answer, 403)
    assert problem["type"] == "/docs#scope-needed"
    assert "positions:read" in str(problem["detail"])
    assert 'error="insufficient_scope"' in answer.headers["www-authenticate"]


@pytest.mark.parametrize("scope", ["positions:read", "positions:exact", "admin"])
async def test_unless_all_is_open_positions_are_read_with_keys_alone_that_say_what_for(
    parts: Parts, redis_client: Redis, scope: str
) -> None:
    settings = parts.settings.model_copy(update={"privacy": Privacy.PROTECTED})
    protected = dataclasses.replace(parts, settings=settings).app()
    protected.include_router(router)
    without = await key_for(redis_client, scope)
    with_one = await key_for(redis_client, scope, purpose="a study of queues")
    async with client_of(protected) as client:
        problem = assert_problem(await client.get("/test/read", headers=without), 403)
        assert (await client.get("/test/read", headers=with_one)).json() == "read"

    assert (problem["type"], problem["title"]) == ("/docs#purpose-needed", "The key has no purpose")
    assert "python -m api keys add --purpose" in problem["detail"]


async def test_admin_implies_all_and_the_route_is_told_whose_key_it_is(guarded: FastAPI, redis_client: Redis) -> None:
    admin = await key_for(redis_client, "admin", name="operations")
    async with client_of(guarded) as client:
        assert (await client.get("/test/read", headers=admin)).json() == "read"
        assert (await client.get("/test/who", headers=admin)).json() == "operations"


@pytest.mark.parametrize(
    "sent",
    [
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer wrong"},
        {"Authorization": f"Bearer ck_{'0' * 16}_{'A' * 43}"},
        {"X-API-Key": ""},
        {"X-API-Key": "A" * 5000},
        {"Authorization": b"Bearer \xff\xfe"},
        {"Authorization": "Basic "},
        {"Authorization": "Basic ???"},
        {"Authorization": "Basic YW5u"},
        {"Authorization": "Basic YW5uOg=="},
        {"Authorization": "Basic //79/g=="},
        {"Authorization": b"Basic \xff\xfe"},
    ],
)
async def test_a_wrong_key_is_401_and_its_text_is_not_repeated(guarded: FastAPI, sent: dict[str, Any]) -> None:
    async with client_of(guarded) as client:
        answer = await client.get("/test/read", headers=sent)

    assert_problem(answer, 401)
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]
    assert "AAAA" not in answer.text


async def test_another_way_to_log_in_is_no_key(guarded: FastAPI) -> None:
    async with client_of(guarded) as client:
        answer = await client.get("/test/read", headers={"Authorization": "Basic YTpi"})

    assert_problem(answer, 401)


async def test_without_redis_a_key_is_unavailable_and_not_refused(parts: Parts, redis_client: Redis) -> None:
    headers = await key_for(redis_client, "admin")
    async with open_redis(ApiSettings(redis_url=f"redis://127.0.0.1:{free_port()}")) as away:
        app = dataclasses.replace(parts, redis=away).app()
        app.include_router(router)
        async with client_of(app) as client:
            assert_problem(await client.get("/test/read", headers=headers), 503)


async def test_occupancy_is_public_unless_the_setting_says_otherwise(parts: Parts, redis_client: Redis) -> None:
    private = dataclasses.replace(parts, settings=parts.settings.model_copy(update={"api_public_occupancy": False}))
    paths = (
        "/v1/zones",
        "/v1/zones/kemmy",
        "/v1/occupancy",
        "/v1/zones/kemmy/occupancy",
        "/v1/zones/kemmy/occupancy/history?kind=car",
    )
    async with client_over(parts) as client:
        for path in paths:
            assert (await client.get(path)).status_code == 200, path
    key = await key_for(redis_client, "occupancy:read")
    # Also what is prepared for everybody.
    await poll_once(private.live)
    async with client_over(private) as client:
        for path in paths:
            assert_problem(await client.get(path), 401)
            answer = await client.get(path, headers=key)
            assert answer.status_code == 200, path
            assert "public" not in answer.headers["cache-control"], path
        assert_problem(await client.get("/v1/events"), 401)
        assert (await client.get("/healthz")).status_code == 200


async def test_the_document_says_how_a_key_is_sent(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()

    assert document["components"]["securitySchemes"].keys() == {"basic", "bearer", "header"}
    put = document["paths"]["/v1/zones/{zone}"]["put"]
    assert {name for way in put["security"] for name in way} == {"basic", "bearer", "header"}
    assert "security" not in document["paths"]["/v1/occupancy"]["get"]
