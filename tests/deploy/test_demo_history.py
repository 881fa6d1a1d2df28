"""The past of a demo: what one command prints, another writes, once."""

import os
import sys
import threading
from pathlib import Path

import pytest

from deploy.laptop.demo_history import history_command, is_made, make_history, seed_command
from deploy.laptop.settings import LaptopSettings

PRINTS = "print('one', flush=True); print('two', flush=True)"
WRITES = "import sys; print(len(sys.stdin.readlines()), 'lines'); open(sys.argv[1], 'w').write('whole')"


class Told:
    """What was said, and which process groups the heir was told of."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.groups: set[int] = set()
        self.heard: list[int] = []

    def inherit(self, sign: str, pid: int) -> None:
        (self.groups.add if sign == "+" else self.groups.remove)(pid)
        self.heard.append(pid)


def make(folder: Path, *, prints: str = PRINTS, writes: str = WRITES, ready: bool = True, stop: bool = False) -> Told:
    told = Told()
    begins, ends = threading.Event(), threading.Event()
    if ready:
        begins.set()
    if stop:
        ends.set()
    make_history(
        [sys.executable, "-c", prints],
        [sys.executable, "-c", writes, str(folder / "written")],
        os.environ,
        say=told.lines.append,
        inherit=told.inherit,
        ready=begins,
        stop=ends,
    )
    return told


def test_what_one_prints_the_other_writes_and_the_log_has_its_last_line(tmp_path: Path) -> None:
    told = make(tmp_path)

    assert told.lines == ["demo: the weeks before are being made, in the background", "demo: 2 lines"]
    assert (tmp_path / "written").read_text() == "whole"


def test_the_heir_hears_of_both_and_that_they_are_over(tmp_path: Path) -> None:
    told = make(tmp_path)

    assert len(told.heard) == 4
    assert told.groups == set()


def test_half_a_past_is_none(tmp_path: Path) -> None:
    told = make(tmp_path, prints=f"{PRINTS}; raise SystemExit('no campus')")

    assert not (tmp_path / "written").exists()
    assert told.lines[-1] == (
        "demo: the weeks before could not be made, and are tried again at the next start: no campus"
    )


def test_why_it_could_not_be_written_is_said(tmp_path: Path) -> None:
    # Who prints meets the broken pipe, and complains of it, too.
    slowly = "import time\nfor number in range(10**6): print(number, flush=True); time.sleep(0.001)"
    told = make(tmp_path, prints=slowly, writes="raise SystemExit('the disk is full')")

    assert told.lines[-1].endswith("at the next start: the disk is full")


def test_who_writes_nothing_says_why_and_the_rest_is_not_printed(tmp_path: Path) -> None:
    endless = "import itertools\nfor number in itertools.count(): print(number)"
    told = make(tmp_path, prints=endless, writes="import sys; sys.stderr.write('it has a history\\n')")

    assert told.lines[-1] == "demo: it has a history"


def test_a_run_that_ends_ends_both(tmp_path: Path) -> None:
    told = make(tmp_path, prints="import time; time.sleep(600)", stop=True)

    assert told.lines == ["demo: the weeks before are being made, in the background"]
    assert told.groups == set()


def test_nothing_begins_where_the_run_ends_before_the_system_is_ready(tmp_path: Path) -> None:
    assert make(tmp_path, ready=False, stop=True).lines == []


@pytest.mark.parametrize(
    ("mark", "made"),
    [(None, False), ("begun at 2026-02-12T15:30:00Z\n", False), ("done at 2026-02-12T15:30:00Z\n", True)],
)
def test_it_is_made_when_the_mark_says_that_it_is_over(tmp_path: Path, mark: str | None, *, made: bool) -> None:
    if mark is not None:
        (tmp_path / "demo-history").write_text(mark)
    assert is_made(tmp_path) is made


def test_the_commands_are_those_that_anybody_may_type(tmp_path: Path) -> None:
    settings = LaptopSettings(demo_days=3, demo_devices=200)

    assert history_command(settings)[1:] == ["-m", "simulator", "history", "--days", "3", "--devices", "200"]
    assert seed_command(tmp_path)[1:] == ["-m", "backfill", "seed", "-", "--once", str(tmp_path / "demo-history")]
