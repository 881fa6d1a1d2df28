"""One entry more in KINDS_FILE, and `make run` counts bicycles: from MQTT to every place where cars are."""

import base64
import csv
import json
from collections.abc import Iterator
from typing import Any

import httpx
import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

from tests.browser.conftest import browser, page
from tests.browser.page import Page
from tests.e2e.system import ROOT, System, start, wait_for

__all__ = ["browser", "page"]

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]
MAIN_BUILDING = [-8.5722, 52.6738]
BICYCLE = {
    "id": "bicycle",
    "topic": "bike-iotp",
    "label": {"en": ["bicycle", "bicycles"], "ga": ["rothar", "rothair"]},
    "person": False,
    "capacity_of": ["bicycle_park"],
    "colour": {"light": "#6a3fa0", "dark": "#c7a6f2"},
}
WAIT_SECONDS = 30.0


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A system with three kinds, to which the demo user of the third has sent its place."""
    folder = tmp_path_factory.mktemp("bicycle")
    table = json.loads((ROOT / "core" / "kinds.json").read_text())
    table["kinds"].append(BICYCLE)
    (folder / "kinds.json").write_text(json.dumps(table))
    running = start(folder / "data", KINDS_FILE=str(folder / "kinds.json"))
    try:
        assert publish(running, "demo-bicycle", "bike-iotp") is True
        running.wait_until_done()
        yield running
    finally:
        if running.process.poll() is None:
            running.stop()


def publish(system: System, user: str, topic: str) -> bool:
    """Send the place of a device in the Main Building at QoS 1; whether that was acknowledged."""
    with (system.data_dir / "demo-users.csv").open() as file:
        password = next(row[2] for row in csv.reader(file) if row[0] == user)
    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    client.username_pw_set(user, password)
    client.connect("127.0.0.1", system.mqtt_port)
    client.loop_start()
    try:
        feature = {"type": "Feature", "geometry": {"type": "Point", "coordinates": MAIN_BUILDING}, "properties": {}}
        sent = client.publish(topic, base64.b64encode(json.dumps(feature).encode()), qos=1)
        sent.wait_for_publish(WAIT_SECONDS)
        return sent.is_published()
    finally:
        client.disconnect()
        client.loop_stop()


def documents(system: System) -> list[dict[str, Any]]:
    exported = system.run("documents", "export", "-")
    assert exported.returncode == 0, exported.stderr
    return [json.loads(line)["properties"] for line in exported.stdout.splitlines()]


def test_its_document_says_what_it_is_and_where(system: System) -> None:
    [document] = documents(system)
    assert document["kind"] == "bicycle"
    assert document["zones"] == ["campus", "main"]


def test_its_windows_are_in_the_series(system: System) -> None:
    asked = ("bicycle", "--window", "1m", "--start", "2020-01-01T00:00:00Z", "--end", "2100-01-01T00:00:00Z")
    for zone in ("campus", "main"):
        printed = system.run("timeseries", "history", zone, *asked)
        assert printed.returncode == 0, printed.stderr
        assert [line.split()[1] for line in printed.stdout.splitlines()[1:]] == ["1"]


def test_the_state_has_taken_one_message_and_made_no_dead_letter(system: System) -> None:
    status = system.run("state", "status", "--json")
    assert status.returncode == 0, status.stderr
    told = json.loads(status.stdout)
    assert (told["totals"]["messages"], told["totals"]["positions"]) == (1, 1)
    assert not [name for name in told["totals"] if name.startswith("dead:")]


def test_there_is_a_demo_user_for_it_and_users_can_be_given_its_role(system: System) -> None:
    added = system.run("broker", "users", "add", "bike-7", "--role", "bicycle")
    assert added.returncode == 0, added.stderr
    refused = system.run("broker", "users", "add", "tram-7", "--role", "tram")
    assert refused.returncode == 2
    assert "one of car, mobile, bicycle, gateway, service" in refused.stderr
    listed = system.run("broker", "users", "list", "--json").stdout.splitlines()
    assert {"bicycle"} == {
        user["role"] for user in map(json.loads, listed) if user["name"] in {"bike-7", "demo-bicycle"}
    }


def test_nobody_but_a_service_may_listen_to_where_bicycles_are(system: System) -> None:
    granted: list[list[ReasonCode]] = []
    for user in (None, "demo-bicycle", "demo-gateway", "demo-service"):
        client = mqtt.Client(CallbackAPIVersion.VERSION2)
        if user is not None:
            with (system.data_dir / "demo-users.csv").open() as file:
                client.username_pw_set(user, next(row[2] for row in csv.reader(file) if row[0] == user))
        client.on_subscribe = lambda _client, _data, _mid, codes, _properties: granted.append(codes)
        client.connect("127.0.0.1", system.mqtt_port)
        client.loop_start()
        count = len(granted)
        client.subscribe("bike-iotp/#", 1)
        wait_for(lambda count=count: len(granted) > count, "an answer")
        client.disconnect()
        client.loop_stop()
    assert [codes[0].is_failure for codes in granted] == [True, True, True, False]


def test_the_simulator_replays_bicycles_and_says_which_kinds_there_are(system: System) -> None:
    recording = str(ROOT / "simulator" / "recordings" / "bus-304-to-university-of-limerick-2019-02-18.gpx")
    refused = system.run("simulator", "replay", recording, "--kind", "tram", "--limit", "1")
    assert refused.returncode == 2
    assert "'tram' is not one of car, mobile, bicycle" in refused.stderr
    replayed = system.run("simulator", "replay", recording, "--kind", "bicycle", "--limit", "1")
    assert replayed.returncode == 0, replayed.stderr


def test_now_there_is_one_bicycle(system: System) -> None:
    body = system.get("/v1/zones/campus/occupancy").json()
    assert (body["car"], body["mobile"], body["bicycle"], body["total"]) == (0, 0, 1, 1)
    assert body["newest_input_at"]["bicycle"] is not None


def test_the_map_has_it_in_its_column_and_its_chart(system: System, page: Page) -> None:
    page.open(f"{system.url}/")
    page.until(lambda: page.row("main") == ["Main Building (Blocks A to E)", "0", "0", "1", "1", ""])
    page.find("tr[data-zone='main'] button").click()
    page.until(lambda: len(page.all("#panel-charts figure")) == 6)
    assert page.text(".day[data-kind='bicycle'] figcaption").startswith("Bicycles at most 1, at ")


def test_the_history_by_the_minute_has_it(system: System) -> None:
    answer = system.get("/v1/zones/campus/occupancy/history", kind="bicycle", window="1m")
    assert answer.status_code == 200, answer.text
    assert [point["devices"] for point in answer.json()["points"] if point["devices"]] == [1]


def test_the_smoke_test_finds_a_bicycle_in_the_answers_the_events_and_the_history(system: System) -> None:
    with (system.data_dir / "demo-users.csv").open() as file:
        password = next(row[2] for row in csv.reader(file) if row[0] == "demo-bicycle")
    done = system.run(
        *("deploy.smoke", "--mqtt", f"mqtt://127.0.0.1:{system.mqtt_port}", "--api", system.url),
        *("--username", "demo-bicycle", "--kind", "bicycle"),
        MQTT_PASSWORD=password,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "on bike-iotp" in done.stdout


def test_the_mirror_has_it(system: System) -> None:
    received: list[dict[str, Any]] = []
    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    client.on_message = lambda _client, _data, message: received.append(json.loads(message.payload))
    client.connect("127.0.0.1", system.mqtt_port)
    client.loop_start()
    try:
        client.subscribe("v1/zones/campus/occupancy", 1)
        wait_for(lambda: any(body["bicycle"] == 1 for body in received), "the mirror tells of a bicycle")
    finally:
        client.disconnect()
        client.loop_stop()


def test_it_is_erased_last_of_all(system: System) -> None:
    key = (system.data_dir / "demo-api-key").read_text().strip()
    answer = httpx.delete(
        f"{system.url}/v1/devices/demo-bicycle/positions",
        params={"kind": "bicycle"},
        headers={"Authorization": f"Bearer {key}"},
        timeout=60,
    )
    assert answer.status_code == 200, answer.text
    assert answer.json()["documents"] >= 1
    assert [each for each in documents(system) if each["kind"] == "bicycle"] == []
    # What is told of now is of the newest snapshot: half a second old at most.
    wait_for(lambda: system.get("/v1/zones/campus/occupancy").json()["bicycle"] == 0, "nobody tells of the bicycle")
