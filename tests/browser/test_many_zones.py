"""A campus of 5,000 zones on the live map: drawn once, and after that what changes and nothing else."""

from selenium.webdriver.support.wait import WebDriverWait

from bench.campus import made_campus
from geofence import parse_campus
from tests.browser.page import Page
from tests.browser.stage import Stage

ZONES = 5_000
NODES_OF_A_ZONE = 20
"""A shape, a label and a row with its cells."""
LIMIT_SECONDS = 120
"""Drawing takes a browser some seconds of its processor, and a busy machine ten times as many."""
_COUNT_CHANGES = """
window.changed = 0;
new MutationObserver((found) => (window.changed += found.length)).observe(
  document.body, { subtree: true, childList: true, attributes: true, characterData: true });
"""


def test_five_thousand_zones_are_asked_for_once_and_then_one_change_moves_little(page: Page, stage: Stage) -> None:
    stage.campus = parse_campus(made_campus(ZONES), "a made campus")
    stage.counts = {}
    page.driver.get(stage.address)
    WebDriverWait(page.driver, LIMIT_SECONDS).until(
        lambda _: page.script("return performance.getEntriesByName('first-view').length")
    )
    assert len(page.all("#map path.zone")) == ZONES
    assert len(page.all("#rows tr")) == ZONES + 1
    assert stage.asked.count("zones") == 1
    assert page.script("return document.querySelectorAll('*').length") < ZONES * NODES_OF_A_ZONE

    WebDriverWait(page.driver, LIMIT_SECONDS).until(lambda _: stage.streams)
    page.until(lambda: page.notice() == ("live", "Live"))
    page.script(_COUNT_CHANGES)
    stage.set("zone-4321", 3, 5)
    WebDriverWait(page.driver, LIMIT_SECONDS).until(lambda _: page.row("zone-4321")[3] == "8")
    assert page.script("return window.changed") < 50
