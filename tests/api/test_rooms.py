"""A room of the API hides its inside: another one imports its face, `api/ROOM/__init__.py`, alone.

Which room may know which is a contract of import-linter (pyproject.toml).
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

API = Path(__file__).parents[2] / "api"
OPEN = frozenset({"http"})
"""What is about HTTP and about nothing else is for all rooms, module by module."""


def imported(tree: ast.Module) -> Iterator[str]:
    """The modules that a module imports, or may: of `from a import b`, `a` and `a.b`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{each.name}" for each in node.names)


def is_inside(module: str) -> bool:
    """Whether a name is that of a module within a room, not of what its face gives."""
    parts = module.split(".")
    return parts[0] == "api" and len(parts) > 2 and (API / parts[1] / f"{parts[2]}.py").exists()


def crossings(room: str, source: str) -> list[str]:
    """The insides of other rooms that a module of a room imports."""
    return sorted(
        {
            ".".join(parts[:3])
            for module in imported(ast.parse(source))
            if is_inside(module) and (parts := module.split("."))[1] not in {room, *OPEN}
        }
    )


def test_no_room_imports_the_inside_of_another() -> None:
    found = {
        str(path.relative_to(API)): inside
        for room in sorted(path.parent for path in API.glob("*/__init__.py"))
        for path in sorted(room.rglob("*.py"))
        if (inside := crossings(room.name, path.read_text(encoding="utf-8")))
    }
    assert not found


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("from api.zones import Zones", []),
        ("from api.http.answers import Json", []),
        ("from api.live.events import EventStream", []),
        ("from api.zones.campus import CampusView", ["api.zones.campus"]),
        ("import api.zones.campus", ["api.zones.campus"]),
        ("from api.zones import campus", ["api.zones.campus"]),
        ("def late():\n    from api.auth.keys import Keys", ["api.auth.keys"]),
    ],
)
def test_an_inside_is_known_when_it_is_seen(source: str, found: list[str]) -> None:
    assert crossings("live", source) == found
