"""The laws: numbered and named once, in docs/architecture.md, and referred to by number and name."""

import re
from pathlib import Path

from tests.docs.tree import ROOT, texts

ARCHITECTURE = (ROOT / "docs/architecture.md").read_text()
LAWS = {int(number): name for number, name in re.findall(r"^(\d+)\. \*([a-z ]+)\*: ", ARCHITECTURE, flags=re.MULTILINE)}
UNNAMED = {Path("CONTRIBUTING.md"), *(path.relative_to(ROOT) for path in (ROOT / "docs/decisions").glob("*.md"))}
"""A record is not edited once it is made; those of before the laws had names give the number alone."""


def test_the_laws_are_twelve_each_with_a_name_of_its_own() -> None:
    assert list(LAWS) == list(range(1, 13))
    assert len(set(LAWS.values())) == 12


def test_whoever_refers_to_a_law_gives_its_number_and_its_name() -> None:
    wrong = []
    for path in texts(".py", ".md", ".lua", ".yml"):
        for number, after in re.findall(r"\blaw (\d+)(.{0,40})", path.read_text(), re.IGNORECASE):
            named = after.startswith(f", {LAWS.get(int(number))}")
            if not named and not (path.relative_to(ROOT) in UNNAMED and int(number) in LAWS):
                wrong.append(f"{path.relative_to(ROOT)}: law {number}{after}")
    assert not wrong
