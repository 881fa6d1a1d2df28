"""The live map in a real browser."""

from collections.abc import Iterator

import pytest

from tests.browser.page import Page, opened_browser
from tests.browser.stage import Stage, opened_stage


@pytest.fixture(scope="session")
def browser() -> Iterator[Page]:
    with opened_browser() as page:
        yield page


@pytest.fixture
def page(browser: Page) -> Iterator[Page]:
    yield browser
    # No stream of one test is open in the next.
    browser.driver.get("about:blank")


@pytest.fixture
def stage() -> Iterator[Stage]:
    """A working day: some zones full, some empty, car parks whose capacity is known."""
    with opened_stage() as opened:
        opened.capacity = {"car-park-west": 120, "car-park-main": 300, "car-park-east": 200, "glucksman-library": 600}
        opened.counts = {
            "campus": (312, 1843),
            "schuman": (0, 87),
            "kemmy": (1, 164),
            "computer-science": (0, 58),
            "glucksman-library": (0, 421),
            "foundation": (0, 34),
            "main": (3, 512),
            "students-union": (0, 203),
            "lonsdale": (0, 12),
            "schrodinger": (0, 3),
            "pess": (2, 41),
            "university-arena": (4, 77),
            "health-sciences": (0, 66),
            "medical-school": (0, 19),
            "car-park-west": (118, 9),
            "car-park-main": (141, 22),
            "car-park-east": (37, 4),
            "car-park-north": (6, 1),
        }
        yield opened
