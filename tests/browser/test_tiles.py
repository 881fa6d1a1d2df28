"""Street tiles under the live map: from where they are set to come from, and nowhere else."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from api.web.pages import MapOptions
from tests.browser.page import Page
from tests.browser.stage import Stage, opened_stage


def test_no_tiles_are_loaded_unless_they_are_set(page: Page, stage: Stage) -> None:
    page.open(stage.address)
    assert page.all("#map .leaflet-tile") == []
    names = page.script("return performance.getEntriesByType('resource').map((load) => load.name)")
    assert names
    assert all(name.startswith(stage.address) for name in names)


@pytest.fixture
def tile_server() -> Iterator[Stage]:
    # Any other origin will do: what is asked for there is kept.
    with opened_stage() as opened:
        yield opened


def test_tiles_come_from_where_they_are_set_to_come_from(page: Page, tile_server: Stage) -> None:
    options = MapOptions(
        tile_url=f"{tile_server.address}v1/{{z}}/{{x}}/{{y}}.png", tile_attribution="© <i>somebody</i>"
    )
    with opened_stage(options) as stage:
        page.open(stage.address)

        page.until(lambda: any(path.endswith(".png") for path in tile_server.asked))
        assert page.text("#map .attribution") == "© <i>somebody</i>"
        assert [line for line in page.complaints() if "Content Security Policy" in line] == []


def test_the_map_says_whose_map_the_campus_was_drawn_from(page: Page) -> None:
    with opened_stage() as stage:
        stage.campus = replace(stage.campus, attribution="© <b>Mappers</b>")
        page.open(stage.address)

        page.until(lambda: page.text("#map .attribution") == "© <b>Mappers</b>")


def test_a_picture_from_elsewhere_is_refused(page: Page, stage: Stage, tile_server: Stage) -> None:
    page.open(stage.address)

    page.script(
        "document.body.append(Object.assign(new Image(), { src: arguments[0] }))", f"{tile_server.address}v1/a.png"
    )

    page.until(lambda: any("Content Security Policy" in line for line in page.complaints()))
    assert tile_server.asked == []
