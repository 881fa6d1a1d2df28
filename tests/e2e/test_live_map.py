"""The live map, in a browser, over the whole system, while a recorded bus drives over the campus."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from geofence import Geofence, load_campus
from simulator.tracks import read_tracks
from tests.browser.page import Page, opened_browser
from tests.e2e.system import BUS, System, start
from tests.simulator.recordings import gpx, recorded

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


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
    [track] = read_tracks(BUS).tracks
    inside = Geofence(load_campus(None)).locate(
        np.array([fix.longitude for fix in track.fixes]), np.array([fix.latitude for fix in track.fixes])
    )
    return recorded(tmp_path, gpx(fix for fix, zones in zip(track.fixes, inside, strict=True) if zones))


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
