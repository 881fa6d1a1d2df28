"""Nobody but the table knows which kinds there are: no code of the product has one by its name."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = (
    *("core", "runtime", "state", "geofence", "timeseries", "documents", "payloads", "backfill"),
    *("broker", "decoder", "api", "autoscaler", "simulator", "deploy"),
)
NAMES = {"car", "mobile", "car-iotp", "mobile-iotp"}
IN_OTHER_LANGUAGES = re.compile(r"""["'.:#](car|mobile)(-iotp)?(?![\w-])""")


def sources(*endings: str) -> list[Path]:
    found = [path for room in ROOMS for path in (ROOT / room).rglob("*") if path.suffix in endings]
    return [path for path in found if not {"vendor", "__pycache__"} & set(path.parts)]


def constants(tree: ast.AST) -> Iterator[ast.Constant]:
    """All but examples, which tell readers of the API what a value may look like."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.keyword) and node.arg == "examples":
            continue
        if isinstance(node, ast.Constant):
            yield node
        yield from constants(node)


def test_there_is_much_to_look_at() -> None:
    assert {path.relative_to(ROOT).parts[0] for path in sources(".py")} == set(ROOMS)
    assert len(sources(".js", ".css", ".html", ".lua")) > 20


@pytest.mark.parametrize("room", ROOMS)
def test_no_python_has_a_kind_by_its_name(room: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{constant.lineno}"
        for path in sources(".py")
        if path.relative_to(ROOT).parts[0] == room
        for constant in constants(ast.parse(path.read_text()))
        if constant.value in NAMES
    ]
    assert found == []


def test_no_script_and_no_page_has_a_kind_by_its_name() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in sources(".js", ".css", ".html", ".lua")
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if IN_OTHER_LANGUAGES.search(line)
    ]
    assert found == []
