"""What one user, or nobody, does to the sessions, the memory and the retained messages of all."""

import csv
from collections.abc import Iterator
from typing import Any

import pytest

from tests.hostile.conftest import MIB, short_folder
from tests.hostile.running import Hostile, device, fix, running
from tests.mqtt.client import Connection, Service
from tests.mqtt.wire import Connack, connect

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

BAD_CLIENT_ID, UNAVAILABLE = 2, 3
SESSIONS = 40
OFF_CAMPUS = b"eyJ0eXBlIjoiRmVhdHVyZSIsImdlb21ldHJ5Ijp7InR5cGUiOiJQb2ludCIsImNvb3JkaW5hdGVzIjpbMCwwXX19"
"""A Feature with a Point at 0, 0."""


@pytest.fixture(scope="module")
def system() -> Iterator[Hostile]:
    """A system with small limits."""
    with (
        short_folder() as folder,
        running(
            folder,
            SESSIONS_USER_MAX=str(SESSIONS),
            SESSIONS_USER_MAX_BYTES=str(MIB),
            QUEUE_POSITIONS_MAX_AGE="2",
            RETAINED_ANONYMOUS_MAX="10",
        ) as started,
    ):
        yield started


@pytest.fixture
async def service(system: Hostile) -> Any:  # noqa: ANN401 - an asynchronous generator
    service = Service([("127.0.0.1", system.system.mqtt_port)])
    yield service
    service.drop_all()


def login(system: Hostile, name: str) -> dict[str, Any]:
    with (system.system.data_dir / "demo-users.csv").open(newline="") as file:
        passwords = {line[0]: line[2] for line in csv.reader(file)}
    return {"user": name, "password": passwords[name].encode()}


async def code_of(service: Service, packet: bytes) -> tuple[int, Connection]:
    connection = await service.dial()
    await connection.send(packet)
    answer = await connection.receive()
    assert isinstance(answer, Connack)
    return answer.code, connection


async def test_a_service_notices_nothing_of_a_car_that_comes_with_its_client_id(
    system: Hostile, service: Service
) -> None:
    mine, others = login(system, "demo-service"), login(system, "demo-car")
    reports = await service.subscriber(("chat", 1), client_id="reports", clean=False, **mine)
    for clean in (True, False):
        for intruder in (others, {}):
            code, connection = await code_of(service, connect("reports", clean=clean, **intruder))
            assert code == BAD_CLIENT_ID
            await connection.closed()
    publisher = await service.connect(**mine)
    await publisher.publish("chat", b"1", qos=1)
    assert (await reports.take()).payload == b"1"
    await reports.disconnect()
    for number in range(5):
        await publisher.publish("chat", str(number).encode(), qos=1)
    assert (await code_of(service, connect("reports", clean=True, **others)))[0] == BAD_CLIENT_ID
    reports = await service.connect("reports", clean=False, **mine)
    assert reports.session_present
    assert await reports.take_payloads(5) == [b"0", b"1", b"2", b"3", b"4"]
    system.check_nobody_died()


async def test_one_password_cannot_fill_redis_with_sessions_and_queues(system: Hostile, service: Service) -> None:
    phones = login(system, "demo-mobile")

    def used() -> int:
        with system.redis() as client:
            return int(client.info("memory")["used_memory"])

    before = used()
    codes = []
    for number in range(SESSIONS + 20):
        code, connection = await code_of(service, connect(f"phone-{number}", clean=False, **phones))
        codes.append(code)
        if code == 0:
            assert await connection.subscribe(("v1/#", 1)) == (1,)
            connection.drop()
    assert codes == [0] * SESSIONS + [UNAVAILABLE] * 20
    mirror = await service.connect(**login(system, "demo-service"))
    for number in range(30):
        await mirror.publish("v1/hostile", bytes([number]) * 60_000, qos=1, retain=True)
        # What is not retained is queued, and has its limit.
        await mirror.publish("v1/hostile/event", bytes([number]) * 60_000, qos=1)
    assert used() - before < 4 * MIB
    with system.redis() as client:
        assert int(client.hget("sessions:bytes:{mqtt}", f"u:{phones['user']}") or 0) <= MIB
    # All others go on.
    other = await service.connect("another", clean=False, **login(system, "demo-car"))
    assert await other.subscribe(("v1/hostile", 1)) == (1,)
    assert (await other.take()).payload == bytes([29]) * 60_000
    with device(system, "honest") as honest:
        honest.publish(20)
        system.wait(lambda: honest.acknowledged == 20, "positions are acknowledged")
    for topic in ("v1/hostile", "v1/hostile/event"):
        await mirror.publish(topic, b"", qos=1, retain=True)
    system.check_nobody_died()


async def test_a_position_is_retained_nowhere_and_in_no_queue_for_long(system: Hostile, service: Service) -> None:
    mine = login(system, "demo-service")
    follower = await service.subscriber(("car-iotp/#", 1), client_id="follower", clean=False, **mine)
    await follower.disconnect()
    car = await service.connect(**login(system, "demo-car"))
    for number in range(5):
        await car.publish(f"car-iotp/{number}", OFF_CAMPUS, qos=1, retain=True)
    await car.publish("car-iotp", fix("demo-car"), qos=1, retain=True)

    def nowhere() -> bool:
        with system.redis() as client:
            # Else DUMP compresses what it gives.
            client.config_set("rdbcompression", "no")
            kept = [key for key in client.scan_iter() if OFF_CAMPUS[:40] in (client.dump(key) or b"")]
            return not kept and not client.exists("brief:{mqtt}", "brief:{mqtt}:follower")

    system.wait(nowhere, "no key of Redis has a position off campus")
    late = await service.subscriber(("car-iotp/#", 1), **mine)
    await late.nothing_more()
    system.check_nobody_died()


async def test_nobody_takes_the_places_of_the_mirror(system: Hostile, service: Service) -> None:
    nobody, mirror = await service.connect(), await service.connect(**login(system, "demo-service"))
    for number in range(30):
        await nobody.publish(f"chat/{number}", b"mine", qos=1, retain=True)
    await mirror.publish("v1/zones/new", b"{}", qos=1, retain=True)
    reader = await service.subscriber(("v1/zones/new", 1))
    message = await reader.take()
    assert (message.payload, message.retain) == (b"{}", True)
    with system.redis() as client:
        assert client.scard("retained:anonymous:{mqtt}") == 10
    assert "no room for a retained message" in system.system.text
    await mirror.publish("v1/zones/new", b"", qos=1, retain=True)
    system.check_nobody_died()
