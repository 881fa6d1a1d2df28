"""Who is there now, beside the truth."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.clock import format_rfc3339
from core.kinds import KindId
from simulator.campus.counted import Counts, NoCountsError
from simulator.campus.present import Look, looks, read_looks, seen, truly_there
from simulator.campus.score import Series
from simulator.campus.truth import BadTruthError, Visit, write_truth
from tests.simulator.test_score import MINUTE, PHONE, ROOT, START, about, api, visit

CAR = KindId("car")


class Occupancy:
    """Says one device more at each look; each third is withheld."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, path: str, _query: dict[str, list[str]]) -> tuple[int, Any]:
        assert path == "/v1/occupancy"
        self.asked += 1
        count = None if self.asked % 3 == 0 else self.asked
        zones = [{"zone": "aula", "name": "Aula", "mobile": count, "car": 0, "total": count}]
        return 200, {"last_updated": format_rfc3339(START + self.asked * MINUTE), "zones": zones}


def test_each_look_has_the_time_of_the_answer_and_the_counts_by_kind() -> None:
    slept: list[float] = []
    with api(Occupancy()) as (url, _):
        found = list(
            looks(Counts(url, key=None), [CAR, PHONE], seconds=20, every=10, elapsed=lambda: 100.0, sleep=slept.append)
        )
    assert found == [
        Look(at=START + number * MINUTE, zones={"aula": {"car": 0, "mobile": count}})
        for number, count in ((1, 1), (2, 2), (3, None))
    ]
    assert slept == [10.0, 20.0]


@pytest.mark.parametrize(
    "body",
    [
        {"last_updated": "today", "zones": []},
        {"last_updated": "2026-11-24T09:00:00Z", "zones": [{}]},
        {"last_updated": "2026-11-24T09:00:00Z", "zones": [{"zone": "aula", "mobile": "many"}]},
        {"zones": []},
    ],
)
def test_an_answer_that_is_no_occupancy_is_one_sentence(body: object) -> None:
    sentence = r"(is no occupancy|answers something else): "
    with api(lambda _path, _query: (200, body)) as (url, _), pytest.raises(NoCountsError, match=sentence):
        list(looks(Counts(url, key=None), [PHONE], seconds=1, every=10))


def test_who_was_truly_there_is_who_had_come_and_not_left() -> None:
    times = [START + minute * MINUTE for minute in (0, 5, 10, 15)]
    visits = [visit("a", 0, 5), visit("b", 5, 11), visit("b", 12, 13), visit("c", 1, 99), visit("d", 5, 15, "books")]
    assert truly_there(visits, times) == {
        Series("aula", PHONE): [1, 2, 2, 1],
        Series("books", PHONE): [0, 1, 1, 0],
    }


@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(1, 50))),
    st.lists(st.integers(0, 100), unique=True, max_size=20).map(sorted),
)
def test_the_truth_at_any_times_is_what_counting_one_by_one_says(
    spans: list[tuple[int, int]], times: list[int]
) -> None:
    visits = [Visit(str(number), PHONE, "aula", start, start + long) for number, (start, long) in enumerate(spans)]
    expected = [sum(one.start <= at < one.end for one in visits) for at in times]
    assert truly_there(visits, times).get(Series("aula", PHONE), [0] * len(times)) == expected


def test_looks_outside_of_the_truth_are_left_out_and_a_zone_that_came_later_was_not_known_before() -> None:
    found = [
        Look(START - 1, {"aula": {"mobile": 9}}),
        Look(START, {"aula": {"mobile": 1}}),
        Look(START + MINUTE, {"aula": {"mobile": 2}, "books": {"mobile": None}}),
        Look(START + 10 * MINUTE, {"aula": {"mobile": 9}}),
    ]
    assert seen(found, about(10)) == (
        [START, START + MINUTE],
        {Series("aula", PHONE): [1, 2], Series("books", PHONE): [None, None]},
    )


@given(st.binary(max_size=100))
def test_any_bytes_are_looks_or_a_sentence(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    file = tmp_path_factory.mktemp("looks") / "present.ndjson"
    file.write_bytes(content)
    try:
        assert all(isinstance(look, Look) for look in read_looks(file))
    except BadTruthError as error:
        assert str(error).startswith(str(file))  # noqa: PT017 - either is right


def simulator(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "simulator", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_what_was_watched_is_scored_beside_the_truth(tmp_path: Path) -> None:
    present, truth, scored = tmp_path / "present.ndjson", tmp_path / "truth.gz", tmp_path / "score.json"
    with api(Occupancy()) as (url, _):
        watched = simulator("watch", str(present), "--api", url, "--seconds", "2", "--every", "0.5")
    assert (watched.returncode, watched.stdout) == (0, f"{present}: 5 looks\n"), watched.stderr
    write_truth(truth, about(60), [visit("a", 0, 60), visit("b", 1.5, 4.5)])

    done = simulator("score", str(truth), "--present", str(present), "--json", str(scored))

    assert done.returncode == 0, done.stderr
    report = json.loads(scored.read_text())
    assert report["window"] == "now"
    # Minutes 1, 2, 4 and 5 say 1, 2, 4 and 5, the third nothing; there were 1, 2, 2 and 1.
    first = report["scores"][0]
    assert (first["zone"], first["kind"], first["windows"], first["left_out"]) == ("aula", "mobile", 4, 1)
    assert (first["truth"], first["error"], first["bias"]) == (1.5, 1.5, 1.5)


def test_a_file_that_nobody_watched_into_is_one_sentence(tmp_path: Path) -> None:
    write_truth(tmp_path / "truth.gz", about(60), [])
    (tmp_path / "present.ndjson").write_bytes(b"")
    done = simulator("score", str(tmp_path / "truth.gz"), "--present", str(tmp_path / "present.ndjson"))
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert "fewer than 2 looks" in done.stderr
