"""Days that are over for long enough, or too much, are removed from a real store, and nothing else is."""

import hashlib
from datetime import UTC, datetime

import pytest

from deploy.observability.opensearch import retention
from tests.opensearch.server import OpenSearchServer

pytestmark = [pytest.mark.observability, pytest.mark.timeout(420)]
NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)


def days(opensearch: OpenSearchServer) -> set[str]:
    return {name for name in opensearch.indices() if name.startswith("logs-")}


def test_what_is_kept_is_the_days_that_were_asked_for(
    opensearch: OpenSearchServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for day in ("2026-11-21", "2026-11-22", "2026-11-23", "2026-11-30", "of-others"):
        opensearch.ask("PUT", f"/logs-{day}")
    monkeypatch.setenv("LOG_STORE_URL", opensearch.url)
    monkeypatch.setenv("LOG_KEEP_DAYS", "7")
    assert retention.main([], now=lambda: NOON) == 0
    assert days(opensearch) == {"logs-2026-11-23", "logs-2026-11-30", "logs-of-others"}
    assert retention.main([], now=lambda: NOON) == 0
    monkeypatch.setenv("LOG_KEEP_DAYS", "1")
    assert retention.main([], now=lambda: NOON) == 0
    assert days(opensearch) == {"logs-2026-11-30", "logs-of-others"}


def test_the_oldest_days_go_while_the_store_holds_more_than_may_be(
    opensearch: OpenSearchServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for day in ("2026-11-28", "2026-11-29", "2026-11-30", "of-others"):
        words = " ".join(hashlib.sha256(f"{day} {number}".encode()).hexdigest() for number in range(10_000))
        opensearch.ask("PUT", f"/logs-{day}/_doc/1", {"exception": words})
        opensearch.ask("POST", f"/logs-{day}/_flush?force=true&wait_if_ongoing=true")
    told = opensearch.ask("GET", "/_cat/indices/logs-2026-*?format=json&bytes=b&h=index,store.size")
    sizes = {each["index"]: int(each["store.size"]) for each in told}
    assert min(sizes.values()) > 300_000
    # So small a store is none of those that LOG_KEEP_BYTES is for: two of the three days fit.
    monkeypatch.setattr(retention, "LEAST_BYTES", 1)
    monkeypatch.setenv("LOG_STORE_URL", opensearch.url)
    monkeypatch.setenv("LOG_KEEP_DAYS", "7")
    monkeypatch.setenv("LOG_KEEP_BYTES", str(sum(sizes.values()) - 1000))
    assert retention.main([], now=lambda: NOON) == 0
    assert days(opensearch) == {"logs-2026-11-29", "logs-2026-11-30", "logs-of-others"}
    assert capsys.readouterr().err == "removed logs-2026-11-28\n"
    monkeypatch.setenv("LOG_KEEP_BYTES", "1000")
    assert retention.main([], now=lambda: NOON) == 0
    assert days(opensearch) == {"logs-of-others"}
