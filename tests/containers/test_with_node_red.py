"""The profile `node-red`: an image that is built from Node.js alone, and its flows in front of the whole system.

The last of these files: what the flows inject stays on the campus for PRESENCE_TTL, and others begin with nobody there.
"""

from collections.abc import Iterator

import httpx
import pytest

from core.kinds import KindId
from runtime.devices import DeviceHasher
from tests.conftest import free_port
from tests.containers.conftest import Figures
from tests.containers.people import People
from tests.containers.results import device_key
from tests.containers.stack import Stack, until
from tests.kinds_of_tests import CAR, MOBILE
from tests.node_red.node_red import Editor

pytestmark = [pytest.mark.containers, pytest.mark.timeout(2400)]
BUILD_SECONDS = 1200.0
START_SECONDS = 180.0
PROFILE = ("--profile", "node-red")


@pytest.fixture(scope="module")
def editor(stack: Stack, figures: Figures) -> Iterator[Editor]:
    port = free_port()
    settings = {"NODE_RED_PORT": str(port)}
    stack.compose(*PROFILE, "build", "node-red", seconds=BUILD_SECONDS)
    try:
        stack.compose(*PROFILE, "up", "--detach", "--no-deps", "node-red-key", settings=settings)
        until(
            lambda: stack.one("node-red-key").ended_well,
            "its key is known",
            START_SECONDS,
            told=lambda: stack.logs("node-red-key"),
        )
        stack.compose(*PROFILE, "up", "--detach", "--no-deps", "node-red", settings=settings)
        until(
            lambda: "Started flows" in stack.logs("node-red"),
            "its flows run",
            START_SECONDS,
            told=lambda: stack.logs("node-red"),
        )
        figures.say("Node-RED runs")
        yield Editor(f"http://127.0.0.1:{port}", stack.secret("node-red", "NODE_RED_PASSWORD"))
    except BaseException:
        stack.keep_logs()
        raise
    finally:
        stack.compose(*PROFILE, "rm", "--stop", "--force", "--volumes", "node-red", "node-red-key")


def stored(stack: Stack, people: People, kind: KindId, device: str) -> int:
    """How many positions of a device there are; none while the store still makes the index that it is asked by."""
    answer = httpx.get(
        f"{stack.url}/v1/positions",
        params={"device": DeviceHasher(device_key(stack)).hash(kind, device)},
        headers={"Authorization": f"Bearer {people.api_key}"},
        timeout=30,
    )
    if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
        return 0
    return len(answer.raise_for_status().json()["features"])


def test_the_positions_that_node_red_injects_come_out_of_the_rest_api(
    editor: Editor, stack: Stack, people: People
) -> None:
    assert editor.url
    # Devices of both topics: the even ones are cars.
    until(lambda: stored(stack, people, CAR, "node-red-0") > 2, "positions of a car", START_SECONDS)
    until(lambda: stored(stack, people, MOBILE, "node-red-1") > 2, "positions of a phone", START_SECONDS)


def test_its_flows_read_positions_with_a_key_that_may_do_nothing_else(editor: Editor, stack: Stack) -> None:
    documents = until(lambda: editor.known("documents"), "documents", START_SECONDS)
    assert {document["type"] for document in documents} == {"Feature"}

    key = {"Authorization": f"Bearer {stack.secret('node-red', 'API_KEY')}"}
    refused = httpx.post(f"{stack.url}/v1/positions", params={"kind": "car"}, headers=key, json={})
    assert refused.status_code == httpx.codes.FORBIDDEN


def test_who_edits_flows_reaches_no_store(editor: Editor, stack: Stack) -> None:
    assert editor.url
    container = stack.one("node-red")
    assert {name.removeprefix(f"{stack.name}_") for name in container.about["NetworkSettings"]["Networks"]} == {"edge"}
    assert container.restarts == 0
    secrets = set(container.run("ls", "/run/secrets").split())
    assert secrets == {"API_KEY", "MQTT_PASSWORD", "NODE_RED_CREDENTIAL_SECRET", "NODE_RED_PASSWORD"}
