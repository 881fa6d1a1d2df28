"""The keeper makes faults between two parts of the system, and ends each by its own clock."""

import asyncio
import json
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.keeper import Place, places_of
from controller.keeping import answering
from core.faults import BEHIND
from tests.conftest import eventually
from tests.e2e.system import ROOT
from tests.ports import free_port
from tests.toxiproxy.server import toxiproxy_executable

LIMIT_SECONDS = 60.0


@dataclass(slots=True)
class Running:
    """A keeper between `decoder>redis` and `decoder>couchdb` and a server that answers 200 to all."""

    process: asyncio.subprocess.Process
    session: aiohttp.ClientSession
    api: str
    ports: dict[str, int]

    async def want(self, *faults: dict[str, Any]) -> tuple[int, str]:
        """Status and text of the answer."""
        async with self.session.put(f"{self.api}/faults", json=list(faults)) as answer:
            return answer.status, await answer.text()

    async def faults(self) -> list[dict[str, Any]]:
        async with self.session.get(f"{self.api}/faults") as answer:
            found: list[dict[str, Any]] = await answer.json()
            return found

    async def through(self, between: str) -> int | None:
        """The status that comes through a proxy; None where nothing does."""
        try:
            async with self.session.get(f"http://127.0.0.1:{self.ports[between]}/") as answer:
                await answer.read()
                return answer.status
        except aiohttp.ClientError:
            return None

    async def until_through(self, between: str, status: int | None) -> None:
        async def is_so() -> bool:
            return await self.through(between) == status

        await eventually(is_so, limit=LIMIT_SECONDS)


@asynccontextmanager
async def keeper(**settings: str) -> AsyncIterator[Running]:
    """`python -m controller keeper`."""
    async with (
        answering(200) as upstream,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session,
    ):
        ports = {"decoder>redis": free_port(), "decoder>couchdb": free_port()}
        api = free_port()
        environment = {
            "PATH": "/usr/bin:/bin",
            "KEEPER_PORT": str(api),
            "TOXIPROXY": toxiproxy_executable(),
            "TOXIPROXY_PORT": str(free_port()),
            "FAULTS_PROXIES": ",".join(f"{each}=127.0.0.1:{port}={upstream}" for each, port in ports.items()),
            **settings,
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "controller", "keeper", cwd=ROOT, env=environment
        )
        running = Running(process, session, f"http://127.0.0.1:{api}", ports)
        try:
            for between in ports:
                await running.until_through(between, 200)
            yield running
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    async with keeper() as found:
        yield found
        assert await found.want() == (200, "[]")


async def test_a_cut_lets_nobody_through_there_and_ends_by_itself(running: Running) -> None:
    assert (await running.want({"between": "decoder>redis", "kind": "cut", "seconds_left": 3}))[0] == 200
    await running.until_through("decoder>redis", None)
    assert await running.through("decoder>couchdb") == 200
    assert [fault["kind"] for fault in await running.faults()] == ["cut"]

    await running.until_through("decoder>redis", 200)
    assert await running.faults() == []


async def test_a_status_is_answered_in_the_place_of_the_store(running: Running) -> None:
    fault = {"between": "decoder>couchdb", "kind": "status", "status": 503, "seconds_left": 60}
    assert await running.want(fault) == (200, "[]")
    await running.until_through("decoder>couchdb", 503)
    assert await running.want() == (200, "[]")
    await running.until_through("decoder>couchdb", 200)


async def test_a_delay_keeps_answers_back(running: Running) -> None:
    delay = {"between": "decoder>redis", "kind": "delay", "milliseconds": 700, "seconds_left": 60}
    await running.want(delay)

    async def is_slow() -> bool:
        began = time.monotonic()
        assert await running.through("decoder>redis") == 200
        return time.monotonic() - began >= 0.7

    await eventually(is_slow, limit=LIMIT_SECONDS)


async def test_a_reset_ends_connections(running: Running) -> None:
    await running.want({"between": "decoder>redis", "kind": "reset", "seconds_left": 60})
    await running.until_through("decoder>redis", None)


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        (
            {"between": "decoder>redis", "kind": "status", "status": 503, "seconds_left": 5},
            "fault 1: 'status' cannot be made between decoder>redis: take one of delay, reset, cut, bandwidth\n",
        ),
        (
            {"between": "decoder>redis", "kind": "cut", "seconds_left": 4000},
            "these are no faults: Expected `float` <= 3600.0 - at `$[0].seconds_left`\n",
        ),
        (
            {"between": "decoder>redis", "kind": "cut"},
            "these are no faults: Object missing required field `seconds_left` - at `$[0]`\n",
        ),
    ],
)
async def test_what_can_be_no_fault_is_refused_with_a_sentence_and_changes_nothing(
    running: Running, fault: dict[str, Any], sentence: str
) -> None:
    await running.want({"between": "decoder>couchdb", "kind": "cut", "seconds_left": 60})
    assert await running.want(fault) == (422, sentence)
    assert [fault["between"] for fault in await running.faults()] == ["decoder>couchdb"]


async def test_what_cannot_be_made_is_said_and_the_others_are_made(running: Running) -> None:
    elsewhere = {"between": "api>redis", "kind": "cut", "seconds_left": 60}
    here = {"between": "decoder>couchdb", "kind": "cut", "seconds_left": 60}
    status, text = await running.want(elsewhere, here)
    why = "there is no proxy between api>redis: FAULTS_PROXIES has decoder>redis, decoder>couchdb"
    assert (status, json.loads(text)) == (200, [{"between": "api>redis", "why": why}])
    await running.until_through("decoder>couchdb", None)
    assert [fault["between"] for fault in await running.faults()] == ["decoder>couchdb"]


@pytest.mark.parametrize("body", [b'[{"between": "\xff"}]', b"[" * 100_000, b"{}"])
async def test_a_body_that_nobody_can_read_is_refused_with_a_sentence(running: Running, body: bytes) -> None:
    async with running.session.put(f"{running.api}/faults", data=body[:60_000]) as answer:
        assert answer.status == 422
        assert (await answer.text()).startswith("these are no faults: ")


async def test_it_ends_with_toxiproxy_and_toxiproxy_with_it() -> None:
    async with keeper() as running:
        children = await asyncio.create_subprocess_exec(
            "pgrep", "-P", str(running.process.pid), stdout=asyncio.subprocess.PIPE
        )
        pid = int((await children.communicate())[0].split()[0])
        await (await asyncio.create_subprocess_exec("kill", "-9", str(pid))).wait()
        async with asyncio.timeout(LIMIT_SECONDS):
            assert await running.process.wait() == 1
    async with keeper() as running:
        running.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(LIMIT_SECONDS):
            assert await running.process.wait() == 0
        assert await running.through("decoder>redis") is None


def test_its_places_are_read_from_one_setting() -> None:
    assert places_of("decoder>redis=0.0.0.0:16379=redis:6379, api>influxdb=0.0.0.0:18086=influxdb:8086") == {
        "decoder>redis": Place("0.0.0.0:16379", "redis:6379"),
        "api>influxdb": Place("0.0.0.0:18086", "influxdb:8086"),
    }


@given(st.text(max_size=60) | st.builds("{}={}".format, st.sampled_from(BEHIND), st.text(max_size=60)))
def test_whatever_is_in_it_it_is_read_or_refused_with_a_sentence(text: str) -> None:
    with suppress(ValueError):
        assert set(places_of(text)) <= set(BEHIND)


def test_what_is_no_place_is_named_with_an_example() -> None:
    with pytest.raises(
        ValueError, match="'decoder>redis=redis' is not between=host:port=host:port, as in decoder>redis="
    ):
        places_of("decoder>redis=redis")
    with pytest.raises(ValueError, match="decoder>redis is there twice"):
        places_of("decoder>redis=a:1=b:2,decoder>redis=a:3=b:4")
