"""Dashboards are made by a program, and what it made is in the tree."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from deploy.observability.dashboards import PAGES
from deploy.observability.dashboards.page import Page, build

FOLDER = Path(__file__).resolve().parents[2] / "deploy/observability/grafana"
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.name))


def panels(page: Page) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((FOLDER / f"{page.name}.json").read_text())["panels"]
    return found


@every_page
def test_a_dashboard_that_is_made_anew_is_the_one_in_the_tree(page: Page) -> None:
    assert (FOLDER / f"{page.name}.json").read_text() == build(page), "python -m deploy.observability.dashboards"


def test_there_is_a_dashboard_of_each_part_and_no_file_beside_them() -> None:
    names = {"overview", "brokers", "pipeline", "stores", "haproxy", "api", "privacy"}
    assert {page.name for page in PAGES} == names
    assert {path.stem for path in FOLDER.glob("*.json")} == names


@every_page
def test_panels_have_numbers_of_their_own_and_lie_beside_one_another(page: Page) -> None:
    found = panels(page)
    numbers = [panel["id"] for panel in found]
    assert len(numbers) == len(set(numbers))
    taken: set[tuple[int, int]] = set()
    for panel in found:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert max(x for x, _ in cells) < 24
        assert not cells & taken, panel["title"]
        taken |= cells


@every_page
def test_a_panel_says_what_it_shows_and_asks_by_job(page: Page) -> None:
    for panel in panels(page):
        if panel["type"] == "row":
            continue
        assert panel["description"].endswith("."), panel["title"]
        assert panel["datasource"]["uid"] == "${datasource}"
        for target in panel["targets"]:
            for name in re.findall(
                r"\b(?:broker|decoder|api|redis|haproxy|storage)_\w+(?!\w|=)(?=[({\[)])", target["expr"]
            ):
                assert re.search(name + r"\{[^}]*job=", target["expr"]), target["expr"]


@every_page
def test_a_page_asks_by_the_variables_that_it_has(page: Page) -> None:
    text = (FOLDER / f"{page.name}.json").read_text()
    has = {each["name"] for each in json.loads(text)["templating"]["list"]}
    used = set(re.findall(r"\$\{?(\w+)", text)) - {"__rate_interval"}
    assert used - has == set()
    assert has - used == set()
