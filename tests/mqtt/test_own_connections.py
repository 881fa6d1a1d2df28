"""A crowd whose devices have a connection each, at a real node: who they are, and what they send and keep."""

import asyncio
import base64
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from queue import SimpleQueue

import httpx
import pytest
from redis.asyncio import Redis

from core.clock import system_clock
from core.kinds import DEFAULT_KINDS
from geofence import load_campus
from simulator.campus.crowd import Moment
from simulator.campus.gps import Reading
from simulator.campus.live import Plan
from simulator.campus.owned import Owned, Way
from simulator.campus.pace import Pace
from simulator.campus.people import Unit
from simulator.device import Policy
from simulator.device_paho import trusting
from simulator.login import Login
from simulator.outline import is_inside, outline_of
from simulator.zones import ZonesApi
from tests.conftest import eventually, holds
from tests.mqtt.client import Service
from tests.mqtt.servers import OneNode, one_node
from tests.mqtt.test_device import arrived
from tests.mqtt.zones_server import ZonesServer, zones_server
from tests.raw_streams import raw_messages
from tests.redis_servers.chosen import chosen

pytestmark = pytest.mark.skipif(chosen() != "single", reason="what Redis it is makes no difference to a device")

ROOT = Path(__file__).parents[2]
INSIDE, OUTSIDE = (-8.5715, 52.6741), (-8.6267, 52.6680)
EACH = Policy(moving_seconds=0, still_seconds=0, outline_retry_seconds=1)
"""Each fix is worth sending: so that each can be looked for."""
PHONE = DEFAULT_KINDS.by_id[DEFAULT_KINDS.ids[1]]
UNITS = [Unit(f"own-{number}", PHONE, vehicle=False, skew_ms=0, noise=1.0) for number in range(5)]
LIMIT = 60.0


@pytest.fixture
def node(tmp_path: Path) -> Iterator[OneNode]:
    with one_node(tmp_path) as running:
        yield running


@pytest.fixture
def zones() -> Iterator[ZonesServer]:
    with zones_server() as server:
        yield server


class Told:
    """A crowd that a test tells what happens, and its devices."""

    def __init__(self, node: OneNode, zones: ZonesServer) -> None:
        now = system_clock()
        self._moments: SimpleQueue[Moment | None] = SimpleQueue()
        self.owned = Owned(
            iter(self._moments.get, None),
            Plan(pace=Pace(now, now, 1), shift_ms=0, until_ms=None, warm_from_ms=None),
            Way(f"mqtt://127.0.0.1:{node.mqtt[1]}", Login()),
            zones=ZonesApi(zones.url, trusting(None)),
            say=lambda _: None,
            seed=7,
            clock=system_clock,
            policy=EACH,
        )

    def at(self, unit: Unit, place: tuple[float, float], *, signal: bool = True) -> int:
        """The receiver of a device has a fix now; the answer is when that is."""
        now = system_clock()
        self._moments.put(Moment(now, unit, *place, Reading(now, (0, 0), 5.0, 0.0, None, signal)))
        return now

    @asynccontextmanager
    async def all_connected(self) -> AsyncIterator[None]:
        """Each device knows the campus, and has sent what it was told, of which the last was outside."""
        with self.owned:
            running = asyncio.create_task(asyncio.to_thread(self.owned.run, lambda: None))
            try:
                await eventually(self._all_inside, limit=LIMIT)
                for unit in UNITS:
                    self.at(unit, OUTSIDE)
                await eventually(holds(lambda: self.owned.inside == 0), limit=LIMIT)
                await eventually(holds(lambda: self.owned.unsent == 0), limit=LIMIT)
                yield
            finally:
                self._moments.put(None)
                await running

    async def _all_inside(self) -> bool:
        for unit in UNITS:
            self.at(unit, INSIDE)
        return self.owned.inside == len(UNITS)


async def clients(node: OneNode) -> int:
    """How many are logged in at a node."""
    async with httpx.AsyncClient(trust_env=False) as client:
        lines = (await client.get(f"{node.ops}/metrics")).text.splitlines()
    return round(float(next(line for line in lines if line.startswith("broker_clients ")).split()[1]))


async def test_each_device_has_a_connection_and_a_persistent_session_of_its_own_until_the_end(
    node: OneNode, zones: ZonesServer
) -> None:
    told = Told(node, zones)
    async with told.all_connected():
        assert await clients(node) == 5

    async def nobody() -> bool:
        return await clients(node) == 0

    await eventually(nobody, limit=LIMIT)
    service = Service([node.mqtt])
    for unit in UNITS:
        assert (await service.connect(unit.id, clean=False)).session_present
    assert not (await service.connect("own-5", clean=False)).session_present
    service.drop_all()


async def test_nothing_from_outside_is_sent_and_what_was_kept_without_signal_comes_later_in_one_message(
    node: OneNode, zones: ZonesServer
) -> None:
    told, unit = Told(node, zones), UNITS[0]
    kept: list[int] = []
    async with told.all_connected():

        async def one_is_gone() -> bool:
            return await clients(node) == 4

        told.at(unit, OUTSIDE, signal=False)
        await eventually(one_is_gone, limit=LIMIT)
        for number in range(4):
            await eventually(holds(lambda: system_clock() > max(kept, default=0)))
            kept.append(told.at(unit, INSIDE, signal=False))
            told.at(unit, OUTSIDE, signal=False)
            await eventually(holds(lambda: told.owned.unsent == number + 1), limit=LIMIT)  # noqa: B023 - called here
        assert not {at for at, _ in (await arrived(node.redis))[unit.id]} & set(kept)
        await eventually(holds(lambda: system_clock() > kept[-1]))
        back = told.at(unit, INSIDE)
        await eventually(holds(lambda: told.owned.unsent == 0), limit=LIMIT)

    found = await arrived(node.redis)
    assert {place for own in found.values() for _, place in own} == {INSIDE}
    assert [at for at, _ in found[unit.id]][-5:] == [back, *kept]
    async with Redis.from_url(node.redis) as client:
        messages = [json.loads(base64.b64decode(each.payload)) for each in await raw_messages(client)]
    assert [len(each["features"]) for each in messages if each["type"] == "FeatureCollection"][-1] == 4
    assert told.owned.dropped == 0


async def test_the_command_asks_the_api_once_for_all_and_sends_nothing_outside_until_ctrl_c(
    node: OneNode, zones: ZonesServer
) -> None:
    process = subprocess.Popen(  # noqa: ASYNC220 - nothing else runs in this loop
        [
            *(sys.executable, "-m", "simulator", "campus", "--devices", "200", "--own-connections", "--hours", "busy"),
            *("--port", str(node.mqtt[1]), "--api", zones.url.removesuffix("/v1/zones")),
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:

        async def many() -> bool:
            return await clients(node) > 10

        await eventually(many, limit=2 * LIMIT)
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=LIMIT)
    finally:
        process.kill()

    assert (process.returncode, errors) == (130, "")
    assert "0 positions given up" in out.splitlines()[-1]
    assert zones.etags.count(None) == 1
    rings = outline_of(load_campus(None).as_feature_collection())
    assert rings is not None
    found = await arrived(node.redis)
    assert len(found) > 5
    assert all(is_inside(rings, *place) for own in found.values() for _, place in own)
