"""What jobs have computed, on the live map: over the API as it is run, with results in its SQLite store."""

import asyncio
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import ActionChains

from core.kinds import KindId
from tests.browser.axe import hindrances
from tests.browser.page import PHONE, Page
from tests.browser.test_real_api import answers, running
from tests.conftest import free_port
from tests.kinds_of_tests import CAR, MOBILE
from timeseries import Coverage, Result, TimeseriesSettings, open_store

HOUR = 3_600_000
DAY = 24 * HOUR


def results(hour: int) -> list[Result]:
    """Of the library: a day that is expected, and visits; of the campus flows in two hours. `hour` is now."""

    def made(job: str, zone: str, at: int, other: str = "", **values: float) -> Result:
        return Result(job, zone, MOBILE, other, at, {**values, "computed_at": float(hour)})

    def been(job: str, at: int) -> Result:
        day = at // DAY * DAY
        return Result(
            "days",
            "campus",
            KindId("all"),
            job,
            day,
            {"until": float(min(day + DAY, hour)), "computed_at": float(hour)},
        )

    library, last, before = "glucksman-library", hour - HOUR, hour - 2 * HOUR
    counts: dict[str, Any] = dict.fromkeys(["entries", "exits", "devices", "visits", "dwell_devices"], 80)
    dwell: dict[str, Any] = {"dwell_q1": 600.0, "dwell_median": 2_820.0, "dwell_q3": 7_500.0}
    return [
        made("forecast_score", library, hour, "mstl", mase=0.7, baseline_mase=0.9, served=1),
        *(made("forecast", library, hour + n * HOUR, value=50.0, low=40.0, high=60.4) for n in range(25)),
        *(been(job, at) for job in ("visits", "flows") for at in (hour - HOUR, hour - DAY)),
        *(made("visits", zone, at, **counts, **dwell) for zone in (library, "campus") for at in (before, last)),
        made("flows", "main", last, library, count=25, devices=25),
        made("flows", library, last, "main", count=9, devices=9),
        made("flows", "kemmy", last, "schuman", count=4, devices=4),
        made("flows", "kemmy", before, "main", count=6, devices=6),
    ]


async def fill(folder: Path, hour: int) -> None:
    async with open_store(TimeseriesSettings(data_dir=folder)) as store:
        await store.setup()
        await store.write_results(results(hour))
        await store.write_coverage(
            [
                Coverage(zone, MOBILE, at, 2**60 - 1)
                for zone in ("campus", "glucksman-library")
                for at in range(hour - DAY, hour, HOUR)
                # An hour of an outage.
                if at != hour - 5 * HOUR
            ]
        )


@pytest.fixture
def address(page: Page, redis_server: str, tmp_path: Path) -> Iterator[str]:
    asyncio.run(fill(tmp_path, time.time_ns() // 1_000_000 // HOUR * HOUR))
    port = free_port()
    with running(port, redis_server, tmp_path):
        page.until(lambda: answers(port))
        yield f"http://127.0.0.1:{port}/"


def told(page: Page, of: Callable[[str], bool]) -> str:
    page.until(lambda: of(page.text("#flows-told")))
    return page.text("#flows-told")


def test_the_day_that_comes_lies_behind_the_one_that_is_over(page: Page, address: str) -> None:
    page.open(address)
    page.find("tr[data-zone='glucksman-library'] button").click()
    page.until(lambda: len(page.all("#panel-charts .day")) == 2)
    page.keep_picture("expected")

    assert page.find(".day[data-kind='mobile'] .tomorrow").get_attribute("d")
    assert not page.find(".day[data-kind='car'] .tomorrow").get_attribute("d")
    assert "pale: expected in the next 24" in page.text("#panel-charts")
    ActionChains(page.driver).move_to_element(page.find(".day[data-kind='mobile'] svg")).perform()
    page.until(lambda: page.text(".day[data-kind='mobile'] .told").endswith("; a day later 40 to 60 are expected"))
    assert page.complaints() == []


def test_the_panel_says_how_long_visits_were(page: Page, address: str) -> None:
    page.open(address)
    page.find("tr[data-zone='glucksman-library'] button").click()
    page.until(lambda: page.all("#panel-charts .stay"))

    assert len(page.all("#panel-charts .stay")) == 1
    assert re.fullmatch(
        r"Phones half of those who left between \d\d:00 and \d\d:00 had stayed 10 min to 2 h 05, median 47 min",
        page.text(".stay[data-kind='mobile'] figcaption"),
    )
    assert len(page.all(".stay .median")) == 2
    # Of a zone of which nothing may be told, nothing is said.
    page.find("tr[data-zone='kemmy'] button").click()
    page.until(lambda: page.text("#panel-title") == "Kemmy Business School" and page.all("#panel-charts .day"))
    assert not page.all("#panel-charts .stay")


def test_flows_of_an_hour_are_arcs_and_another_hour_has_others(page: Page, address: str) -> None:
    page.open(address)
    assert not page.all("#map .flow")
    page.find("#flows-on").click()
    page.until(lambda: len(page.all("#map .flow")) == 2)
    page.keep_picture("flows")

    # Four of one pair are too few to be told of.
    last = told(page, lambda text: "flows to show" in text)
    assert re.fullmatch(r"\d\d:00 to \d\d:00: 2 flows to show, most from Main Building .* to .*Library.*: 25", last)
    widths = sorted(float(str(arc.get_attribute("stroke-width"))) for arc in page.all("#map .flow"))
    assert widths == [pytest.approx(5.4), 9]

    slider = page.find("#flows-hour")
    page.script("arguments[0].value = 22; arguments[0].dispatchEvent(new Event('input'))", slider)
    assert told(page, lambda text: "1 flow to show" in text).endswith(": 6")
    assert len(page.all("#map .flow")) == 1
    page.script("arguments[0].value = 0; arguments[0].dispatchEvent(new Event('input'))", slider)
    assert told(page, lambda text: "no flows" in text).endswith("no flows to show")
    page.script("arguments[0].value = 19; arguments[0].dispatchEvent(new Event('input'))", slider)
    assert re.fullmatch(r"\d\d:00 to \d\d:00: nothing is known", told(page, lambda text: "known" in text))
    page.find("#flows-on").click()
    page.until(lambda: not page.all("#map .flow") and page.text("#flows-told") == "")
    assert page.complaints() == []


def test_flows_are_those_of_the_kind_that_the_map_is_about(page: Page, address: str) -> None:
    page.open(address)
    page.find("#flows-on").click()
    page.until(lambda: len(page.all("#map .flow")) == 2)

    page.find(f"#kinds input[value='{CAR}'] + span").click()
    page.until(lambda: not page.all("#map .flow"))
    page.find(f"#kinds input[value='{MOBILE}'] + span").click()
    page.until(lambda: len(page.all("#map .flow")) == 2)


@pytest.mark.parametrize("size", [None, PHONE])
def test_nobody_is_kept_out_of_what_was_computed(page: Page, address: str, size: tuple[int, int] | None) -> None:
    page.open(address, **({"size": size} if size else {}))  # type: ignore[arg-type]
    page.find("#flows-on").click()
    page.until(lambda: len(page.all("#map .flow")) == 2)
    page.find("tr[data-zone='glucksman-library'] button").click()
    page.until(lambda: page.all("#panel-charts .stay"))
    page.keep_picture("computed-phone" if size else "computed")

    assert hindrances(page) == []
    if size:
        assert page.script("return document.documentElement.scrollWidth") == PHONE[0]
