"""A file or a module of ours that is named somewhere is there, also after somebody moved others."""

import re
from functools import cache
from pathlib import Path

from tests.docs.tree import ROOT, texts
from tests.rooms import ROOMS

ROOM = "|".join([*ROOMS, "bench", "docs", "tests"])
FILE = re.compile(rf"(?<![\w./-])((?:{ROOM})/[\w./-]*\w\.(?:py|lua|md))\b")
MODULE = re.compile(rf"`((?:{ROOM})(?:\.[a-z_0-9]+)+)`")
PAST = ("docs/decisions/", "docs/plans/", "CHANGELOG.md", "tests/docs/")
"""What tells of how it was, or is to be."""
OTHER_ENDINGS = {"json", "mjs", "yml"}
MADE_UP = {"api/ROOM/__init__.py", "apps/quiet_corner/v2/sentence.py"}


@cache
def is_module(name: str) -> bool:
    """Whether there is one of that name, or something of that name in one."""
    path = ROOT / name.replace(".", "/")
    holder, word = path.parent, path.name
    homes = [holder.with_suffix(".py"), holder / "__init__.py"]
    return (
        path.is_dir()
        or path.with_suffix(".py").exists()
        or any(home.exists() and re.search(rf"\b{word}\b", home.read_text()) for home in homes)
    )


def missing(path: Path) -> list[str]:
    """What a file names that is not there."""
    text = path.read_text(errors="replace")
    files = [name for name in FILE.findall(text) if name not in MADE_UP and not (ROOT / name).exists()]
    modules = [name for name in MODULE.findall(text) if name.rsplit(".", 1)[1] not in OTHER_ENDINGS]
    return files + [name for name in modules if not is_module(name)]


def test_every_file_and_module_that_is_named_is_there() -> None:
    named = {str(path.relative_to(ROOT)): path for path in texts(".md", ".py", ".lua", ".toml", ".yml", "Makefile")}
    found = {name: missing(path) for name, path in named.items() if not name.startswith(PAST)}
    assert {name: words for name, words in found.items() if words} == {}
