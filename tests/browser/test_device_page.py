"""A browser as a device, over the whole system: what it asks, what it sends, and when it is silent."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from runtime.demo_users import kept_demo_users
from tests.browser.axe import hindrances
from tests.browser.page import PHONE, Page
from tests.e2e.system import System, start, wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

MAIN_BUILDING = (-8.5715, 52.6741)
KEMMY = (-8.5755, 52.6725)
CITY = (-8.6267, 52.6680)


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    running = start(tmp_path_factory.mktemp("device"))
    yield running
    assert running.stop() == 0


def stand(page: Page, place: tuple[float, float]) -> None:
    """Where the browser is from now on."""
    longitude, latitude = place
    page.command("Emulation.setGeolocationOverride", longitude=longitude, latitude=latitude, accuracy=6)


def opened(page: Page, system: System, allowed: str = "granted") -> None:
    permission = {"name": "geolocation"}
    page.command("Browser.setPermission", permission=permission, setting=allowed, origin=system.url)
    page.complaints()
    page.driver.get(f"{system.url}/device")
    page.until(lambda: page.all("#kinds input"))


def status(page: Page) -> tuple[str, str]:
    return str(page.find("#status").get_attribute("data-state")), page.text("#status")


def started(page: Page, place: tuple[float, float]) -> None:
    stand(page, place)
    page.find("#start").click()


def sent(page: Page) -> list[dict[str, Any]]:
    return [json.loads(item.text) for item in page.all("#sent code")]


def present(system: System, kind: str, zone: str = "campus") -> int:
    return int(system.get(f"/v1/zones/{zone}/occupancy").json()[kind])


def messages(system: System) -> int:
    """How many have ever come to a broker and been worked off."""
    system.wait_until_done()
    return system.total("messages")


def test_nothing_is_asked_and_nothing_sent_before_it_is_started(page: Page, system: System) -> None:
    opened(page, system, "prompt")
    stand(page, MAIN_BUILDING)

    assert status(page)[0] == "off"
    assert (
        page.script("return performance.getEntriesByType('resource').filter(e => e.name.includes('/v1/')).length") == 0
    )
    state = page.driver.execute_async_script(
        "navigator.permissions.query({name: 'geolocation'}).then(p => arguments[arguments.length - 1](p.state))"
    )
    assert state == "prompt"
    assert page.find("#kinds input:checked").get_attribute("value") == "mobile"
    assert page.complaints() == []


def test_who_is_on_the_campus_counts_and_sees_what_was_sent(page: Page, system: System) -> None:
    before = present(system, "mobile")
    opened(page, system)
    started(page, MAIN_BUILDING)
    page.until(lambda: status(page) == ("sending", "You are on the campus, and your place is sent."))
    page.until(lambda: "not acknowledged yet: 0" in page.text("#counts") and sent(page))

    [message] = sent(page)
    assert message["geometry"] == {"type": "Point", "coordinates": [-8.5715, 52.6741]}
    assert set(message["properties"]) == {"device_id", "timestamp", "accuracy"}
    assert message["properties"]["accuracy"] == 6
    wait_for(lambda: present(system, "mobile") == before + 1, "it counts")
    assert hindrances(page, looked_at=10) == []
    # No library made a worker of a blob, no load was refused: the policy holds as it is.
    assert page.complaints() == []
    page.keep_picture("device")
    page.find("#stop").click()


def test_who_is_outside_sends_nothing_and_who_comes_in_does(page: Page, system: System) -> None:
    before = messages(system)
    opened(page, system)
    started(page, CITY)
    page.until(lambda: status(page) == ("waiting", "You are not on the campus: nothing is sent."))
    assert sent(page) == []
    assert messages(system) == before

    stand(page, KEMMY)
    page.until(lambda: status(page)[0] == "sending")
    page.until(lambda: len(sent(page)) == 1)
    wait_for(lambda: messages(system) == before + 1, "one message")

    stand(page, CITY)
    page.until(lambda: status(page) == ("waiting", "You are not on the campus: nothing is sent."))
    assert len(sent(page)) == 1
    assert messages(system) == before + 1
    assert all("-8.62" not in json.dumps(message) for message in sent(page))
    page.find("#stop").click()


def test_after_stop_nothing_is_sent_and_another_start_is_another_device(page: Page, system: System) -> None:
    opened(page, system)
    page.find("#kinds input[value='car']").click()
    started(page, MAIN_BUILDING)
    page.until(lambda: sent(page) and "not acknowledged yet: 0" in page.text("#counts"))
    first = sent(page)[0]["properties"]["device_id"]
    page.find("#stop").click()
    assert status(page) == ("off", "Stopped: nothing is sent any more.")
    before = messages(system)

    stand(page, KEMMY)
    assert page.script("return document.getElementById('stop').hidden")
    page.find("#start").click()
    page.until(lambda: sent(page) and "not acknowledged yet: 0" in page.text("#counts"))

    assert len(sent(page)) == 1
    assert sent(page)[0]["properties"]["device_id"] != first
    # The move between stop and start was never sent.
    wait_for(lambda: messages(system) == before + 1, "one message more")
    wait_for(lambda: present(system, "car") >= 2, "both count as cars")
    page.find("#stop").click()


def test_who_leaves_the_page_stops(page: Page, system: System) -> None:
    opened(page, system)
    started(page, MAIN_BUILDING)
    page.until(lambda: status(page)[0] == "sending")
    page.script(
        "const status = document.getElementById('status');"
        "addEventListener('pagehide', () => sessionStorage.setItem('last', status.innerText))"
    )
    page.driver.get(f"{system.url}/docs")

    assert page.script("return sessionStorage.getItem('last')") == "Stopped: this page was left."


def test_who_does_not_allow_it_is_told_so_and_nothing_is_sent(page: Page, system: System) -> None:
    before = messages(system)
    opened(page, system, "denied")
    started(page, MAIN_BUILDING)
    page.until(
        lambda: status(page) == ("trouble", "Your browser may not tell this page where you are. Nothing is sent.")
    )

    assert not page.script("return document.getElementById('start').hidden")
    assert hindrances(page, looked_at=10) == []
    assert messages(system) == before


def test_it_fits_a_phone(page: Page, system: System) -> None:
    width, height = PHONE
    page.command("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=True)
    opened(page, system)
    started(page, MAIN_BUILDING)
    page.until(lambda: sent(page))

    assert page.script("return document.documentElement.scrollWidth") <= width
    assert page.find("#stop").size["height"] >= 44
    page.keep_picture("device-phone")
    page.find("#stop").click()


def test_a_server_that_wants_a_user_is_given_one_and_the_page_asks_only_then(
    page: Page, tmp_path_factory: pytest.TempPathFactory
) -> None:
    running = start(tmp_path_factory.mktemp("users"), MQTT_ALLOW_ANONYMOUS="false")
    try:
        opened(page, running)
        assert not page.find("#username").is_displayed()
        started(page, MAIN_BUILDING)
        page.until(lambda: page.find("#username").is_displayed())
        page.until(lambda: status(page)[0] == "trouble")
        assert "wants a user and a password" in status(page)[1]

        page.find("#username").send_keys("demo-mobile")
        page.find("#password").send_keys("not this one")
        page.find("#start").click()
        page.until(lambda: "none that the server knows" in status(page)[1])

        [user] = [user for user in kept_demo_users(running.data_dir) if user.name == "demo-mobile"]
        page.find("#password").clear()
        page.find("#password").send_keys(user.password)
        page.find("#start").click()
        page.until(lambda: status(page)[0] == "sending")
        wait_for(lambda: present(running, "mobile") == 1, "it counts")
        # A device's user speaks for itself alone.
        assert sent(page)[0]["properties"]["device_id"] == "demo-mobile"
    finally:
        running.stop()
