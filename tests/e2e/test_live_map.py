"""The live map, in a browser, over the whole system, while a recorded bus drives over the campus."""

from collections.abc import Iterator
from pathlib import Path

import gpxpy
import numpy as np
import pytest

from geofence import Geofence, load_campus
from tests.browser.page import Page, opened_browser
from tests.e2e.system import BUS, System, start

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    running = start(tmp_path / "data")
    yield running
    assert running.stop() == 0


@pytest.fixture
def page() -> Iterator[Page]:
    with opened_browser() as opened:
        yield opened


@pytest.fixture
def on_campus(tmp_path: Path) -> Path:
    """The part of the bus's track that lies on the campus: 80 fixes."""
    recorded = gpxpy.parse(BUS.read_text(encoding="utf-8"))
    [track] = recorded.tracks
    [segment] = track.segments
    inside = Geofence(load_campus(None)).locate(
        np.array([point.longitude for point in segment.points]), np.array([point.latitude for point in segment.points])
    )
    segment.points = [point for point, zones in zip(segment.points, inside, strict=True) if zones]
    file = tmp_path / "campus.gpx"
    file.write_text(recorded.to_xml(), encoding="utf-8")
    return file


def test_a_replayed_track_shows_on_the_map_while_it_is_driven(page: Page, system: System, on_campus: Path) -> None:
    page.open(f"{system.url}/")
    assert page.row("campus")[1:4] == ["0", "0", "0"]

    replayed = system.run("simulator", "replay", str(on_campus), "--speed", "20", "--shift-to-now")

    assert "acknowledged 80" in replayed.stdout
    page.until(lambda: page.row("campus")[1:4] == ["1", "0", "1"])
    page.find("tr[data-zone='campus'] button").click()
    page.until(lambda: "1 car" in page.text("#panel"))
    page.keep_picture("replayed")
    assert page.complaints() == []
