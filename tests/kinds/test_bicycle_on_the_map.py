"""One entry more in the table, and the map has its total, its column, its radio button and its charts."""

from pathlib import Path

import msgspec
import pytest
import redis
from selenium.webdriver.common.by import By

from api.web.pages import MapOptions
from core.kinds import DEFAULT_KINDS, Kinds
from tests.browser.axe import hindrances
from tests.browser.conftest import browser, page
from tests.browser.page import DESKTOP, PHONE, Page
from tests.browser.stage import Stage, opened_stage
from tests.browser.test_live_map import zones_listed
from tests.browser.test_real_api import answers, arrive, presence, running
from tests.conftest import free_port
from tests.kinds.tables import BICYCLE, MOST_KINDS, ONE_KIND, SIX_KINDS, THREE_KINDS

__all__ = ["browser", "page", "presence"]


def fill(stage: Stage) -> None:
    """Some of each kind: the more, the later it comes in the table."""
    kinds = range(1, len(stage.kinds) + 1)
    stage.capacity = {"car-park-west": 10}
    stage.counts = {
        "campus": tuple(1000 * kind for kind in kinds),
        "main": tuple(100 * kind for kind in kinds),
        "schuman": tuple(200 // kind for kind in kinds),
        "car-park-west": tuple(kinds),
    }


def open_panel(page: Page, stage: Stage, zone: str) -> None:
    page.find(f"tr[data-zone='{zone}'] button").click()
    page.until(lambda: len(page.all("#panel-charts figure")) == 2 * len(stage.kinds))


def test_a_bicycle_has_a_total_a_column_a_radio_button_and_charts(page: Page) -> None:
    with opened_stage(kinds=THREE_KINDS) as stage:
        fill(stage)
        page.open(stage.address)
        page.keep_picture("bicycle")

        assert page.text(".title p").startswith("Cars, phones and bicycles in each building and car park, now.")
        assert page.text("#totals").split("\n") == ["Cars", "1,000", "Phones", "2,000", "Bicycles", "3,000"]
        heads = [head.text for head in page.all("#columns th")]
        assert heads == ["Zone", "Cars", "Phones", "Bicycles", "Total", "Full"]
        assert page.row("main") == ["Main Building (Blocks A to E)", "100", "200", "300", "600", ""]
        # The capacity of a car park is taken up by cars alone.
        assert page.row("car-park-west") == ["West car park (illustrative)", "1", "2", "3", "6", "10%"]
        assert zones_listed(page)[1:3] == ["main", "schuman"]

        page.find("#kinds input[value='car'] + span").click()
        page.until(lambda: zones_listed(page)[1:3] == ["schuman", "main"])
        page.find("#kinds input[value='bicycle'] + span").click()
        page.until(lambda: zones_listed(page)[1:3] == ["main", "schuman"])
        assert {"300", "66", "3"} <= {label.text for label in page.all("#map .count span")}

        open_panel(page, stage, "main")
        page.keep_picture("bicycle-panel")
        assert page.text("#panel-now") == "100 cars, 200 phones, 300 bicycles"
        for chart in (".day", ".week"):
            figures = page.all(f"#panel-charts {chart}")
            assert [figure.find_element(By.TAG_NAME, "b").text for figure in figures] == ["Cars", "Phones", "Bicycles"]
        stroke = page.find(".day[data-kind='bicycle'] .seen").value_of_css_property("fill")
        assert stroke == "rgb(106, 63, 160)"
        assert page.complaints() == []


def test_the_charts_of_a_bicycle_are_read_as_of_bicycles(page: Page) -> None:
    with opened_stage(kinds=THREE_KINDS) as stage:
        fill(stage)
        page.open(stage.address, dark=True)
        open_panel(page, stage, "main")

        page.until(lambda: {"kind=bicycle", "window=5m&kind=bicycle"} <= set(stage.questions))
        fill_ = page.find(".day[data-kind='bicycle'] .seen").value_of_css_property("fill")
        assert fill_ == "rgb(199, 166, 242)"


def test_what_is_kept_back_of_one_kind_of_people_leaves_the_others(page: Page) -> None:
    with opened_stage(MapOptions(min_count=5), SIX_KINDS) as stage:
        stage.counts = {"campus": (1,) * 6, "main": (9, None, 3, 7, 0, 0), "schuman": (0, None, 0, None, 0, 0)}
        page.open(stage.address)
        page.find("tr[data-zone='main'] button").click()

        page.until(lambda: page.row("main")[-2] == "19+")
        page.until(lambda: page.row("schuman")[-2] == "<5")
        told = "9 cars, fewer than 5 phones, 3 bicycles, 7 watches, 0 electric scooters, 0 buses"
        page.until(lambda: page.text("#panel-now") == told)


def test_of_one_kind_alone_nothing_is_there_to_choose(page: Page) -> None:
    with opened_stage(kinds=ONE_KIND) as stage:
        fill(stage)
        page.open(stage.address)
        page.keep_picture("one-kind")

        assert page.text(".title p").startswith("Bicycles in each building")
        assert not page.find("#kinds").is_displayed()
        assert [head.text for head in page.all("#columns th")] == ["Zone", "Bicycles", "Full"]
        assert page.row("main") == ["Main Building (Blocks A to E)", "100", ""]


def test_of_many_kinds_the_list_has_the_column_that_was_chosen(page: Page) -> None:
    with opened_stage(kinds=SIX_KINDS) as stage:
        fill(stage)
        page.open(stage.address)
        page.keep_picture("six-kinds")
        shown = [head.text for head in page.all("#columns th") if head.is_displayed()]
        assert shown == ["Zone", "Total", "Full"]

        page.find("#kinds input[value='e_scooter'] + span").click()

        page.until(lambda: len([head for head in page.all("#columns th") if head.is_displayed()]) == 4)
        assert [cell for cell in page.row("main") if cell] == ["Main Building (Blocks A to E)", "500", "2,100"]


def test_a_bicycle_is_on_the_map_of_the_api_that_reads_the_table_from_a_file(
    page: Page, presence: redis.Redis, redis_server: str, tmp_path: Path
) -> None:
    table = tmp_path / "kinds.json"
    table.write_bytes(msgspec.json.encode({"kinds": [*THREE_KINDS]}))
    port = free_port()
    with running(port, redis_server, tmp_path, KINDS_FILE=str(table)):
        page.until(lambda: answers(port))
        page.open(f"http://127.0.0.1:{port}/")

        arrive(presence, "kemmy", BICYCLE.id, 4)

        page.until(lambda: page.row("kemmy") == ["Kemmy Business School", "0", "0", "4", "4", ""])
        page.find("tr[data-zone='kemmy'] button").click()
        page.until(lambda: len(page.all("#panel-charts figure")) == 6)
        page.until(lambda: page.text(".day[data-kind='bicycle'] .told") == "nothing recorded yet")
        page.until(lambda: page.text("#panel-note") == "")
        assert page.complaints() == []


@pytest.mark.parametrize(
    "kinds", [ONE_KIND, DEFAULT_KINDS, THREE_KINDS, SIX_KINDS, MOST_KINDS], ids=lambda kinds: str(len(kinds))
)
@pytest.mark.parametrize("dark", [False, True])
def test_any_number_of_kinds_fits_a_phone_and_keeps_nobody_out(page: Page, kinds: Kinds, *, dark: bool) -> None:
    with opened_stage(kinds=kinds) as stage:
        fill(stage)
        page.open(stage.address, size=PHONE, dark=dark)
        page.keep_picture(f"phone-{len(kinds)}-kinds")
        assert page.script("return document.documentElement.scrollWidth") == PHONE[0]

        page.script("document.querySelector('#kinds label:last-child input').click()")
        open_panel(page, stage, "main")
        page.keep_picture(f"phone-{len(kinds)}-kinds-panel")

        assert page.script("return document.documentElement.scrollWidth") == PHONE[0]
        for cell in [*page.all("#rows tr:nth-child(-n+3) > *"), *page.all("#columns th"), *page.all("#kinds span")]:
            assert cell.rect["x"] + cell.rect["width"] <= PHONE[0]
        assert hindrances(page) == []


@pytest.mark.parametrize("dark", [False, True])
def test_many_kinds_leave_the_map_in_sight(page: Page, *, dark: bool) -> None:
    with opened_stage(kinds=SIX_KINDS) as stage:
        fill(stage)
        page.open(stage.address, size=DESKTOP, dark=dark)
        open_panel(page, stage, "main")
        page.keep_picture("six-kinds-panel-dark" if dark else "six-kinds-panel")

        assert page.find("#map").rect["height"] > 150
        assert page.script("return document.documentElement.scrollHeight") == DESKTOP[1]
        panel = page.find("#panel").rect
        assert panel["y"] + panel["height"] <= DESKTOP[1]
        assert hindrances(page) == []
