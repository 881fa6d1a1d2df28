"""`make demo`, as a newcomer starts it: a crowd that moves, and weeks of history."""

import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tests.e2e.system import System, start, wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]
DEMO = {"DEMO": "1", "DEMO_DEVICES": "300", "DEMO_DAYS": "3", "CAMPUS_TIMEZONE": "Europe/Dublin"}
FULL_SECONDS = 180.0
HISTORY_SECONDS = 180.0


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "data"


@pytest.fixture(scope="module")
def demo(data_dir: Path) -> Iterator[System]:
    running = start(data_dir, **DEMO)
    yield running
    if running.process.poll() is None:
        running.stop()


def zones_with_somebody(system: System) -> set[str]:
    found = system.get("/v1/occupancy").json()
    return {zone["zone"] for zone in found["zones"] if zone["total"]}


def days(system: System, count: int) -> list[int]:
    """The phones that were on the campus on each of the last days, the day before this one last."""
    here = ZoneInfo("Europe/Dublin")
    midnight = datetime.now(UTC).astimezone(here).replace(hour=0, minute=0, second=0, microsecond=0)
    start_at, end_at = (midnight - timedelta(days=count)).astimezone(UTC), midnight.astimezone(UTC)
    answer = system.get(
        "/v1/zones/campus/occupancy/history",
        kind="mobile",
        window="1d",
        start=f"{start_at:%Y-%m-%dT%H:%M:%SZ}",
        end=f"{end_at:%Y-%m-%dT%H:%M:%SZ}",
    )
    answer.raise_for_status()
    body = answer.json()
    assert body["unrecorded"] == [] or not body["points"]
    return [point["devices"] for point in body["points"]]


def test_the_map_is_full_soon_after_the_first_start(demo: System) -> None:
    buildings = {zone["id"] for zone in demo.get("/v1/zones").json()["features"]}

    wait_for(lambda: len(zones_with_somebody(demo)) >= 0.8 * len(buildings), "most zones have somebody", FULL_SECONDS)

    now = demo.get("/v1/occupancy").json()
    assert {zone["zone"] for zone in now["zones"]} == buildings


def test_the_days_before_have_a_history_that_was_recorded(demo: System) -> None:
    wait_for(lambda: "demo: " in demo.text and "new documents" in demo.text, "the history is there", HISTORY_SECONDS)

    assert len(days(demo, 3)) >= 1
    assert (demo.data_dir / "demo-history").read_text(encoding="utf-8").startswith("done at ")


def test_a_second_start_writes_nothing_twice_and_the_crowd_goes_on(demo: System) -> None:
    before, documents = days(demo, 3), int(demo.run("documents", "count").stdout)
    assert demo.stop() == 0
    mark = (demo.data_dir / "demo-history").read_text(encoding="utf-8")

    again = start(demo.data_dir, **DEMO)
    try:
        wait_for(lambda: zones_with_somebody(again), "the crowd is there again", FULL_SECONDS)
        assert "the weeks before are being made" not in again.text
        assert days(again, 3) == before
        assert (demo.data_dir / "demo-history").read_text(encoding="utf-8") == mark
        # What is new is of today: the crowd's own.
        assert int(again.run("documents", "count").stdout) >= documents
    finally:
        assert again.stop() == 0


def test_a_first_start_that_is_interrupted_makes_the_history_at_the_next(tmp_path: Path) -> None:
    demo = start(tmp_path / "data", until="the weeks before are being made", **DEMO)
    assert demo.stop() == 0
    mark = demo.data_dir / "demo-history"
    assert not mark.exists() or mark.read_text(encoding="utf-8").startswith("begun at ")

    again = start(demo.data_dir, **DEMO)
    try:
        wait_for(lambda: "new documents" in again.text, "the history is there", HISTORY_SECONDS)
        assert mark.read_text(encoding="utf-8").startswith("done at ")
        again.process.send_signal(signal.SIGINT)
    finally:
        assert again.stop() == 0
