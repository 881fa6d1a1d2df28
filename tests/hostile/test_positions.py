"""What devices send: times all over the years, places that are nobody's business, forms that nobody can read."""

import base64
import csv
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from core.clock import system_clock
from tests.decoder.test_contents import AWAY, HERE, encoded, feature, point, variants
from tests.hostile.running import LIMIT_SECONDS, Hostile

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
LONGEST_SCRIPT_SECONDS = 1.0
"""Generous: it is some 20 ms where nothing else runs, and was 3 s before scripts were bounded."""
MILLISECONDS_1973 = 100_000_000_000


@contextmanager
def publisher(system: Hostile, user: str | None = None) -> Iterator[mqtt.Client]:
    """A client of the system, as one of the demo users, or as nobody."""
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=f"hostile-{user}")
    if user is not None:
        path = Path(system.system.environment["DATA_DIR"]) / "demo-users.csv"
        with path.open(newline="") as file:
            passwords = {name: password for name, _, password in csv.reader(file)}
        client.username_pw_set(user, passwords[user])
    client.connect("127.0.0.1", system.system.mqtt_port)
    client.loop_start()
    try:
        yield client
    finally:
        client.disconnect()
        client.loop_stop()


def publish(client: mqtt.Client, *payloads: bytes, topic: str = "car-iotp") -> None:
    """Return once all are acknowledged."""
    for told in [client.publish(topic, payload, qos=1) for payload in payloads]:
        told.wait_for_publish(LIMIT_SECONDS)
        assert told.is_published()


def present(system: Hostile) -> int:
    """Cars on the campus now."""
    found: dict[str, Any] = system.get("/v1/zones/campus/occupancy").json()
    return int(found["car"])


@pytest.fixture
def longest_script(system: Hostile) -> Iterator[None]:
    """Afterwards, no script of Redis has taken long."""
    with system.redis() as client:
        client.config_set("slowlog-log-slower-than", 20_000)
        client.slowlog_reset()
        yield
        slow: list[Any] = client.slowlog_get(1000)
        assert not [each for each in slow if each["duration"] > LONGEST_SCRIPT_SECONDS * 1_000_000]


@pytest.mark.usefixtures("longest_script")
def test_a_gateway_with_times_all_over_the_years_keeps_redis_from_nobody(system: Hostile) -> None:
    random = Random(304)  # noqa: S311 - to be repeatable, not secret
    before, now = system.total("positions"), system_clock()

    def collection() -> bytes:
        features = [
            {
                "type": "Feature",
                "geometry": point(HERE),
                "properties": {"device_id": "g", "timestamp": random.randrange(MILLISECONDS_1973, now)},
            }
            for _ in range(300)
        ]
        text = json.dumps({"type": "FeatureCollection", "features": features}, separators=(",", ":"))
        return base64.b64encode(text.encode())

    with publisher(system, "demo-gateway") as client:
        publish(client, *(collection() for _ in range(20)))
    system.wait(lambda: system.total("positions") == before + 6000, "all positions are observed")
    system.check_nobody_died()


def test_a_phone_may_not_send_what_is_older_than_a_week(system: Hostile) -> None:
    before = system.total("dead:too_old")
    old = system_clock() - 8 * 86_400_000
    with publisher(system, "demo-mobile") as client:
        publish(client, encoded({**feature(point(HERE)), "properties": {"timestamp": old}}), topic="mobile-iotp")
    system.wait(lambda: system.total("dead:too_old") == before + 1, "it is a dead letter")


def test_who_drives_off_the_campus_is_not_counted_any_more_and_leaves_no_place(system: Hostile) -> None:
    with publisher(system, "demo-car") as client:
        publish(client, encoded({**feature(point(HERE)), "properties": {}}))
        system.wait(lambda: present(system) == 1, "the car is there")
        publish(client, encoded({**feature(point(AWAY)), "properties": {}}))
        system.wait(lambda: present(system) == 0, "the car is gone", limit=60)  # PRESENCE_TTL is 300 s
    check_no_trace(system)


@pytest.mark.parametrize("user", ["demo-car", "demo-gateway"])
def test_messages_from_outside_leave_no_place_in_any_form(system: Hostile, user: str) -> None:
    payloads = variants(AWAY)

    def letters() -> int:
        return sum(system.total(f"dead:{reason}") for reason in reasons(system))

    before, letters_before = letters() + system.total("outside"), letters()
    with publisher(system, user) as client:
        publish(client, *payloads.values())
    # Some are collections, of which each member counts; some are a position where the user is a device.
    system.wait(lambda: letters() + system.total("outside") >= before + len(payloads), "all are dealt with")
    system.until_worked_off()
    check_no_trace(system)
    listed = system.system.run("decoder", "dead-letters", "list", "--json")
    assert listed.returncode == 0, listed.stderr
    newest = [json.loads(line) for line in listed.stdout.splitlines()][: letters() - letters_before]
    assert len(newest) >= 15
    assert {letter["payload"] for letter in newest} == {None}
    assert all(letter["shape"] for letter in newest)


def test_a_newest_position_that_nobody_can_read_stops_nothing(system: Hostile) -> None:
    before = system.total("dead:malformed_entry")
    with publisher(system, "demo-car") as client, system.redis() as redis:
        publish(client, encoded({**feature(point(HERE)), "properties": {}}))
        system.wait(lambda: redis.keys("newest:*"), "the car is there")
        for key in redis.keys("newest:*"):
            redis.set(key, b"\xc1 garbage", px=300_000)
        publish(client, encoded({**feature(point(HERE)), "properties": {}}))
        system.wait(lambda: system.total("dead:malformed_entry") == before + 1, "it is a dead letter")
        publish(client, encoded({**feature(point(AWAY)), "properties": {}}))
    system.wait(lambda: present(system) == 0, "the car is gone", limit=60)
    system.check_nobody_died()


def reasons(system: Hostile) -> list[str]:
    """Of which there are dead letters."""
    with system.redis() as client:
        return [name.decode()[5:] for name in client.hkeys("totals:{0}") if name.startswith(b"dead:")]


def check_no_trace(system: Hostile) -> None:
    """No key or value of Redis has the place outside, and neither has the log."""
    with system.redis() as client:
        found = repr(list(client.scan_iter()))
        for key in client.scan_iter():
            match client.type(key):
                case b"string":
                    found += repr(client.get(key))
                case b"hash":
                    found += repr(client.hgetall(key))
                case b"stream":
                    found += repr([fields for _, fields in client.xrange(key)])
    for text in (found, system.system.text):
        assert not [trace for trace in ("51.8979", "8.4706") if trace in text]
