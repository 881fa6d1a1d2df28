"""The pictures: what the committed SVG shows is what its text says."""

import html
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import missing
from tests.docs.tree import ROOT, texts

RENDER = ROOT / "tests/node/pictures/render.mjs"
GRAPHVIZ = ROOT / "tests/node/node_modules/@hpcc-js/wasm-graphviz"
SOURCES = sorted((ROOT / "docs/pictures").glob("*.dot"))

every_picture = pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.name)


def words(text: str) -> str:
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]*>", " ", text)))


@every_picture
def test_a_picture_is_as_its_text_draws_it(source: Path) -> None:
    if shutil.which("node") is None or not GRAPHVIZ.exists():
        missing("Graphviz as WebAssembly", "install Node.js, and npm ci --prefix tests/node")
    drawn = subprocess.run(
        ["node", str(RENDER), str(source)], capture_output=True, text=True, check=True, timeout=60, cwd=ROOT
    )
    assert drawn.stdout == source.with_suffix(".svg").read_text(), "make pictures"


@every_picture
def test_every_line_of_a_label_is_in_the_picture(source: Path) -> None:
    text = re.sub(r"^\s*//.*$", "", source.read_text(), flags=re.MULTILINE)
    labels = re.findall(r'label="([^"]*)"', text) + re.findall(r"<td[^>]*>(.*?)</td>", text)
    lines = [line.strip() for label in labels for line in re.split(r"\\[nlr]|<br/>", re.sub(r"</?b>", "", label))]
    drawn = words(source.with_suffix(".svg").read_text())
    assert len(lines) > 20
    for line in filter(None, lines):
        assert words(line).strip() in drawn, line


@every_picture
def test_a_picture_needs_nothing_from_elsewhere_and_knows_light_and_dark(source: Path) -> None:
    svg = source.with_suffix(".svg").read_text()
    assert "prefers-color-scheme: dark" in svg
    assert not re.search(r"href=|<script|@import|url\(", svg)
    assert 'role="img"' in svg


@every_picture
def test_a_picture_is_shown_on_the_pages_that_need_it(source: Path) -> None:
    pages = {path.name for path in texts(".md") if f"pictures/{source.stem}.svg)" in path.read_text()}
    assert {"README.md", "architecture.md"} <= pages


def test_the_keys_in_the_picture_are_those_that_the_hot_state_has() -> None:
    drawn = set(re.findall(r"\b(\w+):\{p\}", (ROOT / "docs/pictures/whole.dot").read_text()))
    state = "".join(path.read_text() for path in (ROOT / "state").glob("*.py"))
    assert {"raw", "positions", "dead", "totals", "dirty", "claimed"} == drawn
    assert not [name for name in drawn if f"{name}:{{p}}" not in state]
    for tag in ("{mqtt}", "{campus}"):
        assert tag in state
