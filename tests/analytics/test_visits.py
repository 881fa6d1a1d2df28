from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analytics.engines.duck import DuckEngine
from analytics.running import Sources, check, run_job
from lake.compacting import compact
from lake.layout import date_of, date_prefix, one_part
from lake.lock import held
from lake.rows import positions_table
from lake.settings import LakeSettings
from lake.store import Lake, open_lake
from lake.writing import put_table, write_positions
from tests.analytics.crowd import DAY, HOUR, MONDAY, TICK, Fix, all_rounded, comparable, plain_visits, row, rows_of

DAYS = 4
TICKS = DAYS * DAY // TICK
ZONES = [
    ("campus",),
    ("campus", "hall"),
    ("campus", "library"),
    ("campus", "library", "room"),
    ("campus", "hall", "library"),
    (),
]


@st.composite
def _walk(draw: st.DrawFn) -> list[Fix]:
    """Runs of positions of one device: most of them near each other, some of them in the same place for a day."""
    device = draw(st.sampled_from("abc")) * 32
    tick, fixes = draw(st.integers(0, TICKS - 1)), []
    for _ in range(draw(st.integers(1, 5))):
        zones, step = draw(st.sampled_from(ZONES)), draw(st.integers(1, 7))
        for _ in range(draw(st.sampled_from([1, 2, 5, 30, 160]))):
            if tick < TICKS:
                fixes.append(Fix(device, tick, zones))
            tick += step
        tick += draw(st.integers(-20, 20))
        tick = max(tick, 0)
    return fixes


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(walks=st.lists(_walk(), min_size=1, max_size=4), first=st.integers(0, DAYS * 24 - 2), hours=st.integers(1, 60))
def test_visits_are_those_of_a_plain_model_and_add_up_to_how_presence_changed(
    walks: list[list[Fix]], first: int, hours: int, duck: DuckEngine, sources: Sources, tmp_path: Path
) -> None:
    fixes = [fix for walk in walks for fix in walk]
    lake = _lake_of(fixes, tmp_path)
    start, end = MONDAY + first * HOUR, MONDAY + (first + hours) * HOUR

    found = run_job(duck, "visits", start, end, replace(sources, lake=lake))

    assert comparable(found) == all_rounded(plain_visits(fixes, first * 6, (first + hours) * 6, TICKS + 10))
    assert check(duck, found, start, end, replace(sources, lake=lake)).to_pylist() == []


def _lake_of(fixes: list[Fix], folder: Path) -> Lake:
    # A file a day: a file an hour would be a hundred to wait for, in each example.
    lake = open_lake(LakeSettings(), folder)
    for day in range(DAYS):
        path = one_part(date_prefix("positions", date_of(MONDAY + day * DAY)))
        rows = [each for each in rows_of(fixes) if MONDAY + day * DAY <= each[1].observed_at < MONDAY + (day + 1) * DAY]
        lake.delete([path])
        if rows:
            put_table(lake, path, positions_table(rows), schema="positions/1")
    return lake


def test_a_device_that_sends_on_is_one_visit_and_leaves_as_long_after_its_last_position_as_it_is_present(
    duck: DuckEngine, sources: Sources
) -> None:
    eight = MONDAY + 8 * HOUR
    write_positions(sources.lake, [row("a" * 32, eight + minute * 60_000, "campus") for minute in (0, 30, 59)])

    assert run_job(duck, "visits", MONDAY, MONDAY + DAY, sources).to_pylist() == [
        {
            "zone": "campus", "kind": "car", "other": "", "at": eight,
            "entries": 1, "exits": 0, "devices": 1, "visits": 1, "dwell_devices": 0, "cut": 0,
            "dwell_q1": None, "dwell_median": None, "dwell_q3": None,
        },
        {
            "zone": "campus", "kind": "car", "other": "", "at": eight + HOUR,
            "entries": 0, "exits": 1, "devices": 1, "visits": 1, "dwell_devices": 1, "cut": 0,
            "dwell_q1": 7140.0, "dwell_median": 7140.0, "dwell_q3": 7140.0,
        },
    ]  # fmt: skip


def test_what_comes_twice_or_from_a_clock_that_is_ahead_or_counts_nowhere_is_no_evidence(
    duck: DuckEngine, sources: Sources
) -> None:
    eight = MONDAY + 8 * HOUR
    write_positions(sources.lake, [row("a" * 32, eight, "campus", "hall")])
    write_positions(
        sources.lake,
        [
            row("a" * 32, eight, "campus"),
            row("a" * 32, eight + 60_000),
            row("a" * 32, eight + 120_000, "campus", received=eight + 120_000 - 300_001),
        ],
    )

    found = run_job(duck, "visits", MONDAY, MONDAY + DAY, sources).to_pylist()

    assert [(each["zone"], each["entries"], each["exits"], each["dwell_median"]) for each in found] == [
        ("campus", 1, 0, None),
        ("campus", 0, 1, 3600.0),
        ("hall", 1, 0, None),
        ("hall", 0, 1, 3600.0),
    ]


def test_a_file_that_is_compacted_after_it_was_listed_is_listed_again(
    duck: DuckEngine, sources: Sources, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_positions(sources.lake, [row("a" * 32, MONDAY + 8 * HOUR, "campus")])
    write_positions(sources.lake, [row("a" * 32, MONDAY + 8 * HOUR + 60_000, "campus")])
    explode = DuckEngine.explode

    def compact_first(engine: DuckEngine, name: str, positions: str) -> None:
        with held(sources.lake, "a test") as hold:
            compact(sources.lake, hold, now=MONDAY + 3 * DAY)
        explode(engine, name, positions)

    monkeypatch.setattr(DuckEngine, "explode", compact_first)

    found = run_job(duck, "visits", MONDAY, MONDAY + DAY, sources)

    assert len(sources.lake.list("positions")) == 1
    assert [(each["entries"], each["exits"]) for each in found.to_pylist()] == [(1, 0), (0, 1)]
