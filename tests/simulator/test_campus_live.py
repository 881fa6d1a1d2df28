"""The crowd over MQTT: what devices send, bursts after lost signal, the pace, logins."""

import base64
import json
import signal
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from paho.mqtt.client import Client, MQTTMessageInfo

from geofence import Geofence
from simulator.campus.crowd import Moment
from simulator.campus.fleet import Fleet
from simulator.campus.links import Links, Transport
from simulator.campus.live import Live, Plan
from simulator.campus.pace import Pace
from simulator.campus.truth import read_truth
from simulator.device import Publish
from simulator.login import Login
from simulator.outline import outline_of
from simulator.publisher import LoginRefusedError, NotConnectedError
from tests.conftest import free_port
from tests.simulator.campuses import BUILDINGS, HOUR, LOTS, TUESDAY, campus, crowd
from tests.simulator.mqtt_server import MqttServer, mqtt_server

ROOT = Path(__file__).resolve().parents[2]
ON = campus(*BUILDINGS, *LOTS)
RINGS = outline_of(ON.as_feature_collection())
TEN = TUESDAY + 10 * HOUR


def features(payload: bytes) -> list[dict[str, Any]]:
    message = json.loads(base64.b64decode(payload))
    return [message] if message["type"] == "Feature" else message["features"]


class Taken:
    """Acknowledges what devices publish, at once or later."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, list[dict[str, Any]]]] = []
        self.waiting: list[tuple[str, int]] = []
        self.fleet = Fleet(RINGS, self.take, seed=7)

    def take(self, device: str, message: Publish) -> None:
        self.messages.append((device, features(message.payload)))
        self.waiting.append((device, message.packet))

    def moment(self, moment: Moment) -> None:
        self.fleet.tick(moment.at_ms)
        self.fleet.moment(moment)
        while self.waiting:
            self.fleet.acknowledged(*self.waiting.pop(0), moment.at_ms)


def test_who_lost_the_signal_sends_the_newest_first_and_then_the_others_in_one_message() -> None:
    taken = Taken()
    moments = list(crowd(ON, devices=100).moments(TUESDAY, TUESDAY + 24 * HOUR))
    silent = [moment for moment in moments if not moment.reading.signal]
    for moment in moments:
        taken.moment(moment)

    bursts = [found for _, found in taken.messages if len(found) > 1]
    assert len(bursts) > 3
    for burst in bursts:
        times = [each["properties"]["timestamp"] for each in burst]
        assert times == sorted(times)
    sent = {(device, tuple(each["geometry"]["coordinates"])) for device, found in taken.messages for each in found}
    late = [moment for moment in silent if (moment.unit.id, (moment.longitude, moment.latitude)) in sent]
    assert len(late) > 50
    assert (taken.fleet.unsent, taken.fleet.dropped) == (0, 0)


def test_no_device_sends_anything_from_outside() -> None:
    taken = Taken()
    for moment in crowd(ON, devices=60).moments(TEN - 2 * HOUR, TEN):
        taken.moment(moment)
    places = np.array([each["geometry"]["coordinates"] for _, found in taken.messages for each in found])
    assert len(places) > 500
    assert None not in Geofence(ON).locate(places[:, 0], places[:, 1])


class Time:
    """A clock that begins when one likes, and may be fast."""

    def __init__(self, begins_ms: int, *, speed: float = 1.0) -> None:
        self.begins_ms = begins_ms
        self._speed = speed
        self._begun = time.monotonic()

    def __call__(self) -> int:
        return self.begins_ms + round((time.monotonic() - self._begun) * 1000 * self._speed)


def run(server: MqttServer, plan: Plan, clock: Time, *, connections: int = 2) -> Live:
    with Links(connections, host="127.0.0.1", port=server.port, login=Login(), transport=Transport()) as links:
        live = Live(crowd(ON, devices=60), RINGS, links, plan, seed=7, clock=clock)
        live.run(lambda: None)
    return live


def received(server: MqttServer) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for _, payload in server.received:
        for each in features(payload):
            found[each["properties"]["device_id"]].append(each)
    return found


def plan(
    clock: Time, *, scale: float, seconds: float, shift_ms: int = 0, warm: bool = False, back_hours: float = 0
) -> Plan:
    return Plan(
        pace=Pace(clock.begins_ms, clock.begins_ms - round(back_hours * HOUR), scale),
        shift_ms=shift_ms,
        until_ms=clock.begins_ms + round(seconds * 1000),
        warm_from_ms=TUESDAY if warm else None,
    )


def test_fast_motion_sends_hours_in_seconds_over_shared_connections() -> None:
    clock = Time(TUESDAY + 16 * HOUR)
    with mqtt_server() as server:
        live = run(server, plan(clock, scale=3600, seconds=4, back_hours=7), clock)
        assert len(server.connects) == 2
        assert {topic for topic, _ in server.received} == {"car-iotp", "mobile-iotp"}
        found = received(server)
    assert live.reached_ms >= TUESDAY + 10 * HOUR
    sent = sum(map(len, found.values()))
    once = len({(device, each["properties"]["timestamp"]) for device, own in found.items() for each in own})
    # What was not acknowledged when a device lost its signal is sent again: seldom.
    assert sent * 0.99 < once <= sent


def test_a_crowd_that_is_warm_sends_who_is_there_first_and_then_the_day_so_far() -> None:
    clock = Time(TEN, speed=30)
    with mqtt_server() as server:
        run(server, plan(clock, scale=1, seconds=300, warm=True), clock)
        there = {moment.unit.id: moment for moment in crowd(ON, devices=60).moments(TEN - 10 * 60_000, TEN)}
        first = [each["properties"] for _, payload in server.received[:20] for each in features(payload)]
        found = received(server)
    assert {each["device_id"] for each in first} <= set(there)
    # Each by its own clock, which is wrong by three minutes at the most.
    assert {each["timestamp"][:14] for each in first} <= {"2026-11-24T09:", "2026-11-24T10:"}
    times = sorted(each["properties"]["timestamp"] for own in found.values() for each in own)
    assert times[0] < "2026-11-24T09:00:00Z"
    assert times[-1] > "2026-11-24T10:00:00Z"
    assert len(times) > 1000


def test_a_crowd_that_lives_another_day_has_the_times_of_now() -> None:
    clock = Time(TUESDAY + 3 * HOUR, speed=60)
    with mqtt_server() as server:
        run(server, plan(clock, scale=1, seconds=180, shift_ms=-7 * HOUR), clock)
        found = received(server)
    assert len(found) > 20
    assert {each["properties"]["timestamp"][:13] for own in found.values() for each in own} <= {
        "2026-11-24T02",
        "2026-11-24T03",
    }


def test_a_server_that_does_not_acknowledge_slows_the_crowd_down_and_nothing_is_given_up() -> None:
    clock = Time(TUESDAY + 16 * HOUR)
    with mqtt_server() as server:
        server.acknowledging.clear()
        live = run(server, plan(clock, scale=3600, seconds=4, back_hours=7), clock, connections=1)
        assert live.dropped == 0
        assert len(server.received) <= 100


def test_who_is_refused_and_who_finds_nobody_is_told_so() -> None:
    clock = Time(TEN)
    with mqtt_server(connack=5) as server, pytest.raises(LoginRefusedError, match="not authorized"):
        run(server, plan(clock, scale=1, seconds=5), clock)
    with (
        Links(1, host="127.0.0.1", port=free_port(), login=Login(), transport=Transport()) as links,
        pytest.raises(NotConnectedError, match=r"make run.*MQTT_PORT"),
    ):
        Live(crowd(ON), RINGS, links, plan(clock, scale=1, seconds=1), seed=7, clock=clock).run(lambda: None)


def started(server: MqttServer, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "simulator", "campus", "--devices", "40", "--port", str(server.port), *options],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_command_runs_for_some_seconds_and_writes_the_truth(tmp_path: Path) -> None:
    truth = tmp_path / "truth.gz"
    with (
        mqtt_server() as server,
        started(
            server, "--start", "2026-11-24T09:00:00Z", "--time-scale", "3600", "--seconds", "6", "--truth", str(truth)
        ) as process,
    ):
        out, errors = process.communicate(timeout=100)
        assert len(received(server)) > 15
    assert (process.returncode, errors.splitlines()[-1]) == (
        0,
        f"{truth}: the truth, {len(read_truth(truth)[1])} visits",
    )
    assert "messages acknowledged, 0 positions given up" in out.splitlines()[-1]
    about, visits = read_truth(truth)
    assert about.start == 1_795_510_800_000
    assert about.end > about.start + HOUR
    assert {visit.zone for visit in visits} >= {"campus"}


def test_ctrl_c_ends_it_and_the_truth_is_written_all_the_same(tmp_path: Path) -> None:
    truth = tmp_path / "truth.gz"
    with mqtt_server() as server, started(server, "--hours", "busy", "--warm", "--truth", str(truth)) as process:
        server.wait_for_messages(5)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=100)
    assert process.returncode == 130
    assert read_truth(truth)[0].devices == 40


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_waits_until_the_library_has_let_go_of_its_locks(
    monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    published = []
    publish = Client.publish

    def interrupted(client: Client, *arguments: Any, **options: Any) -> MQTTMessageInfo:
        signal.raise_signal(number)
        published.append(publish(client, *arguments, **options))
        return published[-1]

    before = signal.getsignal(number)
    monkeypatch.setattr(Client, "publish", interrupted)
    with (
        mqtt_server() as server,
        Links(1, host="127.0.0.1", port=server.port, login=Login(), transport=Transport()) as links,
    ):
        with pytest.raises(KeyboardInterrupt):
            links.publish("car-7", "car-iotp", b"x", 1)
        assert len(published) == 1
        assert links.under_way == 1
        server.wait_for_messages(1)
    assert signal.getsignal(number) is before
