"""The editor and the dashboard, as people see them: their pictures are those of docs/node-red.md."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from selenium.webdriver import Keys

from tests.browser.page import Page, opened_browser
from tests.e2e.system import System, start, wait_for
from tests.node_red.node_red import PASSWORD, NodeRed, for_system, node_red

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]
LIMIT = 90.0


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with ExitStack() as stack:
        running = start(tmp_path_factory.mktemp("system"))
        stack.callback(running.stop)
        yield running


@pytest.fixture(scope="module")
def flows(tmp_path_factory: pytest.TempPathFactory, system: System) -> Iterator[NodeRed]:
    folder = tmp_path_factory.mktemp("node-red") / "user"
    with node_red(folder, "flows.json", "dashboard.json", **for_system(system)) as running:
        yield running


@pytest.fixture
def page() -> Iterator[Page]:
    with opened_browser() as opened:
        opened.command("Emulation.setDeviceMetricsOverride", width=1280, height=720, deviceScaleFactor=1, mobile=False)
        yield opened


def shown(page: Page, text: str) -> None:
    wait_for(lambda: text in str(page.script("return document.body.innerText")), text, LIMIT)


def test_a_slider_of_the_dashboard_says_how_many_devices_there_are(page: Page, flows: NodeRed, system: System) -> None:
    def counted() -> int:
        campus = system.get("/v1/zones/campus/occupancy").json()
        return int(campus["total"])

    wait_for(lambda: counted() == 10, "ten devices", LIMIT)
    page.driver.get(f"{flows.url}/dashboard/load")
    shown(page, "Positions a second of each")
    wait_for(lambda: page.all("[role='slider']"), "the sliders", LIMIT)
    devices = page.all("[role='slider']")[0]
    wait_for(lambda: devices.get_attribute("aria-valuenow") == "10", "its first value", LIMIT)
    for value in ("20", "30", "40", "50"):
        devices.send_keys(Keys.ARROW_RIGHT)
        # A key that is pressed before the page has taken the one before it moves nothing.
        wait_for(lambda value=value: devices.get_attribute("aria-valuenow") == value, value, LIMIT)

    wait_for(lambda: counted() == 50, "fifty devices", LIMIT)
    assert flows.known("number") == 50
    wait_for(lambda: "50" in [cell.text for cell in page.all("td")], "what the flow has read", LIMIT)
    shown(page, "University of Limerick")
    page.keep_picture("node-red-dashboard")


def test_the_editor_shows_the_flows_to_whoever_has_its_password(page: Page, flows: NodeRed) -> None:
    page.driver.get(f"{flows.url}/")
    wait_for(lambda: page.all("#node-dialog-login-username"), "the login", LIMIT)
    page.find("#node-dialog-login-username").send_keys("admin")
    page.find("#node-dialog-login-password").send_keys(PASSWORD)
    page.find("#node-dialog-login-submit").click()
    for tab in ("positions", "reading"):
        wait_for(lambda: page.all(".red-ui-flow-node, .red-ui-flow-node-group"), "the flow", LIMIT)
        page.script(f"RED.workspaces.show('tab_{tab}')")
        wait_for(lambda tab=tab: page.script("return RED.workspaces.active()") == f"tab_{tab}", tab, LIMIT)
        shown(page, {"positions": "GeoJSON", "reading": "what has changed"}[tab])
        page.keep_picture(f"node-red-{tab}")
