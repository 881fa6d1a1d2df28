"""`docker compose down` and `up` again: nothing is lost."""

import httpx
import pytest

from core.clock import system_clock
from core.kinds import Role
from tests.containers.conftest import Figures
from tests.containers.numbered import Numbered
from tests.containers.people import People, people_of
from tests.containers.results import device_key, differences, status, wait_until_done
from tests.containers.senders import LEAKS, Connection, Door, User, send_all
from tests.containers.stack import Stack, until
from tests.kinds_of_tests import MOBILE_ROLE

pytestmark = [pytest.mark.containers, pytest.mark.timeout(2400), *LEAKS]
TRAFFIC = Numbered(prefix="restart", day="2019-03-12")
MESSAGES = 800
TOPIC = "v1/tests/restart"
ZONE = {
    "type": "Feature",
    "geometry": {
        "type": "Polygon",
        "coordinates": [
            [[-8.5777, 52.6724], [-8.5767, 52.6724], [-8.5767, 52.6729], [-8.5777, 52.6729], [-8.5777, 52.6724]]
        ],
    },
    "properties": {"name": "New car park", "category": "car_park", "capacity": 120},
}


def retained(door: Door, user: User) -> bytes:
    """What a client that comes now gets from TOPIC."""
    with Connection(door, user, "late-comer") as client:
        client.subscribe(TOPIC)
        until(lambda: client.received, "the retained message is there")
        assert client.received[0].retain
        return bytes(client.received[0].payload)


def queued(door: Door, user: User) -> list[bytes]:
    """What a persistent session has for its client, once all is there."""
    with Connection(door, user, "sleeper", clean=False) as client:
        until(lambda: len(client.received) >= 3, "the queued messages are there", told=lambda: client.received)
        return [bytes(message.payload) for message in client.received]


def test_documents_history_users_retained_messages_sessions_and_zones_are_there_after_down_and_up(
    stack: Stack, people: People, figures: Figures
) -> None:
    door, service, phone = people.doors(stack)["mqtts"], people.users[Role.SERVICE], people.users[MOBILE_ROLE]
    assert send_all([door], people.gateway, "restart", TRAFFIC.messages(MESSAGES)) == MESSAGES
    with Connection(door, phone, "sleeper", clean=False) as sleeper:
        sleeper.subscribe(f"{TOPIC}/queue")
    with Connection(door, service, "herald") as herald:
        herald.client.publish(TOPIC, b"kept", qos=1, retain=True).wait_for_publish(30)
        for number in range(3):
            herald.client.publish(f"{TOPIC}/queue", str(number), qos=1).wait_for_publish(30)
    key = {"Authorization": f"Bearer {people.api_key}"}
    made = httpx.put(f"{stack.url}/v1/zones/new-park", json=ZONE, headers={**key, "If-None-Match": "*"})
    assert made.status_code == httpx.codes.CREATED, made.text
    wait_until_done(stack)
    totals = status(stack)["totals"]

    stack.down()
    assert stack.containers() == []
    stack.up()

    figures.say(f"down, and up again, all healthy: {stack.up_seconds:.1f} s")
    assert people_of(stack.secrets) == people
    # Nothing comes again, and nobody believes that there is something to do.
    wait_until_done(stack)
    assert status(stack)["totals"] == totals
    assert retained(door, phone) == b"kept"
    assert queued(door, phone) == [b"0", b"1", b"2"]
    again = httpx.get(f"{stack.url}/v1/zones/new-park")
    assert (again.json(), again.headers["etag"]) == (made.json(), made.headers["etag"])
    removed = httpx.delete(f"{stack.url}/v1/zones/new-park", headers={**key, "If-Match": again.headers["etag"]})
    assert removed.status_code == httpx.codes.NO_CONTENT, removed.text
    truth = TRAFFIC.truth(range(MESSAGES), device_key(stack), user=people.gateway.name, now=system_clock())
    assert differences(stack, people, truth, TRAFFIC.day) == []


def test_no_later_start_shows_a_password(stack: Stack, people: People) -> None:
    if stack.starts < 2:
        stack.down()
        stack.up()
    log = stack.logs("welcome")
    assert f"http://localhost:{stack.ports['HTTP_PORT']}/" in log
    assert people.api_key not in log
    assert not [user.name for user in people.users.values() if user.password in log]
