"""What sets a store of logs up, and what makes it forget, without one."""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from deploy.observability.opensearch import retention, searches, setup
from deploy.observability.opensearch.retention import expired, keep_bytes_of, keep_days_of, too_large
from deploy.observability.opensearch.store import StoreAwayError, StoreError, store_at
from tests.conftest import free_port

ROOT = Path(__file__).parents[2]


@pytest.fixture
def dashboards() -> Iterator[tuple[str, list[tuple[str, dict[str, str], bytes]]]]:
    """Where something stands that answers 503 once, and then takes what it is sent."""
    asked: list[tuple[str, dict[str, str], bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            asked.append((self.path, dict(self.headers), body))
            self.send_response(503 if len(asked) == 1 else 200)
            self.end_headers()
            self.wfile.write(b'{"success": true, "successCount": 10}')

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of its parent
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()


def test_a_day_is_removed_when_it_has_been_over_for_that_many_days() -> None:
    there = ["logs-2026-11-22", "logs-2026-11-23", "logs-2026-11-21", "logs-2027-01-01", "logs-2026-13-40", "logs-x"]
    assert expired(there, date(2026, 11, 30), 7) == ["logs-2026-11-21", "logs-2026-11-22"]
    assert expired(["alogs-2020-01-01", "logs-2020-01-01-old", ".logs-2020-01-01"], date(2026, 11, 30), 1) == []


@pytest.mark.parametrize("text", ["0", "366", "-1", "7.5", "seven", "\u0667", ""])
def test_days_are_a_number_from_1_to_365(text: str) -> None:
    with pytest.raises(ValueError, match="LOG_KEEP_DAYS is not a number from 1 to 365"):
        keep_days_of(text)
    assert (keep_days_of("1"), keep_days_of("365")) == (1, 365)


def test_the_oldest_days_go_until_the_rest_is_no_more_than_may_be() -> None:
    there = {"logs-2026-11-30": 40, "logs-2026-11-28": 30, "logs-2026-11-29": 50, "logs-of-others": 900}
    assert too_large(there, 120) == []
    assert too_large(there, 119) == ["logs-2026-11-28"]
    assert too_large(there, 40) == ["logs-2026-11-28", "logs-2026-11-29"]
    # Today's alone is too much: better none than a full disk.
    assert too_large(there, 39) == ["logs-2026-11-28", "logs-2026-11-29", "logs-2026-11-30"]


@pytest.mark.parametrize("text", ["0", "99999999", "5GB", "-1", "\u0667", "", "9" * 5000])
def test_bytes_are_a_number_from_100_mb(text: str) -> None:
    with pytest.raises(ValueError, match="LOG_KEEP_BYTES is not a number from 100000000 to 100000000000000"):
        keep_bytes_of(text)
    assert keep_bytes_of("100000000") == 100_000_000


def test_a_store_that_is_away_is_asked_again_at_the_next_time(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LOG_STORE_URL", f"http://127.0.0.1:{free_port()}")
    assert retention.main([]) == 1
    slept: list[float] = []

    class EnoughError(Exception):
        pass

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 3:
            raise EnoughError

    with pytest.raises(EnoughError):
        retention.main(["--every", "3600"], now=lambda: datetime(2026, 11, 30, tzinfo=UTC), sleep=sleep)
    assert slept == [3600.0, 3600.0, 3600.0]
    assert capsys.readouterr().err.count("nothing is removed for the moment") == 4


@pytest.mark.parametrize("arguments", [["--every"], ["--every", "x"], ["now"]])
def test_what_it_does_not_know_it_says(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert retention.main(arguments) == 2
    assert setup.main(arguments) == 2
    assert "python -m deploy.observability.opensearch" in capsys.readouterr().err


def test_an_address_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StoreError, match="LOG_STORE_URL is no address"):
        store_at("file:///etc/passwd")
    monkeypatch.setenv("LOG_STORE_URL", "opensearch:9200")
    assert (retention.main([]), setup.main(["template"])) == (2, 2)
    with pytest.raises(StoreAwayError):
        store_at(f"http://127.0.0.1:{free_port()}")("GET", "/", None)


def test_saved_searches_are_imported_once_the_pages_are_there(
    dashboards: tuple[str, list[tuple[str, dict[str, str], bytes]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, asked = dashboards
    monkeypatch.setenv("DASHBOARDS_URL", url)
    assert setup.main(["searches"], sleep=lambda _: None) == 0
    assert len(asked) == 2
    path, headers, body = asked[1]
    assert path == "/api/saved_objects/_import?overwrite=true"
    assert headers["Osd-Xsrf"] == "true"
    boundary = headers["Content-Type"].partition("boundary=")[2].encode()
    head, _, content = body.split(b"--" + boundary)[1].partition(b"\r\n\r\n")
    assert b'filename="dashboards.ndjson"' in head
    assert [json.loads(line)["type"] for line in content.strip().splitlines()] == [
        "index-pattern",
        *8 * ["search"],
        "dashboard",
    ]


def test_the_file_of_saved_searches_is_what_the_table_makes() -> None:
    assert (ROOT / "deploy/observability/opensearch/dashboards.ndjson").read_text() == searches.saved_objects()


def test_each_reference_of_a_saved_object_is_one_of_them() -> None:
    objects = [json.loads(line) for line in searches.saved_objects().splitlines()]
    there = {(each["type"], each["id"]) for each in objects}
    assert len(there) == len(objects)
    for each in objects:
        assert {(to["type"], to["id"]) for to in each["references"]} <= there
    panels = json.loads(objects[-1]["attributes"]["panelsJSON"])
    assert {panel["panelRefName"] for panel in panels} == {to["name"] for to in objects[-1]["references"]}


@pytest.mark.parametrize(
    ("sentence", "file"),
    [
        ("joined the cluster", "broker/cluster/membership.py"),
        ("a node is gone: its sessions are free, its wills are published", "broker/cluster/reaper.py"),
        ("others took this node for dead, or Redis was emptied", "broker/cluster/membership.py"),
        ("draining", "broker/drain.py"),
        ("drained", "broker/drain.py"),
        ("a stage has failed, and is started again", "runtime/failures.py"),
        ("a line with many secrets was held back", "deploy/observability/rsyslog/campus.conf"),
        ("a line that the store refused", "deploy/observability/rsyslog/campus.conf"),
    ],
)
def test_what_is_searched_for_is_what_is_said(sentence: str, file: str) -> None:
    assert any(sentence in each.query for each in searches.SEARCHES)
    assert f'"{sentence}"' in (ROOT / file).read_text()
