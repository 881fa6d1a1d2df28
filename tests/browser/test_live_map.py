"""The live map as people use it: with eyes, a mouse, a keyboard, a phone, a screen reader."""

import re
from typing import Any

import pytest
from selenium.webdriver import ActionChains, Keys

from api.web.pages import MapOptions
from tests.browser.axe import hindrances
from tests.browser.page import PHONE, Page
from tests.browser.stage import Stage, opened_stage

FIRST_VIEW_BYTES = 400_000
FIRST_VIEW_LOADS = 30
_FIRST_VIEW = """
const [page] = performance.getEntriesByType("navigation");
const [view] = performance.getEntriesByName("first-view");
const loads = [page, ...performance.getEntriesByType("resource")];
return [view.startTime - page.responseStart, loads.reduce((sum, load) => sum + load.encodedBodySize, 0), loads.length];
"""


def open_panel(page: Page, zone: str) -> None:
    page.find(f"tr[data-zone='{zone}'] button").click()
    page.until(lambda: len(page.all("#panel-charts figure")) == 4)


def zones_listed(page: Page) -> list[str]:
    return [str(row.get_attribute("data-zone")) for row in page.all("#rows tr")]


def total_of(kind: str) -> str:
    return f"#totals [data-kind='{kind}'] dd"


def shapes_of(page: Page, level: str) -> int:
    return len(page.all(f"#map path.zone[data-level='{level}']"))


def test_the_first_view_is_small(page: Page, stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    page.open(stage.address)
    milliseconds, size, loads = page.script(_FIRST_VIEW)
    with capsys.disabled():
        print(f"\nfirst view {milliseconds:.0f} ms after the server answered; {size / 1000:.0f} kB in {loads} answers")  # noqa: T201 - a figure for those who watch

    assert loads < FIRST_VIEW_LOADS
    assert 40_000 < size < FIRST_VIEW_BYTES
    assert page.complaints() == []


def test_zones_are_drawn_and_listed_the_fullest_first(page: Page, stage: Stage) -> None:
    page.open(stage.address)
    page.keep_picture("desktop")

    assert page.text("#campus") == page.driver.title.removesuffix(": occupancy") == "University of Limerick"
    assert (page.text(total_of("car")), page.text(total_of("mobile"))) == ("312", "1,843")
    assert zones_listed(page)[:3] == ["campus", "main", "glucksman-library"]
    assert page.row("main") == ["Main Building (Blocks A to E)", "3", "512", "515", ""]
    assert page.row("car-park-west") == ["West car park (illustrative)", "118", "9", "127", "98%"]
    assert len(page.all("#map path.zone")) == 22
    # A percentage where a capacity is known, else the count.
    labels = {label.text for label in page.all("#map .count span")}
    assert {"515", "98%", "70%"} <= labels
    assert page.notice() == ("live", "Live")


def test_cars_and_phones_can_be_told_apart(page: Page, stage: Stage) -> None:
    page.open(stage.address)
    assert shapes_of(page, "5") == 3

    page.find("#kinds input[value='car'] + span").click()
    page.until(lambda: zones_listed(page)[1] == "car-park-main")
    assert shapes_of(page, "5") == 0
    assert "98%" in {label.text for label in page.all("#map .count span")}

    page.find("#kinds input[value='mobile'] + span").click()
    page.until(lambda: zones_listed(page)[1] == "main")
    labels = {label.text for label in page.all("#map .count span")}
    assert "9" in labels
    assert not any("%" in label for label in labels)


def test_a_change_shows_at_once_without_being_asked_for(page: Page, stage: Stage) -> None:
    page.open(stage.address)
    page.until(lambda: stage.streams == 1)
    asked = stage.asked.count("occupancy")

    stage.set("languages", 2, 700)

    page.until(lambda: page.row("languages")[1:] == ["2", "700", "702", ""])
    assert zones_listed(page)[1] == "languages"
    assert shapes_of(page, "5") == 4
    assert stage.asked.count("occupancy") == asked


def test_the_list_does_not_move_under_a_pointer(page: Page, stage: Stage) -> None:
    page.open(stage.address)
    page.until(lambda: stage.streams == 1)
    order = zones_listed(page)
    ActionChains(page.driver).move_to_element(page.find("tr[data-zone='main']")).perform()

    stage.set("languages", 2, 700)
    page.until(lambda: page.row("languages")[3] == "702")
    assert zones_listed(page) == order

    ActionChains(page.driver).move_to_element(page.find("h1")).perform()
    stage.set("languages", 2, 701)
    page.until(lambda: zones_listed(page)[1] == "languages")


def test_another_campus_is_drawn_when_zones_change(page: Page, stage: Stage) -> None:
    page.open(stage.address)
    page.until(lambda: stage.streams == 1)
    stage.names["main"] = "<b>Main</b> & more"

    stage.campus_changed()

    # A name is text, whatever it looks like.
    page.until(lambda: page.row("main")[0] == "<b>Main</b> & more")
    page.until(lambda: page.row("main")[3] == "515")
    assert len(page.all("#map path.zone")) == 22


def test_a_click_on_a_zone_opens_its_day_and_its_popular_times(page: Page, stage: Stage) -> None:
    page.open(stage.address)
    assert not page.find("#panel").is_displayed()

    page.find("#map path.car-park[data-level='4']").click()

    page.until(lambda: len(page.all("#panel-charts figure")) == 4)
    page.keep_picture("panel")
    assert page.text("#panel-title") == "West car park (illustrative)"
    assert page.text("#panel-now") == "118 cars, 9 phones, 98% full"
    assert page.find("tr[data-zone='car-park-west'] button").get_attribute("aria-expanded") == "true"
    drawing = str(page.find(".day[data-kind='car'] svg").get_attribute("aria-label"))
    assert re.fullmatch(r"Cars, last 24 hours: at most \d+, at \d\d:\d\d", drawing)
    assert page.text(".week[data-kind='mobile'] figcaption") == "Phones most on Mondays at 12:00: 218 (of 4 weeks)"
    assert len(page.all(".week[data-kind='mobile'] td")) == 7 * 24
    assert len(page.all(".week[data-kind='mobile'] td.unknown")) == 8

    stage.set("car-park-west", 119, 9)
    page.until(lambda: page.text("#panel-now") == "119 cars, 9 phones, 99% full")


@pytest.mark.parametrize("moved", [False, True])
def test_the_zone_that_is_open_stays_in_sight(page: Page, stage: Stage, *, moved: bool) -> None:
    page.open(stage.address)
    height = page.find("#map").rect["height"]
    if moved:
        before = page.find("#map path.car-park[data-level='4']").rect
        page.find("#map").send_keys(Keys.ARROW_UP)
        page.until(lambda: page.find("#map path.car-park[data-level='4']").rect["y"] > before["y"] + 20)

    page.find("#map path.car-park[data-level='4']").click()

    page.until(lambda: page.find("#map").rect["height"] < height - 100)
    page.until(lambda: len(page.all("#panel-charts figure")) == 4)

    def in_sight() -> bool:
        zone, sight = page.find("#map path.selected").rect, page.find("#map").rect
        return bool(sight["y"] < zone["y"] and zone["y"] + zone["height"] < sight["y"] + sight["height"])

    page.until(in_sight)


def test_the_chart_says_what_was_at_the_time_that_is_pointed_at(page: Page, stage: Stage) -> None:
    page.open(stage.address)
    open_panel(page, "main")
    usual = page.text(".day[data-kind='mobile'] .told")

    ActionChains(page.driver).move_to_element(page.find(".day[data-kind='mobile'] svg")).perform()
    page.until(lambda: re.fullmatch(r"\d\d:\d\d: \d+", page.text(".day[data-kind='mobile'] .told")))
    ActionChains(page.driver).move_to_element(page.find("h1")).perform()
    page.until(lambda: page.text(".day[data-kind='mobile'] .told") == usual)


def test_all_of_it_works_with_the_keyboard_alone(page: Page, stage: Stage) -> None:
    page.open(stage.address)
    page.press(Keys.TAB)
    assert page.focused() == "To the list of zones"
    page.press(Keys.ENTER, Keys.TAB)
    assert page.focused() == "University of Limerick"
    page.press(Keys.TAB)
    assert page.focused() == "Main Building (Blocks A to E)"
    # The zone that has the focus is marked on the map.
    assert len(page.all("#map path.pointed")) == 1

    page.press(Keys.ENTER)
    page.until(lambda: len(page.all("#panel-charts figure")) == 4)
    assert page.focused() == "Main Building (Blocks A to E)"
    assert page.script("return document.activeElement.id") == "panel-title"
    page.press(Keys.TAB)
    assert page.script("return document.activeElement.id") == "panel-close"

    page.press(Keys.ESCAPE)
    assert not page.find("#panel").is_displayed()
    assert page.script("return document.activeElement.closest('tr').dataset.zone") == "main"
    # A row that moves because of a change keeps the focus.
    stage.set("languages", 0, 900)
    page.until(lambda: zones_listed(page)[1] == "languages")
    assert page.focused() == "Main Building (Blocks A to E)"


@pytest.mark.parametrize("dark", [False, True])
def test_it_fits_a_phone(page: Page, stage: Stage, *, dark: bool) -> None:
    page.open(stage.address, size=PHONE, dark=dark)
    page.keep_picture("phone-dark" if dark else "phone")
    assert page.script("return document.documentElement.scrollWidth") == PHONE[0]

    open_panel(page, "main")
    page.keep_picture("phone-dark-panel" if dark else "phone-panel")

    assert page.script("return document.documentElement.scrollWidth") == PHONE[0]
    assert page.find("#panel-title").is_displayed()
    assert page.script("return document.getElementById('panel').getBoundingClientRect().top") < PHONE[1]
    for cell in page.all("#rows tr > *"):
        assert cell.rect["x"] + cell.rect["width"] <= PHONE[0]


def test_it_is_dark_where_people_like_it_dark(page: Page, stage: Stage) -> None:
    def ground() -> int:
        colour = page.find("body").value_of_css_property("background-color")
        return sum(int(part) for part in re.findall(r"\d+", colour)[:3])

    page.open(stage.address)
    light = ground()
    page.open(stage.address, dark=True)
    open_panel(page, "main")
    page.keep_picture("dark-panel")

    assert light > 3 * 200
    assert ground() < 3 * 60


@pytest.mark.parametrize("dark", [False, True])
def test_axe_finds_nothing_that_keeps_people_out(page: Page, stage: Stage, *, dark: bool) -> None:
    page.open(stage.address, dark=dark)
    open_panel(page, "main")
    assert hindrances(page) == []

    stage.down = True
    stage.cut_streams()
    page.until(lambda: page.notice()[0] == "failed")
    assert hindrances(page) == []


def test_axe_finds_nothing_on_a_phone(page: Page, stage: Stage) -> None:
    page.open(stage.address, size=PHONE)
    open_panel(page, "main")
    assert hindrances(page) == []


def test_released_counts_are_told_as_about_so_many_with_what_the_true_ones_lie_between(page: Page) -> None:
    released = {"step": 130, "edge": 173, "campus_edge": 520}
    with opened_stage(MapOptions(min_count=5, released=released)) as stage:
        stage.counts = {"campus": (None, 390), "main": (None, 260), "lonsdale": (None, None)}
        page.open(stage.address)
        page.keep_picture("released")

        assert page.row("campus")[1:3] == ["<520", "≈390"]
        assert page.row("main")[1:3] == ["<173", "≈260"]
        assert page.row("lonsdale")[1:] == ["<173", "<173", "<346", ""]
        assert "<346" in page.text("#legend")
        assert "(not shown)" not in page.text("#legend")
        assert page.text("#released") == (
            "No count here is the true one: each follows it in steps of 130, on the campus as a whole in larger ones,"
            " and that of a zone is nearer to it than 173. Why"
        )
        assert page.all("#flows:not([hidden])") == []
        open_panel(page, "main")
        assert page.text("#panel-now") == "fewer than 173 cars, about 260 phones (88 to 432)"
        assert not any("/visits" in path for path in stage.asked)
        assert hindrances(page) == []


def test_a_day_of_which_nothing_was_released_is_no_day_that_was_not_recorded(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = Stage._history

    def history(stage: Stage, kind: str) -> dict[str, Any]:
        points = [{**point, "devices": None, "suppressed": True} for point in usual(stage, kind)["points"]]
        unrecorded = [] if kind == "car" else [{"start": points[0]["start"], "end": points[-1]["end"]}]
        said = {"first": None, "last": None, "unrecorded": unrecorded, "protected": True}
        return {**usual(stage, kind), **said, "points": points}

    monkeypatch.setattr(Stage, "_history", history)
    with opened_stage(MapOptions(min_count=5, released={"step": 130, "edge": 173, "campus_edge": 520})) as stage:
        page.open(stage.address)
        open_panel(page, "main")

        cars, phones = page.all("#panel .day .told")
        assert (cars.text, phones.text) == ("too few to show", "nothing recorded yet")


def test_counts_that_are_kept_back_are_told_as_such(page: Page) -> None:
    with opened_stage(MapOptions(min_count=5)) as stage:
        stage.counts = {"campus": (9, 20), "main": (9, None), "lonsdale": (0, None)}
        page.open(stage.address)
        page.keep_picture("kept-back")

        assert page.row("main")[1:] == ["9", "<5", "9+", ""]
        assert page.row("lonsdale")[1:] == ["0", "<5", "<5", ""]
        assert {label.text for label in page.all("#map .count span")} == {"", "9+", "<5"}
        # Where nothing but a few phones can be there, no colour tells how many.
        assert (shapes_of(page, "kept-back"), shapes_of(page, "2")) == (1, 1)
        assert "<5 (not shown)" in page.text("#legend")
        open_panel(page, "main")
        assert page.text("#panel-now") == "9 cars, fewer than 5 phones"
