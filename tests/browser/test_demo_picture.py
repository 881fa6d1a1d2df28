"""The picture that README begins with: the live map of `make demo`, as a real browser shows it."""

import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.page import ARTEFACTS, Page
from tests.e2e.system import System, start, wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]
KEPT = Path(__file__).parents[2] / "docs" / "pictures" / "demo.png"
MOST_BYTES = 300_000
FULL_SECONDS = 180.0
SIZE = (1280, 860)


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[System]:
    running = start(tmp_path / "data", DEMO="1", DEMO_DAYS="0")
    yield running
    assert running.stop() == 0


def size_of(picture: Path) -> tuple[int, int]:
    """Width and height of a PNG."""
    header = picture.read_bytes()[:24]
    assert header[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", header[16:24])
    return width, height


def test_the_map_of_a_demo_is_full_and_its_picture_is_kept(page: Page, demo: System) -> None:
    def full() -> bool:
        zones = demo.get("/v1/occupancy").json()["zones"]
        return sum(1 for zone in zones if zone["total"]) >= 0.8 * len(zones)

    wait_for(full, "most zones have somebody", FULL_SECONDS)

    page.open(f"{demo.url}/", size=SIZE)
    page.until(lambda: int(page.row("campus")[3].replace(",", "")) > 100)
    page.keep_picture("demo")

    assert page.notice()[0] == "live"
    assert page.complaints() == []
    assert size_of(ARTEFACTS / "demo.png") == SIZE
    assert (ARTEFACTS / "demo.png").stat().st_size < MOST_BYTES


def test_the_picture_in_the_readme_is_such_a_picture() -> None:
    assert size_of(KEPT) == SIZE
    assert KEPT.stat().st_size < MOST_BYTES
    assert "docs/pictures/demo.png" in (KEPT.parents[2] / "README.md").read_text(encoding="utf-8")
