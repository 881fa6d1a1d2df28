"""A whole system with PRIVACY=protected: all that it tells of counts is released, and it goes on when decoders die."""

import base64
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import paho.mqtt.client as mqtt
import pytest
import redis
from paho.mqtt import subscribe
from paho.mqtt.enums import CallbackAPIVersion
from redis.exceptions import NoPermissionError

from core.clock import format_rfc3339, parse_rfc3339, system_clock
from tests.conftest import free_port
from tests.e2e.system import ROOT, System, start, wait_for
from tests.watchdog import watched

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]
WIDTH, SLOT = 30, 10_000
CARS = 100
"""So many are followed by steps of 30 until 90 are told, or 120."""
MAIN_BUILDING = (-8.5722, 52.6738)


class Releasers:
    """Decoders with the stages rollup and release alone, beside the run: where a part of that dies, all of it ends."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._running: list[subprocess.Popen[bytes]] = []
        self._started = 0

    def start(self) -> None:
        self._started += 1
        own = {"STAGES": "rollup", "DECODER_NAME": f"releaser-{self._started}", "OPS_PORT": str(free_port())}
        environment = {**self._system.environment, **own}
        self._running.append(
            watched(
                subprocess.Popen(
                    [sys.executable, "-m", "decoder"], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL
                )
            )
        )

    def kill_the_oldest(self) -> None:
        oldest = self._running.pop(0)
        oldest.send_signal(signal.SIGKILL)
        oldest.wait()

    def end(self) -> None:
        while self._running:
            self.kill_the_oldest()


@pytest.fixture(scope="module")
def releasers(running: System) -> Iterator[Releasers]:
    found = Releasers(running)
    found.start()
    yield found
    found.end()


@pytest.fixture(scope="module")
def system(running: System, releasers: Releasers) -> System:
    del releasers
    return running


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    running = start(
        tmp_path_factory.mktemp("protected") / "data",
        PRIVACY="protected",
        STAGES="observe,archive",
        PRIVACY_WIDTH=str(WIDTH),
        PRIVACY_CAMPUS_WIDTH=str(WIDTH),
        PRIVACY_SLOT="10s",
    )
    publish(running, range(CARS))
    yield running
    assert running.stop() == 0


def publish(system: System, cars: range) -> None:
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="cars-of-a-test")
    client.connect("127.0.0.1", system.mqtt_port)
    client.loop_start()
    for each in [client.publish("car-iotp", _position(f"car-{number}"), qos=1) for number in cars]:
        each.wait_for_publish(60)
        assert each.is_published()
    client.disconnect()
    client.loop_stop()


def _position(device: str) -> bytes:
    body = {
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": MAIN_BUILDING},
        "properties": {"device_id": device, "timestamp": format_rfc3339(system_clock())},
    }
    return base64.b64encode(json.dumps(body).encode())


def campus(system: System) -> dict[str, Any]:
    answer = system.get("/v1/zones/campus/occupancy")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def slot_of(body: dict[str, Any]) -> int:
    at = parse_rfc3339(body["last_updated"])
    assert at % SLOT == 0
    return at


def until_told(system: System) -> None:
    def told() -> bool:
        answer = system.get("/v1/zones/campus/occupancy")
        # Before anything was released there is no answer.
        assert answer.status_code in {200, 503}, answer.text
        return answer.status_code == 200 and (answer.json()["car"] or 0) >= CARS - 10

    wait_for(told, "a crowd is told", 240)


def test_a_crowd_is_told_in_steps_and_nothing_finer(system: System) -> None:
    until_told(system)
    body = campus(system)
    assert body["car"] in {90, 120}
    assert (body["mobile"], body["observed_at"], body["lag_seconds"], body["stale"]) == (None, None, 0, None)
    assert body["newest_input_at"] == {"car": None, "mobile": None}
    everything = system.get("/v1/occupancy").json()
    slot_of(everything)
    told = {zone[kind] for zone in everything["zones"] for kind in ("car", "mobile", "total")}
    assert {count % WIDTH for count in told if count is not None} == {0}
    assert 0 not in told


def test_the_mirror_says_the_same(system: System) -> None:
    until_told(system)
    message: Any = subscribe.simple("v1/zones/campus/occupancy", port=system.mqtt_port)  # type: ignore[no-untyped-call]
    mirrored = json.loads(message.payload)
    assert mirrored["car"] in {90, 120}
    assert (mirrored["observed_at"], mirrored["lag_seconds"]) == (None, 0)
    slot_of(mirrored)


def test_a_window_is_told_once_it_is_over_and_is_a_mean_of_what_was_told(system: System) -> None:
    until_told(system)

    def minutes() -> list[int]:
        now = system_clock()
        answer = system.get(
            "/v1/zones/campus/occupancy/history",
            kind="car",
            window="1m",
            start=format_rfc3339(now - 600_000),
            end=format_rfc3339(now + 60_000),
        )
        assert answer.status_code == 200, answer.text
        return [point["devices"] for point in answer.json()["points"] if point["devices"]]

    assert all(0 < count <= 120 for count in wait_for(minutes, "a minute is over", 180))
    # True windows are in a file that the API does not open.
    assert (system.data_dir / "released.sqlite3").exists()


def test_the_api_is_nobody_who_may_read_who_is_where(system: System) -> None:
    until_told(system)
    with system.redis() as owner:
        logged_in = {each["user"] for each in owner.client_list()}
        assert "api" in logged_in
        assert "api-open" not in logged_in
        denied = [each for each in owner.acl_log() if each["username"] in {"api", "decoder", "broker"}]
        assert denied == []
    password = (system.data_dir / "secrets/redis/api").read_text().strip()
    socket = str(system.data_dir / "redis.sock")
    with redis.Redis(unix_socket_path=socket, username="api", password=password) as api:
        assert api.hmget("released:{campus}", "campus:car")[0] in {b"90", b"120"}
        for command in (
            ("ZCARD", "presence:{0}:campus:car"),
            ("ZCOUNT", "presence:{0}:campus:car", "-inf", "+inf"),
            ("GET", "release:{campus}"),
        ):
            with pytest.raises(NoPermissionError):
                api.execute_command(*command)


def test_figures_of_the_broker_are_for_services_alone(system: System) -> None:
    answers: list[Any] = []
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="curious")
    client.on_connect = lambda each, *_: each.subscribe("$SYS/#")
    client.on_subscribe = lambda _, __, ___, codes, *____: answers.extend(codes)
    client.connect("127.0.0.1", system.mqtt_port)
    client.loop_start()
    try:
        wait_for(lambda: answers, "the subscription is answered", 60)
    finally:
        client.disconnect()
        client.loop_stop()
    assert [code.value for code in answers] == [128]


def test_releasers_that_are_killed_lose_no_walk_and_the_next_goes_on(system: System, releasers: Releasers) -> None:
    until_told(system)
    for _ in range(3):
        # For a while two of them look at the same slots.
        releasers.start()
        before = slot_of(campus(system))
        releasers.kill_the_oldest()
        wait_for(lambda before=before: slot_of(campus(system)) > before + 2 * SLOT, "slots are told again", 120)
        # A walk that was lost would begin anew, and tell other counts.
        assert campus(system)["car"] in {90, 120}
