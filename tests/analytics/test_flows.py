from analytics.engines.duck import DuckEngine
from analytics.running import Sources, run_job
from lake.rows import Row
from lake.writing import write_positions
from tests.analytics.crowd import DAY, HOUR, MONDAY, row

ANN, BOB = "a" * 32, "b" * 32
MINUTE = 60_000
NINE = MONDAY + 9 * HOUR


def _at(device: str, minute: int, *zones: str) -> Row:
    return row(device, NINE + minute * MINUTE, "campus", *zones)


def _ways(duck: DuckEngine, sources: Sources) -> list[tuple[str, str, int, int, int]]:
    found = run_job(duck, "flows", MONDAY, MONDAY + DAY, sources).to_pylist()
    return [
        (each["zone"], each["other"], (each["at"] - MONDAY) // HOUR, each["count"], each["devices"]) for each in found
    ]


def test_a_way_is_counted_in_the_hour_of_its_arrival(duck: DuckEngine, sources: Sources) -> None:
    write_positions(
        sources.lake,
        [
            *(_at(device, minute, "hall") for device in (ANN, BOB) for minute in (0, 40)),
            _at(ANN, 50, "library"),
            _at(BOB, 70, "library"),
            _at(BOB, 80, "hall"),
            _at(BOB, 90, "library"),
        ],
    )

    assert _ways(duck, sources) == [
        ("hall", "library", 9, 1, 1),
        ("hall", "library", 10, 2, 1),
        ("library", "hall", 10, 1, 1),
    ]


def test_over_the_open_campus_there_is_a_way_for_two_hours_and_none_after_that(
    duck: DuckEngine, sources: Sources
) -> None:
    # Each is present in the hall until it is seen outside of it.
    write_positions(
        sources.lake,
        [
            _at(ANN, 0, "hall"), _at(ANN, 5), _at(ANN, 60), _at(ANN, 120), _at(ANN, 125, "library"),
            _at(BOB, 0, "hall"), _at(BOB, 5), _at(BOB, 60), _at(BOB, 120), _at(BOB, 126, "library"),
        ],
    )  # fmt: skip

    assert _ways(duck, sources) == [("hall", "library", 11, 1, 1)]


def test_from_a_building_into_its_room_is_no_way_and_both_are_come_to_and_left(
    duck: DuckEngine, sources: Sources
) -> None:
    write_positions(
        sources.lake,
        [
            _at(ANN, 0, "hall"),
            _at(ANN, 10, "library"),
            _at(ANN, 20, "library", "room"),
            _at(ANN, 30, "library", "room"),
            _at(ANN, 40, "bus-stop"),
        ],
    )

    assert _ways(duck, sources) == [
        ("hall", "library", 9, 1, 1),
        ("hall", "room", 9, 1, 1),
        ("library", "bus-stop", 9, 1, 1),
        ("room", "bus-stop", 9, 1, 1),
    ]


def test_back_to_where_it_was_is_no_way(duck: DuckEngine, sources: Sources) -> None:
    write_positions(sources.lake, [_at(ANN, 0, "hall"), _at(ANN, 10), _at(ANN, 20, "hall")])

    assert _ways(duck, sources) == []


def test_through_where_two_zones_overlap_there_is_a_way_from_one_into_the_other(
    duck: DuckEngine, sources: Sources
) -> None:
    write_positions(sources.lake, [_at(ANN, 0, "hall"), _at(ANN, 10, "hall", "yard"), _at(ANN, 20, "yard")])

    assert _ways(duck, sources) == [("hall", "yard", 9, 1, 1)]


def test_a_way_over_midnight_is_found_though_each_day_stands_alone(duck: DuckEngine, sources: Sources) -> None:
    midnight = MONDAY + DAY
    write_positions(
        sources.lake,
        [
            row(ANN, midnight - 20 * MINUTE, "campus", "hall"),
            row(ANN, midnight - 10 * MINUTE, "campus"),
            row(ANN, midnight + 10 * MINUTE, "campus", "library"),
        ],
    )

    found = run_job(duck, "flows", midnight, midnight + DAY, sources)

    assert found.to_pylist() == [
        {"zone": "hall", "kind": "car", "other": "library", "at": midnight, "count": 1, "devices": 1}
    ]


def test_paths_are_runs_of_three_and_of_four_zones(duck: DuckEngine, sources: Sources) -> None:
    zones = ("car-park", "hall", "library", "hall", "car-park")
    write_positions(sources.lake, [_at(ANN, 5 * index, zone) for index, zone in enumerate(zones)])

    found = run_job(duck, "paths", MONDAY, MONDAY + DAY, sources).to_pylist()

    assert [(each["path"], each["zones"], each["count"], each["devices"]) for each in found] == [
        ("car-park>hall>library", 3, 1, 1),
        ("car-park>hall>library>hall", 4, 1, 1),
        ("hall>library>hall", 3, 1, 1),
        ("hall>library>hall>car-park", 4, 1, 1),
        ("library>hall>car-park", 3, 1, 1),
    ]
