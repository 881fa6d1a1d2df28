"""The main job, through HAProxy: a recorded bus drives onto the campus, and REST, documents and the live map say so."""

from collections.abc import Iterator

import httpx
import numpy as np
import pytest
from paho.mqtt.client import MQTTMessage

from core.clock import system_clock
from geofence import Geofence, load_campus
from simulator.fix import Fix
from simulator.message import payload
from simulator.plan import Plan
from simulator.tracks import read_tracks
from tests.browser.page import Page, opened_browser
from tests.containers.conftest import Figures
from tests.containers.people import People
from tests.containers.results import documents, status, wait_until_done
from tests.containers.senders import LEAKS, Connection, send_all
from tests.containers.stack import Stack, until
from tests.e2e.system import BUS
from tests.kinds_of_tests import MOBILE_ROLE

pytestmark = [pytest.mark.containers, pytest.mark.timeout(2400), *LEAKS]
FIXES = 2144
ON_CAMPUS = 80
RECORDED = (1_550_448_000_000, 1_550_534_400_000)
"""2019-02-18 in UTC, in milliseconds."""


def track() -> list[Fix]:
    [only] = read_tracks(BUS).tracks
    return only.fixes


def recorded(device: str = BUS.stem) -> list[tuple[str, bytes]]:
    return [("car-iotp", payload(fix, device)) for fix in track()]


def history(stack: Stack, zone: str, window: str) -> list[int]:
    answer = httpx.get(
        f"{stack.url}/v1/zones/{zone}/occupancy/history",
        params={
            "kind": "car",
            "window": window,
            "start": "2019-02-18T08:55:00Z",
            "end": "2019-02-18T09:05:00Z",
        },
    )
    assert answer.status_code == httpx.codes.OK, answer.text
    return [point["devices"] for point in answer.json()["points"]]


def test_a_track_replayed_by_every_way_in_is_counted_once(stack: Stack, people: People, figures: Figures) -> None:
    before = status(stack)["totals"]
    messages = recorded()
    assert len(messages) == FIXES
    for scheme, door in people.doors(stack).items():
        sent = send_all([door], people.gateway, f"bus-{scheme}", messages)
        assert sent == FIXES, scheme
    wait_until_done(stack)

    totals = {name: count - before.get(name, 0) for name, count in status(stack)["totals"].items()}
    assert totals["messages"] == 4 * FIXES
    assert totals["positions"] == 4 * ON_CAMPUS
    assert totals["outside"] == 4 * (FIXES - ON_CAMPUS)
    assert len(documents(stack, start=RECORDED[0], end=RECORDED[1])) == ON_CAMPUS
    assert history(stack, "campus", "1m") == [0, 0, 0, 1, 1, 1, 0, 0, 0, 0]
    assert history(stack, "car-park-west", "1m") == [0, 0, 0, 1, 1, 0, 0, 0, 0, 0]
    assert history(stack, "campus", "5m") == [1, 1]
    figures.say(f"the bus drove {len(people.doors(stack))} times, by {', '.join(people.doors(stack))}: 80 documents")


@pytest.fixture
def page(stack: Stack) -> Iterator[Page]:
    assert stack.name
    with opened_browser() as opened:
        yield opened


def present(message: MQTTMessage) -> bool:
    return message.topic == "v1/zones/campus/occupancy" and b'"car":1' in message.payload


def test_a_bus_that_drives_now_shows_on_the_map_and_on_mqtt(page: Page, stack: Stack, people: People) -> None:
    fixes = track()
    inside = Geofence(load_campus(None)).locate(
        np.array([fix.longitude for fix in fixes]), np.array([fix.latitude for fix in fixes])
    )
    on_campus = [fix for fix, zones in zip(fixes, inside, strict=True) if zones]
    assert len(on_campus) == ON_CAMPUS
    # The last fix is now: none is in the future.
    plan = Plan(shift_to_now=True)
    lasted = on_campus[-1].at_ms - on_campus[0].at_ms
    [shifted] = plan.rounds(on_campus, lambda: system_clock() - lasted)
    page.open(f"{stack.url}/")
    assert page.row("campus")[1:4] == ["0", "0", "0"]

    doors = people.doors(stack)
    with Connection(doors["wss"], people.users[MOBILE_ROLE], "watcher") as watcher:
        watcher.subscribe("v1/#")
        messages = [("car-iotp", payload(fix, "bus-now")) for fix in shifted]
        assert send_all([doors["mqtts"]], people.gateway, "bus-now", messages) == ON_CAMPUS

        page.until(lambda: page.row("campus")[1:4] == ["1", "0", "1"])
        page.keep_picture("containers")
        until(lambda: any(present(message) for message in watcher.received), "the mirror on MQTT says so, too")
    assert page.complaints() == []


def test_the_crowd_of_the_demo_moves_by_itself(stack: Stack) -> None:
    def messages() -> int:
        return int(status(stack)["totals"].get("messages", 0))

    before = messages()
    stack.compose("--profile", "demo", "up", "--detach", "--no-deps", "demo")
    try:
        until(
            lambda: messages() > before + 5,
            "the demo is there",
            120,
            told=lambda: stack.logs("demo"),
        )
    finally:
        stack.compose("--profile", "demo", "rm", "--stop", "--force", "demo")


def test_the_history_of_the_demo_is_written_once(stack: Stack) -> None:
    settings = {"DEMO_DAYS": "2", "DEMO_DEVICES": "100"}

    def started() -> str:
        stack.compose("--profile", "demo", "up", "--detach", "--no-deps", "demo-history-made", settings=settings)
        until(lambda: stack.one("demo-history-made").ended_well, "it is printed", 300, told=lambda: told(stack))
        stack.compose("--profile", "demo", "up", "--detach", "--no-deps", "demo-history", settings=settings)
        until(lambda: stack.one("demo-history").ended_well, "it is written", 300, told=lambda: told(stack))
        return told(stack)

    try:
        assert "new documents, in " in started()
        again = started()
        assert "/history/lines.ndjson.gz is there: nothing is written" in again
        assert "nothing is written: /history/written: done at " in again
    finally:
        stack.compose("--profile", "demo", "rm", "--stop", "--force", "demo-history", "demo-history-made")


def told(stack: Stack) -> str:
    return stack.logs("demo-history-made", "demo-history")
