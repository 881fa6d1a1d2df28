"""What keeps people out of a page, as axe-core finds it."""

from pathlib import Path

from tests.browser.page import Page
from tests.conftest import missing

AXE = Path(__file__).parents[1] / "node" / "node_modules" / "axe-core" / "axe.min.js"


def hindrances(page: Page, *, looked_at: int = 20) -> list[tuple[str, list[str]]]:
    """What axe finds wrong with the page as it is: the rule, and where. More than `looked_at` rules have to fit it."""
    if not AXE.exists():
        missing("axe-core", "npm ci --prefix tests/node")
    page.script(AXE.read_text(encoding="utf-8"))
    found = page.driver.execute_async_script("axe.run().then(arguments[arguments.length - 1])")
    assert len(found["passes"]) > looked_at
    return [(each["id"], [node["html"] for node in each["nodes"]]) for each in found["violations"]]
