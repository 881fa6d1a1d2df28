"""Counts beside the truth: figures, the API's answers, the table, the plot."""

import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

import pytest

from core.clock import format_rfc3339, parse_rfc3339
from core.kinds import KindId
from simulator.campus.counted import Counts, NoCountsError
from simulator.campus.plot import Drawn, svg
from simulator.campus.score import Score, Series, score, scores, true_counts, windows_of
from simulator.campus.truth import About, Visit, write_truth
from tests.conftest import free_port

ROOT = Path(__file__).resolve().parents[2]
MINUTE, FIVE = 60_000, 300_000
START = 1_795_510_800_000
CAR, PHONE = KindId("car"), KindId("mobile")
AULA = Series("aula", PHONE)


def about(minutes: int, *, start: int = START) -> About:
    return About(schema=1, start=start, end=start + minutes * MINUTE, devices=3, seed=7)


def visit(device: str, start: float, end: float, zone: str = "aula") -> Visit:
    """From one minute to another."""
    return Visit(device, PHONE, zone, START + round(start * MINUTE), START + round(end * MINUTE))


def test_the_windows_of_a_truth_are_whole_and_the_last_one_is_left_out() -> None:
    assert list(windows_of(about(17), FIVE)) == [START, START + FIVE]
    assert list(windows_of(about(20, start=START + MINUTE), FIVE)) == [START + FIVE, START + 2 * FIVE]
    assert list(windows_of(about(5), FIVE)) == []


def test_a_window_has_each_device_once_that_was_there_at_any_moment_of_it() -> None:
    windows = windows_of(about(25), FIVE)
    visits = [
        visit("a", 0, 5),  # the first window, and not the second
        visit("a", 6, 7),
        visit("a", 8, 9),
        visit("b", 4.9, 10.1),
        visit("b", 12, 13, "books"),
        visit("c", 17, 40),
    ]
    assert true_counts(visits, windows) == {
        Series("aula", PHONE): [2, 2, 1, 1],
        Series("books", PHONE): [0, 0, 1, 0],
    }


def test_error_bias_and_share_are_means_of_windows_in_which_there_was_somebody() -> None:
    found = score(AULA, [10, 10, 20, 0, 0, 10], [11, 8, 20, 3, 0, None], FIVE)
    # Off by +1, -2, 0, +3; the window with nobody in both is none, and neither is the one that is withheld.
    assert found == Score(
        zone="aula",
        kind=PHONE,
        windows=4,
        truth=10.0,
        error=1.5,
        bias=0.5,
        within=0.5,
        delay_minutes=None,
        left_out=1,
    )


def test_counts_that_follow_the_truth_are_late_by_so_many_minutes() -> None:
    truth = [abs(20 - number) % 23 for number in range(60)]
    for shift, minutes in ((0, 0.0), (2, 10.0), (-1, -5.0)):
        counted = [truth[min(max(number - shift, 0), 59)] * 2 + 1 for number in range(60)]
        found = score(AULA, truth, counted, FIVE)
        assert found.delay_minutes == pytest.approx(minutes, abs=1.0)


def test_counts_that_are_later_than_is_looked_for_have_no_delay() -> None:
    truth = [0] * 20 + [number * number for number in range(40)]
    assert score(AULA, truth, [0] * 10 + truth[:50], FIVE).delay_minutes is None


def test_counts_that_never_change_have_no_delay() -> None:
    assert score(AULA, [3] * 60, [4] * 60, FIVE).delay_minutes is None


def test_the_fullest_come_first_and_where_the_truth_has_nobody_all_counts_are_wrong() -> None:
    found = scores({AULA: [5, 5]}, {Series("books", PHONE): [1, 0], AULA: [5, 5]}, FIVE)
    assert [(one.zone, one.truth, one.error, one.windows) for one in found] == [
        ("aula", 5.0, 0.0, 2),
        ("books", 0.0, 1.0, 1),
    ]


Answers = Callable[[str, dict[str, list[str]]], tuple[int, Any]]


@contextmanager
def api(answers: Answers) -> Iterator[tuple[str, list[str]]]:
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(f"{self.path} {self.headers.get('Authorization', '')}".strip())
            parts = urlsplit(self.path)
            status, body = answers(parts.path, parse_qs(parts.query))
            self.send_response(status)
            if status == 429:
                self.send_header("Retry-After", "3")
            self.end_headers()
            self.wfile.write(body if isinstance(body, bytes) else json.dumps(body).encode())

        def log_message(self, *_arguments: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", asked
        finally:
            server.shutdown()
            thread.join()


def answers(path: str, query: dict[str, list[str]]) -> tuple[int, Any]:
    """Two zones, in which there are as many devices as the minute of the hour says; one window is withheld."""
    if path == "/v1/zones":
        return 200, {"type": "FeatureCollection", "features": [{"id": "campus"}, {"id": "aula"}]}
    start, end = (parse_rfc3339(query[name][0]) for name in ("start", "end"))
    points = [
        {"start": format_rfc3339(at), "devices": None if at == START + FIVE else at // MINUTE % 60}
        for at in range(start, end, FIVE)
    ]
    gap = {"start": format_rfc3339(START + 2 * FIVE), "end": format_rfc3339(START + 3 * FIVE)}
    return 200, {"points": points, "unrecorded": [gap]}


def test_counts_come_by_zone_and_kind_and_what_is_withheld_or_not_recorded_is_none() -> None:
    with api(answers) as (url, asked):
        counts = Counts(url + "/", key="secret")
        assert counts.zones() == ["campus", "aula"]
        found = counts.counted(["aula"], [CAR, PHONE], range(START, START + 5 * FIVE, FIVE), "5m")
    assert found == {Series("aula", kind): [0, None, None, 15, 20] for kind in (CAR, PHONE)}
    assert asked[0] == "/v1/zones Bearer secret"
    assert asked[1].startswith(
        "/v1/zones/aula/occupancy/history?kind=car&window=5m&start=2026-11-24T09%3A00%3A00Z&end=2026-11-24T09%3A25"
    )


def test_a_long_range_is_asked_for_in_weeks() -> None:
    with api(answers) as (url, asked):
        found = Counts(url, key=None).counted(["aula"], [CAR], range(START, START + 3000 * FIVE, FIVE), "5m")
    assert len(found[Series("aula", CAR)]) == 3000
    assert len(asked) == 2


def test_who_asks_too_often_waits_as_long_as_the_api_says() -> None:
    slept: list[float] = []
    busy = iter([429, 429])

    def sometimes(path: str, query: dict[str, list[str]]) -> tuple[int, Any]:
        status = next(busy, None)
        return (status, {}) if status else answers(path, query)

    with api(sometimes) as (url, _):
        assert Counts(url, key=None, sleep=slept.append).zones() == ["campus", "aula"]
    assert slept == [3.0, 3.0]


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (401, {"detail": "This needs an API key."}, "401: This needs an API key"),
        (404, b"<html>", "404"),
        (200, b"<html>", "something else"),
        (200, {"features": [{}]}, "something else"),
        (429, {}, "API_RATE_LIMIT"),
    ],
)
def test_an_api_that_says_no_is_one_sentence(status: int, body: object, said: str) -> None:
    with (
        api(lambda _path, _query: (status, body)) as (url, _),
        pytest.raises(NoCountsError, match=said) as error,
    ):
        Counts(url, key=None, sleep=lambda _seconds: None).zones()
    assert "\n" not in str(error.value)


def test_an_api_without_the_windows_is_one_sentence_and_so_is_one_that_is_away_or_no_address() -> None:
    windows = range(START, START + 2 * FIVE, FIVE)
    with (
        api(lambda _path, _query: (200, {"points": []})) as (url, _),
        pytest.raises(NoCountsError, match="no window of aula at 2026-11-24T09:00:00Z"),
    ):
        Counts(url, key=None).counted(["aula"], [CAR], windows, "5m")
    with pytest.raises(NoCountsError, match="refused"):
        Counts(f"http://127.0.0.1:{free_port()}", key=None).zones()
    with pytest.raises(NoCountsError, match="not the address of an API"):
        Counts("file:///etc/passwd", key=None)


def test_a_plot_has_two_lines_a_zone_and_a_gap_where_nothing_is_known() -> None:
    windows = range(START, START + 4 * FIVE, FIVE)
    text = svg([Drawn("aula & books, phones", [1, 2, 3, 4], [1, None, 3, 5])] * 3, windows, ZoneInfo("Europe/Dublin"))
    tree = ET.fromstring(text)  # noqa: S314 - our own
    texts = [each.text for each in tree.iter("{http://www.w3.org/2000/svg}text")]
    assert texts.count("aula & books, phones") == 3
    assert "09:00" in texts
    assert "5" in texts
    lines = [
        each.attrib["d"] for each in tree.iter("{http://www.w3.org/2000/svg}path") if each.attrib["stroke"] != "#888"
    ]
    assert [line.count("M") for line in lines] == [1, 2] * 3


def scored(tmp_path: Path, url: str, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "simulator", "score", str(tmp_path / "truth.gz"), "--api", url, *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_command_prints_a_table_and_writes_json_and_a_plot(tmp_path: Path) -> None:
    visits = [visit(f"phone-{number}", number, 60) for number in range(50)]
    write_truth(tmp_path / "truth.gz", about(65), visits)
    with api(answers) as (url, _):
        done = scored(tmp_path, url, "--json", str(tmp_path / "score.json"), "--plot", str(tmp_path / "score.svg"))
    assert (done.returncode, done.stderr) == (0, "")
    assert "aula" in done.stdout
    assert "left out" in done.stdout
    report = json.loads((tmp_path / "score.json").read_text())
    assert (report["start"], report["end"], report["window"], report["seed"]) == (
        "2026-11-24T09:00:00Z",
        "2026-11-24T10:00:00Z",
        "5m",
        7,
    )
    first = report["scores"][0]
    # Of 12 windows two are not known. Truth is 5, 20, 25, ... 50, 50, 50; counts are 0, 15, 20, ... 55.
    assert (first["zone"], first["kind"], first["windows"], first["left_out"]) == ("aula", "mobile", 10, 2)
    assert first["bias"] == pytest.approx((8 * -5 + 0 + 5) / 10)
    assert (tmp_path / "score.svg").read_text().startswith("<svg")


def test_a_truth_that_is_too_short_and_an_api_that_is_away_end_with_one_sentence(tmp_path: Path) -> None:
    write_truth(tmp_path / "truth.gz", about(9), [])
    done = scored(tmp_path, "http://127.0.0.1:1")
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert "no two whole windows of 5m" in done.stderr
    write_truth(tmp_path / "truth.gz", about(60), [])
    done = scored(tmp_path, f"http://127.0.0.1:{free_port()}")
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
