"""The index of the decisions: each record once, by its own title, with a status and what holds it."""

import re
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs" / "decisions"
RECORDS = sorted(path for path in FOLDER.glob("*.md") if path.name != "README.md")
ROW = re.compile(r"\| (\d+) \| \[(.+)\]\(([\w.-]+)\) \| ([^|]+) \| (\d{4}-\d\d-\d\d) \| ([^|]*)\|")


class Row(NamedTuple):
    number: int
    title: str
    file: str
    status: str
    date: str
    held_by: str


ROWS = [
    Row(int(number), title, file, status, date, held_by)
    for number, title, file, status, date, held_by in ROW.findall((FOLDER / "README.md").read_text())
]


def test_the_index_has_each_record_once_in_order() -> None:
    assert [row.file for row in ROWS] == [path.name for path in RECORDS]
    assert len({row.number for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.file)
def test_a_row_says_what_its_record_says(row: Row) -> None:
    heading = (FOLDER / row.file).read_text().splitlines()[0]
    assert heading == f"# {row.number}. {row.title}"
    assert row.file.startswith(f"{row.number:04}-")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.file)
def test_a_status_is_one_of_three_and_names_only_records_that_there_are(row: Row) -> None:
    assert re.match(r"(in force|in part: |superseded by \d)", row.status)
    assert {int(number) for number in re.findall(r"\d+", row.status)} <= {other.number for other in ROWS} - {row.number}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.file)
def test_what_holds_a_record_is_there(row: Row) -> None:
    named = re.findall(r"`([^`]+)`", row.held_by)
    assert named or row.status.startswith("superseded")
    for name in named:
        module = re.fullmatch(r"python -m ([\w.]+)", name)
        path = ROOT / (module[1].replace(".", "/") if module else name)
        assert path.exists() or path.with_suffix(".py").exists(), name
