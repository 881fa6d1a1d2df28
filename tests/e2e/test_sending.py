"""Who sends over HTTP hears at once what cannot be used; over MQTT, whoever runs the system is told what to do."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from tests.e2e.system import System, start, wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]
HERE = [-8.5734, 52.6733]
"""In the library."""


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    running = start(tmp_path_factory.mktemp("sending"))
    try:
        yield running
    finally:
        running.stop()


def feature(**properties: object) -> dict[str, Any]:
    return {"type": "Feature", "geometry": {"type": "Point", "coordinates": HERE}, "properties": properties}


def post(system: System, body: object) -> httpx.Response:
    key = (Path(system.data_dir) / "demo-api-key").read_text().strip()
    return httpx.post(
        f"{system.url}/v1/positions?kind=car", json=body, headers={"Authorization": f"Bearer {key}"}, timeout=30
    )


def present(system: System) -> int:
    count: int = system.get("/v1/zones/glucksman-library/occupancy").json()["car"]
    return count


def test_a_position_in_epoch_seconds_is_counted(system: System) -> None:
    answer = post(system, feature(device_id="car-1", timestamp=int(time.time())))
    assert (answer.status_code, answer.json()["taken"]) == (202, 1)
    wait_for(lambda: present(system) == 1, "the car is in the library")


def test_a_missing_device_and_a_line_string_are_refused_at_once_and_leave_nothing(system: System) -> None:
    before = system.total("messages")
    line = {**feature(device_id="car-1"), "geometry": {"type": "LineString", "coordinates": [HERE, HERE]}}
    for body, reason in ((feature(), "no_device"), (line, "not_a_point")):
        answer = post(system, body)
        assert answer.status_code == 422
        assert [error["reason"] for error in answer.json()["errors"]] == [reason]

    answer = post(system, {"type": "FeatureCollection", "features": [line, feature(device_id="car-2"), feature()]})
    assert (answer.status_code, answer.json()["taken"]) == (202, 1)
    assert [(each["index"], each["reason"]) for each in answer.json()["refused"]] == [
        (0, "not_a_point"),
        (2, "no_device"),
    ]
    # The one message of which something could be used, and no other.
    wait_for(lambda: system.total("messages") > before, "it is decoded")
    assert system.total("messages") == before + 1


def test_what_an_app_does_wrong_over_mqtt_is_explained(system: System) -> None:
    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    client.connect("127.0.0.1", system.mqtt_port)
    client.loop_start()
    at = int(time.time())
    for payload in (
        {"_type": "location", "lat": HERE[1], "lon": HERE[0], "tst": at, "tid": "ab", "acc": 5},
        {"_type": "location", "lat": HERE[1], "lon": HERE[0], "tst": at},
        {"_type": "encrypted", "data": "AbCd"},
    ):
        client.publish("mobile-iotp", json.dumps(payload), qos=1).wait_for_publish(30)
    client.disconnect()
    client.loop_stop()

    def explained() -> list[dict[str, Any]]:
        told = system.run("decoder", "dead-letters", "explain", "--json")
        assert told.returncode == 0, told.stderr
        groups = [json.loads(line) for line in told.stdout.splitlines()]
        return [group for group in groups if group["app"] == "OwnTracks"]

    groups = wait_for(lambda: found if len(found := explained()) == 2 else None, "both are dead letters")
    assert {group["reason"]: group["remedy"] for group in groups} == {
        "no_device": "Give the phone an MQTT user of its own, or set the tracker id (`tid`).",
        "not_geojson": "Take the encryption key out of the app's settings: TLS protects what it sends.",
    }
    assert {group["count"] for group in groups} == {1}
