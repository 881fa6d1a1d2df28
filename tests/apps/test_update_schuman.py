"""Both versions of update-schuman beside a running system, as a student runs them."""

import base64
import csv
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from tests.e2e.system import ROOT, System, start, wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
LIMIT_SECONDS = 90.0
IN_THE_BUILDING = [-8.57786, 52.67315]
"""Longitude and latitude of a place in the Schuman Building."""


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    system = start(tmp_path_factory.mktemp("data"))
    yield system
    system.stop()


@pytest.fixture(scope="module")
def running(system: System) -> Iterator["subprocess.Popen[str]"]:
    """`python -m apps run update-schuman`, once both versions are healthy."""
    process = subprocess.Popen(
        [sys.executable, "-m", "apps", "run", "update-schuman"], cwd=ROOT, env=system.environment, text=True
    )
    try:
        wait_for(lambda: len(files(system)) == 2, "both versions are healthy", LIMIT_SECONDS)
        yield process
    finally:
        # Not SIGKILL: it ends those that it has started.
        process.terminate()
        process.wait(60)


def files(system: System) -> list[Path]:
    """What says to the controller which instances run."""
    return sorted((system.data_dir / "apps").glob("*.json"))


def instances(system: System) -> dict[str, dict[str, Any]]:
    """What is in them, by version."""
    found = [json.loads(file.read_text()) for file in files(system)]
    return {each["version"]: each for each in found}


def said(system: System, version: str) -> dict[str, Any]:
    """What a version answers over REST."""
    port = instances(system)[version]["port"]
    answer: dict[str, Any] = httpx.get(f"http://127.0.0.1:{port}/apps/update-schuman/latest", timeout=10).json()
    return answer


def user(system: System, name: str, number: int) -> mqtt.Client:
    """A client that is logged in as one of the demo users."""
    with (system.data_dir / "demo-users.csv").open(newline="") as file:
        passwords = {row[0]: row[2] for row in csv.reader(file)}
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=f"test-{name}-{number}")
    client.username_pw_set(name, passwords[name])
    return client


def publish_a_phone(system: System, number: int) -> None:
    feature = {
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": IN_THE_BUILDING},
        "properties": {"device_id": f"phone-{number}"},
    }
    client = user(system, "demo-gateway", number)
    client.connect("127.0.0.1", system.mqtt_port)
    client.loop_start()
    told = client.publish("mobile-iotp", base64.b64encode(json.dumps(feature).encode()), qos=1)
    told.wait_for_publish(LIMIT_SECONDS)
    assert told.is_published()
    client.disconnect()
    client.loop_stop()


@pytest.mark.usefixtures("running")
def test_both_versions_say_who_is_in_the_building_as_soon_as_somebody_comes(system: System) -> None:
    publish_a_phone(system, 1)

    for version in ("1", "2"):
        expected = "Schuman Building: 1 phone at present."
        wait_for(lambda: said(system, version)["text"].startswith(expected), expected, LIMIT_SECONDS)  # noqa: B023
        answer = said(system, version)
        assert (answer["app"], answer["version"]) == ("update-schuman", version)
        assert answer["made_at"].endswith("Z")


@pytest.mark.usefixtures("running")
def test_what_is_published_below_a_version_is_what_it_answers_and_is_retained(system: System) -> None:
    publish_a_phone(system, 2)
    for version in ("1", "2"):
        wait_for(lambda: "2 phones" in said(system, version)["text"], "two phones", LIMIT_SECONDS)  # noqa: B023
    seen: dict[str, Any] = {}
    client = user(system, "demo-service", 3)
    client.on_message = lambda _client, _data, message: seen.update({message.topic: json.loads(message.payload)})
    client.on_connect = lambda connected, *_: connected.subscribe("app-versions/#", 1)
    client.connect("127.0.0.1", system.mqtt_port)
    client.loop_start()
    expected = {f"app-versions/update-schuman/{version}/latest": said(system, version) for version in ("1", "2")}
    wait_for(lambda: seen == expected, "both are retained", LIMIT_SECONDS)
    client.disconnect()
    client.loop_stop()


def test_a_canary_can_ask_how_old_its_answers_were(system: System, running: "subprocess.Popen[str]") -> None:
    assert running.poll() is None
    port = instances(system)["1"]["port"]
    before = httpx.get(f"http://127.0.0.1:{port}/measure", timeout=10).json()
    said(system, "1")
    after = httpx.get(f"http://127.0.0.1:{port}/measure", timeout=10).json()
    assert after["count"] - before["count"] == 1
    assert after["sum"] >= before["sum"]
    assert after.keys() == {"count", "sum", "sum_of_squares"}


def test_at_its_end_nothing_says_any_more_that_it_runs(system: System, running: "subprocess.Popen[str]") -> None:
    running.send_signal(signal.SIGINT)
    assert running.wait(60) == 0
    assert files(system) == []


def test_a_version_that_is_not_there_is_named_with_those_that_are() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "apps", "run", "update-schuman", "--version", "7"],
        cwd=ROOT,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == "apps/update_schuman has no version 7 (there are: 1, 2)\n"
