import pyarrow as pa

from analytics.engines.duck import DuckEngine
from analytics.running import Sources, check, run_job
from lake.writing import write_positions
from tests.analytics.crowd import DAY, HOUR, MONDAY, row

EIGHT = MONDAY + 8 * HOUR


def test_a_row_that_is_wrong_is_told_with_how_presence_changed(duck: DuckEngine, sources: Sources) -> None:
    write_positions(sources.lake, [row("a" * 32, EIGHT, "campus"), row("b" * 32, EIGHT, "campus")])
    visits = run_job(duck, "visits", MONDAY, MONDAY + DAY, sources)
    assert visits["entries"].to_pylist() == [2, 0]
    wrong = visits.set_column(visits.schema.get_field_index("entries"), "entries", pa.array([3, 0], pa.int64()))

    assert check(duck, wrong, MONDAY, MONDAY + DAY, sources).to_pylist() == [
        {"zone": "campus", "kind": "car", "other": "", "at": EIGHT, "entries": 3, "exits": 0, "before": 0, "after": 2}
    ]


def test_an_hour_is_told_whose_late_positions_came_after_the_visits_were_worked_out(
    duck: DuckEngine, sources: Sources
) -> None:
    write_positions(sources.lake, [row("a" * 32, EIGHT, "campus")])
    visits = run_job(duck, "visits", MONDAY, MONDAY + DAY, sources)
    write_positions(sources.lake, [row("b" * 32, EIGHT + 1, "campus")])

    found = check(duck, visits, MONDAY, MONDAY + DAY, sources).to_pylist()

    assert [(each["at"], each["entries"] - each["exits"], each["after"] - each["before"]) for each in found] == [
        (EIGHT, 1, 2),
        (EIGHT + HOUR, -1, -2),
    ]


def test_visits_of_a_device_that_is_sent_as_another_kind_meanwhile_add_up(duck: DuckEngine, sources: Sources) -> None:
    kinds = ("car", "mobile", "car", "car", "mobile")
    positions = [row("a" * 32, EIGHT + 1_500_000 * at, "campus", kind=kind) for at, kind in enumerate(kinds)]
    write_positions(sources.lake, positions)

    visits = run_job(duck, "visits", MONDAY, MONDAY + DAY, sources)

    assert check(duck, visits, MONDAY, MONDAY + DAY, sources).to_pylist() == []
    entries = dict.fromkeys(kinds, 0)
    for each in visits.to_pylist():
        entries[each["kind"]] += each["entries"]
    assert entries == {"car": 2, "mobile": 2}
