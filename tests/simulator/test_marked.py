"""Marks beside the truth: precision, recall, and who is marked without having done anything."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from core.clock import parse_rfc3339
from core.kinds import KindId
from core.marks import Mark
from runtime.devices import DeviceHasher
from simulator.campus.marked import judged_range, score_marks
from simulator.campus.truth import About, Visit, write_truth
from tests.simulator.test_score import ROOT, START, api

HOUR = 3_600_000
PHONE = KindId("mobile")
KEY = "6b" * 32
HASHER = DeviceHasher(b"k" * 32)
SPOOFERS = {
    "mobile-7-s0000": Mark.TELEPORT,
    "mobile-7-s0001": Mark.TELEPORT,
    "mobile-7-s0002": Mark.FROZEN,
    "mobile-7-s0003": Mark.PERFECT,
}


def test_precision_is_of_those_who_are_marked_and_recall_of_those_who_did_it() -> None:
    found = score_marks(
        {
            "a": {Mark.TELEPORT},
            "b": {Mark.PERFECT},
            "honest": {Mark.TELEPORT, Mark.FROZEN},
        },
        {"a": Mark.TELEPORT, "b": Mark.TELEPORT, "c": Mark.LOCKSTEP},
        ["honest", "other", "another"],
    )
    assert [
        (one.mark.value, one.spoofers, one.marked, one.right, one.precision, one.recall) for one in found.marks
    ] == [
        ("teleport", 2, 2, 1, 0.5, 0.5),
        ("replayed", 0, 0, 0, None, None),
        ("lockstep", 1, 0, 0, None, 0.0),
        ("frozen", 0, 1, 0, 0.0, None),
        ("perfect", 0, 1, 0, 0.0, None),
    ]
    assert (found.honest, found.wronged) == (3, 1)


def test_the_hour_that_is_not_over_is_left_out() -> None:
    def about(start: int, end: int) -> About:
        return About(1, start, end, 3, 7)

    assert judged_range(about(START + 1, START + 2 * HOUR + 5)) == (START + 1, START + 2 * HOUR)
    assert judged_range(about(START + 1, START + HOUR - 1)) is None


def answers(path: str, query: dict[str, list[str]]) -> tuple[int, Any]:
    """Positions of all but the last spoofer; the first is marked in both hours, and an honest phone in one."""
    assert path == "/v1/positions"
    assert parse_rfc3339(query["start"][0]) == START
    assert parse_rfc3339(query["end"][0]) == START + 2 * HOUR

    def page(*found: tuple[str, list[str]], link: str = "") -> tuple[int, Any]:
        features = [{"properties": {"device": HASHER.hash(PHONE, name), "marks": marks}} for name, marks in found]
        return 200, {"features": features, "links": [{"href": link, "rel": "next"}] if link else []}

    if "device" in query:
        named = {HASHER.hash(PHONE, name): name for name in SPOOFERS}[query["device"][0]]
        return page() if named == "mobile-7-s0003" else page((named, []))
    assert query["plausible"] == ["false"]
    if "cursor" in query:
        return page(("mobile-7-s0000", ["teleport"]), ("mobile-7-00002", ["frozen"]))
    when = f"start={query['start'][0]}&end={query['end'][0]}"
    link = f"/v1/positions?plausible=false&{when}&cursor=x"
    return page(("mobile-7-s0000", ["teleport"]), ("mobile-7-s0002", []), link=link)


def scored(tmp_path: Path, url: str, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "simulator", "score", str(tmp_path / "truth.gz"), "--marks", "--api", url, *options],
        cwd=ROOT,
        env={"PATH": "", "DATA_DIR": str(tmp_path), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_command_asks_for_positions_and_prints_a_table(tmp_path: Path) -> None:
    visits = [Visit(f"mobile-7-{number:05d}", PHONE, "campus", START, START + HOUR) for number in range(4)]
    late = Visit("mobile-7-00009", PHONE, "campus", START + 2 * HOUR, START + 2 * HOUR + 1)
    write_truth(tmp_path / "truth.gz", About(1, START, START + 2 * HOUR + 9, 4, 7, SPOOFERS), [*visits, late])
    with api(answers) as (url, _):
        done = scored(tmp_path, url, "--json", str(tmp_path / "marks.json"), DEVICE_KEY=KEY)
    assert (done.returncode, done.stderr) == (0, "")
    assert "1 of 4 honest devices are marked" in done.stdout
    report = json.loads((tmp_path / "marks.json").read_text())
    assert (report["start"], report["end"]) == ("2026-11-24T09:00:00Z", "2026-11-24T11:00:00Z")
    assert (report["honest"], report["wronged"]) == (4, 1)
    assert {each["mark"]: (each["precision"], each["recall"]) for each in report["marks"]} == {
        "teleport": (1.0, 0.5),
        "replayed": (None, None),
        "lockstep": (None, None),
        "frozen": (0.0, 0.0),
        "perfect": (None, None),
    }


@pytest.mark.parametrize(
    ("about", "environment", "said"),
    [
        (About(1, START, START + 2 * HOUR, 4, 7, SPOOFERS), {}, "set DEVICE_KEY, or DATA_DIR"),
        (About(1, START, START + 2 * HOUR, 4, 7, SPOOFERS), {"DEVICE_KEY": "short"}, "DEVICE_KEY: "),
        (About(1, START, START + 2 * HOUR, 4, 7), {"DEVICE_KEY": KEY}, "campus --spoofers has some"),
        (About(1, START, START + HOUR - 1, 4, 7, SPOOFERS), {"DEVICE_KEY": KEY}, "no hour of it is over"),
    ],
)
def test_what_cannot_be_scored_ends_with_one_sentence(
    tmp_path: Path, about: About, environment: dict[str, str], said: str
) -> None:
    write_truth(tmp_path / "truth.gz", about, [])
    done = scored(tmp_path, "http://127.0.0.1:1", **environment)
    assert done.returncode in {1, 2}
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "device.key").exists()
