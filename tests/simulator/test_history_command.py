"""`python -m simulator history`."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from simulator.campus.truth import read_truth

ROOT = Path(__file__).resolve().parents[2]


def history(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "simulator", "history", "--devices", "12", "--days", "1", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_each_line_is_a_position_of_the_day_before_until_and_the_truth_is_beside_it(tmp_path: Path) -> None:
    truth = tmp_path / "truth.ndjson.gz"
    done = history("--until", "2026-11-25T00:00:00Z", "--truth", str(truth))
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    about, visits = read_truth(truth)
    assert (done.returncode, done.stderr) == (0, f"{truth}: the truth, {len(visits)} visits\n")
    assert (about.start, about.end, about.devices, about.seed) == (1_795_478_400_000, 1_795_564_800_000, 12, 7)
    assert {line["device"] for line in lines} <= {visit.device for visit in visits}
    assert len(lines) > 500
    assert all(1_795_478_400_000 <= line["at"] < 1_795_564_800_000 for line in lines)
    assert {line["zones"][0] for line in lines} == {"campus"}
    assert {line["kind"] for line in lines} == {"car", "mobile"}


@pytest.mark.parametrize(
    ("calendar", "busy"),
    [
        ({"terms": [["2026-11-01", "2026-11-30"]]}, True),
        ({"terms": [], "holidays": ["2026-11-23", "2026-11-24"]}, False),
    ],
)
def test_a_calendar_of_ones_own_says_which_days_are_busy(tmp_path: Path, *, calendar: object, busy: bool) -> None:
    file = tmp_path / "calendar.json"
    file.write_text(json.dumps(calendar))
    done = history("--until", "2026-11-25T00:00:00Z", "--calendar", str(file))
    assert done.returncode == 0
    assert (len(done.stdout.splitlines()) > 500) is busy


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "calendar.json"),
        ('{"terms": [["2026-11-30", "2026-11-01"]]}', "a term ends on 2026-11-01, before it begins on 2026-11-30"),
        ('{"terms": [], "open": []}', "open"),
    ],
)
def test_a_calendar_that_is_none_is_said_in_one_sentence(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "calendar.json"
    file.write_text(text)
    done = history("--calendar", str(file))
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_time_that_is_none_is_refused() -> None:
    done = history("--until", "yesterday")
    assert done.returncode == 2
    assert "--until" in done.stderr


def test_a_reader_that_has_seen_enough_ends_it_silently() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "simulator", "history", "--devices", "200"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith(b'{"at":')
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 1


def test_no_days_are_no_lines(tmp_path: Path) -> None:
    file = tmp_path / "history.ndjson"
    done = history("--days", "0", "--out", str(file))
    assert (done.returncode, done.stderr) == (0, "")
    assert file.read_bytes() == b""
