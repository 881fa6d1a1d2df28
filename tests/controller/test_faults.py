"""What administrators want is told to the keeper, and ends by itself."""

from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from redis.asyncio import Redis

from controller.faults import FaultTeller
from core.clock import system_clock
from core.faults import Fault
from state.faults import FaultStore
from tests.conftest import eventually
from tests.controller.test_keeper import Running, keeper


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    async with keeper() as found:
        yield found


@pytest.fixture
async def teller(redis_client: Redis, running: Running) -> AsyncIterator[FaultTeller]:
    async with aiohttp.ClientSession() as session:
        yield FaultTeller(
            store=FaultStore(redis_client), session=session, url=running.api, every=0.05, clock=system_clock
        )


def cut(*, seconds: int) -> Fault:
    return Fault(between="decoder>redis", kind="cut", until=system_clock() + seconds * 1000, by="key")


async def test_a_fault_is_told_once_and_taken_back_when_nobody_wants_it_any_more(
    redis_client: Redis, running: Running, teller: FaultTeller
) -> None:
    store = FaultStore(redis_client)
    in_front = Fault(between="front>api", kind="delay", milliseconds=5, until=system_clock() + 60_000, by="key")
    await store.replace([cut(seconds=60), in_front], now=system_clock())
    await teller.step()
    assert teller.problem is None
    assert [fault["between"] for fault in await running.faults()] == ["decoder>redis"]
    await running.until_through("decoder>redis", None)

    await store.replace([], now=system_clock())
    await teller.step()
    await running.until_through("decoder>redis", 200)


async def test_with_redis_away_a_fault_that_was_told_ends_all_the_same(
    redis_client: Redis, running: Running, teller: FaultTeller
) -> None:
    await FaultStore(redis_client).replace([cut(seconds=3)], now=system_clock())
    await teller.step()
    await running.until_through("decoder>redis", None)
    # Nobody tells it anything any more.
    await running.until_through("decoder>redis", 200)


async def test_a_keeper_that_was_away_is_told_all_when_it_is_back(redis_client: Redis, running: Running) -> None:
    store = FaultStore(redis_client)
    await store.replace([cut(seconds=60)], now=system_clock())
    async with aiohttp.ClientSession() as session:
        teller = FaultTeller(store=store, session=session, url="http://127.0.0.1:9", every=0.05, clock=system_clock)
        await teller.step()
        assert (teller.problem or "").startswith("FAULTS_KEEPER_URL: http://127.0.0.1:9/faults: ")
        teller._url = f"{running.api}/faults"
        await teller.step()
        assert teller.problem is None
        assert len(await running.faults()) == 1


async def test_a_keeper_that_was_started_anew_between_two_looks_is_told_again(
    redis_client: Redis, running: Running, teller: FaultTeller
) -> None:
    await FaultStore(redis_client).replace([cut(seconds=600)], now=system_clock())
    await teller.step()
    assert len(await running.faults()) == 1
    async with keeper() as another:
        teller._url = f"{another.api}/faults"

        async def knows() -> bool:
            await teller.step()
            assert teller.problem is None
            return [fault["between"] for fault in await another.faults()] == ["decoder>redis"]

        await eventually(knows)


async def test_a_keeper_that_has_what_it_was_told_is_not_told_again(
    redis_client: Redis, running: Running, teller: FaultTeller
) -> None:
    ahead = 0
    teller._clock = lambda: system_clock() + ahead
    await FaultStore(redis_client).replace([cut(seconds=600)], now=system_clock())
    await teller.step()
    ahead = 300_000
    await teller.step()
    [fault] = await running.faults()
    assert fault["seconds_left"] > 500, "who is told again is told that 300 s are left"


async def test_what_the_keeper_cannot_make_is_said_with_its_sentence_and_the_rest_is_made_once(
    redis_client: Redis, running: Running, teller: FaultTeller
) -> None:
    ahead = [0]
    teller._clock = lambda: system_clock() + ahead[-1]
    elsewhere = Fault(between="api>influxdb", kind="cut", until=system_clock() + 600_000, by="key")
    store = FaultStore(redis_client)
    await store.replace([elsewhere, cut(seconds=600)], now=system_clock())
    for later in (0, 300_000):
        ahead.append(later)
        await teller.step()
        assert (
            teller.problem
            == "there is no proxy between api>influxdb: FAULTS_PROXIES has decoder>redis, decoder>couchdb"
        )
        [fault] = await running.faults()
        assert fault["between"] == "decoder>redis"
        assert fault["seconds_left"] > 500, "who is told again is told that 300 s are left"

    await store.replace([cut(seconds=600)], now=system_clock())
    await teller.step()
    assert teller.problem is None


@pytest.mark.parametrize(
    ("status", "body", "problem"),
    [
        (200, b"[", "answers something else: Input data was truncated"),
        (200, b"[" + b" " * 20_000, "is longer than 16384 bytes"),
        (422, b"these are no faults", "answers 422: these are no faults"),
    ],
)
async def test_a_keeper_that_answers_something_else_is_away(
    redis_client: Redis, status: int, body: bytes, problem: str
) -> None:
    async def put(_: web.Request) -> web.Response:
        return web.Response(status=status, body=body)

    app = web.Application()
    app.router.add_put("/faults", put)
    async with TestServer(app) as server, aiohttp.ClientSession() as session:
        url = str(server.make_url("")).rstrip("/")
        teller = FaultTeller(store=FaultStore(redis_client), session=session, url=url, every=0.05, clock=system_clock)
        await teller.step()
        assert problem in (teller.problem or "")
