"""What the mirror publishes of a change, without a broker."""

import dataclasses

import pytest

from api.analytics import Newest
from api.live.mirrored import Mirrored, result_of
from api.occupancy.snapshot import Snapshot, ZonePart
from api.zones.campus import CampusView
from bench.campus import made_campus
from geofence import Campus, parse_campus


@pytest.fixture(scope="module")
def many() -> CampusView:
    return CampusView(parse_campus(made_campus(5_000), "a made campus"))


def snapshot(view: CampusView, parts: list[ZonePart]) -> Snapshot:
    return Snapshot(at=0, version=view.version, shared=b'"ttl":1', zones=view.places, parts=parts)


def parts_of(view: CampusView) -> list[ZonePart]:
    return [ZonePart(b'{"zone":"%b"' % zone.encode()) for zone in view.ids]


def test_at_first_all_is_published_and_then_what_has_changed(many: CampusView) -> None:
    mirrored = Mirrored(10_000_000)
    parts = parts_of(many)
    first = snapshot(many, parts)
    assert len(mirrored.changes(many, first)) == 2 * 5_001 + 2
    mirrored.published(many, first)

    assert mirrored.changes(many, snapshot(many, parts)) == {}
    changed = parts.copy()
    changed[7] = ZonePart(b'{"zone":"zone-6","car":1')
    found = mirrored.changes(many, snapshot(many, changed))
    assert found.keys() == {"v1/occupancy", "v1/zones/zone-6/occupancy"}
    assert found["v1/zones/zone-6/occupancy"] == b'{"zone":"zone-6","car":1,"ttl":1}'


def test_what_is_too_large_holds_nothing_and_something_again_once_it_is_smaller(many: CampusView) -> None:
    mirrored = Mirrored(65_536)
    small = CampusView(Campus(many.campus.boundary, many.campus.zones[:10]))

    found = mirrored.changes(many, snapshot(many, parts_of(many)))
    assert mirrored.too_large == {"v1/zones", "v1/occupancy"}
    assert mirrored.too_large.isdisjoint(found)
    mirrored.published(many, snapshot(many, parts_of(many)))
    found = mirrored.changes(small, snapshot(small, parts_of(small)))
    assert mirrored.too_large == set()
    assert {"v1/zones", "v1/occupancy"} <= found.keys()


def test_limits_of_the_broker_that_are_too_small_are_named(many: CampusView) -> None:
    mirrored = Mirrored(65_536)
    first = snapshot(many, parts_of(many))
    mirrored.changes(many, first)
    mirrored.published(many, first)

    assert mirrored.shortage(retained_max=10_002, retained_max_bytes=10_000_000) is None
    told = mirrored.shortage(retained_max=10_001, retained_max_bytes=1_000_000) or ""
    assert told.startswith("the mirror needs 10,002 retained messages, and RETAINED_MAX is 10,001; and 1,")
    assert told.endswith("RETAINED_MAX_BYTES is 1,000,000: topics that find no room hold nothing")


RESULTS = {"v1/flows": b"{}", "v1/zones/zone-6/visits": b"{1}", "v1/zones/nowhere/visits": b"{}"}


def test_of_what_was_computed_that_is_published_which_is_new_and_of_zones_that_there_are(many: CampusView) -> None:
    mirrored = Mirrored(65_536)
    small = CampusView(Campus(many.campus.boundary, many.campus.zones[:10]))
    taken = snapshot(small, parts_of(small))
    mirrored.changes(small, taken)
    mirrored.published(small, taken)
    before = mirrored.topics

    newest = Newest(RESULTS)
    assert mirrored.changes(small, taken, newest) == {"v1/flows": b"{}", "v1/zones/zone-6/visits": b"{1}"}
    mirrored.published(small, taken)
    assert mirrored.topics - before == {"v1/flows", "v1/zones/zone-6/visits"}
    assert mirrored.changes(small, taken, newest) == {}
    assert mirrored.changes(small, taken, Newest({"v1/flows": b"{2}"})) == {"v1/flows": b"{2}"}
    mirrored.published(small, taken)
    assert mirrored.topics - before == {"v1/flows"}


def test_what_was_not_published_is_published_yet(many: CampusView) -> None:
    mirrored = Mirrored(65_536)
    small = CampusView(Campus(many.campus.boundary, many.campus.zones[:10]))
    taken, newest = snapshot(small, parts_of(small)), Newest(RESULTS)

    assert mirrored.changes(small, taken, newest) == mirrored.changes(small, taken, newest)


def test_what_was_computed_counts_where_the_limits_of_the_broker_are_too_small(many: CampusView) -> None:
    mirrored = Mirrored(65_536)
    small = CampusView(Campus(many.campus.boundary, many.campus.zones[:10]))
    taken = snapshot(small, parts_of(small))
    mirrored.changes(small, taken, Newest(RESULTS | {"v1/flows": b"0" * 60_000}))
    mirrored.published(small, taken)

    assert mirrored.shortage(retained_max=26, retained_max_bytes=10_000_000) is None
    told = mirrored.shortage(retained_max=25, retained_max_bytes=50_000) or ""
    assert told.startswith("the mirror needs 26 retained messages, and RETAINED_MAX is 25; and 6")


@pytest.mark.parametrize(
    ("topic", "found"),
    [
        ("v1/flows", (None, "v1/flows")),
        ("v1/zones/kemmy/forecast", ("kemmy", "forecast")),
        ("v1/zones/forecast", None),
        ("v1/zones/kemmy/occupancy", None),
        ("v1/zones/visits/visits", ("visits", "visits")),
        ("v2/zones/kemmy/visits", None),
    ],
)
def test_a_topic_says_whether_it_has_what_was_computed(topic: str, found: tuple[str | None, str] | None) -> None:
    assert result_of(topic) == found


def test_the_length_of_the_body_about_all_is_known_before_it_is_written(many: CampusView) -> None:
    for zones in (0, 1, 2, 5_001):
        some = dataclasses.replace(many.campus, zones=many.campus.zones[: max(0, zones - 1)])
        view = CampusView(some)
        taken = Snapshot(at=0, version="", shared=b'"ttl":1', zones=view.places, parts=parts_of(view) if zones else [])
        assert taken.everything_bytes == len(taken.everything)
