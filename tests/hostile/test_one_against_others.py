"""What one client or one address does to get more than its share: nobody else is kept out, and nothing grows for ever.

The attacker comes from 127.0.0.2, everybody else from 127.0.0.1.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress

import httpx
import pytest

from tests.conftest import eventually
from tests.hostile.conftest import short_folder
from tests.hostile.running import LIMIT_SECONDS, Hostile, fix, running
from tests.mqtt.wire import Will, connect, publish, subscribe

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
ATTACKER = "127.0.0.2"
ACCEPTED, UNAVAILABLE, BAD_CREDENTIALS, NOT_AUTHORIZED = (bytes((0x20, 2, 0, code)) for code in (0, 3, 4, 5))
SETTINGS = {
    # So small that what is to be full is full soon.
    "HAPROXY_MAXCONN": "300",
    "MQTT_UNFINISHED_BYTES": "2097152",
    "MQTT_WRITE_TIMEOUT": "2",
    "POSITION_RATE": "car=20:20",
}
USERS = {"gateway": "gateway", "car-1": "car", "car-2": "car", "late": "mobile"}
"""Their roles; their passwords are their names."""
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture(scope="module")
def system() -> Iterator[Hostile]:
    with short_folder() as folder, running(folder, **SETTINGS) as started:
        users = folder / "users.csv"
        users.write_text("".join(f"{name},{role},{name}\n" for name, role in USERS.items()))
        added = started.system.run("broker", "users", "import", str(users))
        assert added.returncode == 0, added.stderr
        yield started


async def dial(system: Hostile, first: bytes, *, source: str = "", port: str = "MQTT_PORT") -> Streams:
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", int(system.system.environment[port]), local_addr=(source, 0) if source else None
    )
    writer.write(first)
    return reader, writer


@asynccontextmanager
async def opened(system: Hostile, first: bytes, *, source: str = "", port: str = "MQTT_PORT") -> AsyncIterator[Streams]:
    """A connection that ends with the block, and what it sends first."""
    reader, writer = await dial(system, first, source=source, port=port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def answer(system: Hostile, first: bytes, *, source: str = "") -> bytes:
    """The CONNACK; nothing where the connection is closed instead."""
    async with asyncio.timeout(LIMIT_SECONDS), opened(system, first, source=source) as (reader, _):
        try:
            return await reader.readexactly(4)
        except (asyncio.IncompleteReadError, ConnectionError):
            return b""


def login(user: str, client_id: str = "") -> bytes:
    return connect(client_id or user, user=user, password=user.encode())


async def test_wrong_logins_with_a_client_id_do_not_keep_its_owner_out(system: Hostile) -> None:
    for number in range(70):
        wrong = connect("gateway", user=("gateway", "nobody")[number % 2], password=b"wrong")
        assert await answer(system, wrong, source=ATTACKER) in {BAD_CREDENTIALS, UNAVAILABLE}
    assert await answer(system, login("gateway")) == ACCEPTED


async def test_a_flood_of_unknown_users_does_not_keep_out_a_user_whose_password_is_not_remembered(
    system: Hostile,
) -> None:
    number = itertools.count()
    answered = 0

    async def flood() -> None:
        nonlocal answered
        while True:
            with suppress(OSError):
                await answer(system, connect("", user=f"nobody-{next(number)}", password=b"x"), source=ATTACKER)
                answered += 1

    flooding = [asyncio.create_task(flood()) for _ in range(40)]
    try:
        await _until(lambda: answered >= 100)
        assert await answer(system, login("late")) == ACCEPTED
    finally:
        for task in flooding:
            task.cancel()
        await asyncio.gather(*flooding, return_exceptions=True)


async def test_event_streams_of_one_address_leave_room_for_others(system: Hostile) -> None:
    request = b"GET /v1/events HTTP/1.1\r\nHost: campus\r\n\r\n"
    streams = []
    try:
        for _ in range(120):
            with suppress(OSError):
                streams.append(await dial(system, request, source=ATTACKER, port="HTTP_PORT"))
        async with asyncio.timeout(LIMIT_SECONDS):
            heads = await asyncio.gather(*(_line(reader) for reader, _ in streams))
        served = sum(b" 200 " in head for head in heads)
        assert 10 < served < 90, "HTTP_MAXCONN is 90 of 300"
        async with httpx.AsyncClient(trust_env=False, timeout=LIMIT_SECONDS) as client:
            assert (await client.get(f"{system.system.url}/v1/occupancy")).status_code == 200
    finally:
        for _, writer in streams:
            writer.transport.abort()


async def _line(reader: asyncio.StreamReader) -> bytes:
    with suppress(ConnectionError):
        return await reader.readline()
    return b""


async def test_connections_of_one_address_leave_room_for_others(system: Hostile) -> None:
    held = []
    try:
        for number in range(220):
            with suppress(OSError):
                held.append(await dial(system, connect(f"held-{number}"), source=ATTACKER))
        async with asyncio.timeout(LIMIT_SECONDS):
            heads = await asyncio.gather(*(_four(reader) for reader, _ in held))
        assert 50 < heads.count(ACCEPTED) < 195, "MQTT_MAXCONN is 195 of 300"
        assert await answer(system, login("gateway")) == ACCEPTED
    finally:
        for _, writer in held:
            writer.transport.abort()


async def _four(reader: asyncio.StreamReader) -> bytes:
    with suppress(ConnectionError, asyncio.IncompleteReadError):
        return await reader.readexactly(4)
    return b""


@pytest.mark.parametrize("size", [17 * 1024, 60_000])
async def test_a_will_that_is_too_large_is_refused_with_an_answer(system: Hostile, size: int) -> None:
    assert await answer(system, connect("will", will=Will("t", b"x" * size))) == NOT_AUTHORIZED
    assert await answer(system, connect("will", will=Will("t", b"x" * 12_000))) == ACCEPTED


async def test_who_never_reads_what_it_subscribed_to_has_to_go(system: Hostile) -> None:
    before = _counted(system, 'broker_refused_total{reason="slow_consumer"}')

    async def flood(writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while True:
                writer.write(publish("deaf", b"x" * 60_000))
                await writer.drain()

    first = connect("deaf", keepalive=0) + subscribe(1, ("deaf", 0))
    async with opened(system, first, source=ATTACKER) as (_, writer):
        flooding = asyncio.create_task(flood(writer))
        await _until(lambda: _counted(system, 'broker_refused_total{reason="slow_consumer"}') > before)
        flooding.cancel()
        await asyncio.wait([flooding])
    assert await answer(system, login("gateway")) == ACCEPTED


async def test_packets_that_are_never_complete_cost_a_node_no_more_than_their_budget(system: Hostile) -> None:
    half = publish("t", b"x" * 250_000)[:-1]
    async with opened(system, connect("patient") + half[:100_000]) as (patient, _):
        assert await patient.readexactly(4) == ACCEPTED
        held = [await dial(system, connect(f"half-{number}") + half, source=ATTACKER) for number in range(40)]
        try:
            # 10 MB for two nodes with 2 MiB each.
            await _until(lambda: _counted(system, 'broker_refused_total{reason="unfinished"}') >= 20)
            assert _counted(system, "broker_unfinished_bytes") <= 2 * 2_097_152
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await patient.read(1)
        finally:
            for _, writer in held:
                writer.transport.abort()


def _counted(system: Hostile, sample: str) -> float:
    """Of both nodes together."""
    found = 0.0
    for name in ("BROKER_1_OPS_PORT", "BROKER_2_OPS_PORT"):
        page = httpx.get(f"http://127.0.0.1:{system.system.environment[name]}/metrics", timeout=30).text
        found += sum(float(line.rpartition(" ")[2]) for line in page.splitlines() if line.startswith(sample + " "))
    return found


async def _until(true: Callable[[], bool]) -> None:
    async def probe() -> bool:
        return await asyncio.to_thread(true)

    await eventually(probe, limit=LIMIT_SECONDS)


async def test_who_sends_too_fast_waits_and_nobody_else_does(system: Hostile) -> None:
    many = [publish("car-iotp", fix(f"fast-{number}"), qos=1, packet_id=number + 1) for number in range(60)]
    async with (
        asyncio.timeout(LIMIT_SECONDS),
        opened(system, login("car-1") + b"".join(many)) as (fast, _),
        opened(system, login("car-2") + b"".join(many[:20])) as (other, _),
    ):
        assert (await other.readexactly(4 + 4 * 20))[:4] == ACCEPTED
        acknowledged = await fast.readexactly(4 + 4 * 60)
        assert acknowledged[4::4] == b"\x40" * 60, "nothing of it is lost"


def test_after_all_of_it_nobody_has_died(system: Hostile) -> None:
    system.until_ready()
    system.check_nobody_died()
