import math
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.clock import parse_rfc3339
from core.kinds import DEFAULT_KINDS
from core.messages import Position
from documents import document_id, from_document, sample_id, to_document
from documents.document import time_of
from tests.documents.positions import position

EARLIEST_MS = 0
LATEST_MS = 253_402_300_799_999

times = st.integers(EARLIEST_MS, LATEST_MS)
numbers = st.floats(allow_nan=False, allow_infinity=False)
positions = st.builds(
    Position,
    kind=st.sampled_from(DEFAULT_KINDS.ids),
    device=st.text("0123456789abcdef", min_size=32, max_size=32),
    observed_at=times,
    received_at=times,
    longitude=st.floats(-180, 180),
    latitude=st.floats(-90, 90),
    zones=st.lists(st.text(), max_size=5).map(tuple),
    cell=st.text("0123456789bcdefghjkmnpqrstuvwxyz", min_size=8, max_size=8),
    altitude=st.none() | numbers,
    accuracy=st.none() | numbers,
    speed=st.none() | numbers,
    heading=st.none() | numbers,
    fence=st.text(),
    implausible=st.booleans(),
)
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | numbers | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


def test_a_document_is_a_geojson_feature_with_longitude_first() -> None:
    assert to_document(position(7, altitude=30.5, speed=0.0)) == {
        "_id": "00000000000000000000000000000007-001772366400007",
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": [-8.5701, 52.6741, 30.5]},
        "properties": {
            "kind": "car",
            "device": "00000000000000000000000000000007",
            "observed_at": "2026-03-01T12:00:00.007Z",
            "received_at": "2026-03-01T12:00:01.500Z",
            "zones": ["campus", "car-park-west"],
            "cell": "gc3gsvp2",
            "tile": "gc3gsv",
            "speed": 0.0,
        },
    }


def test_a_document_names_the_campus_that_it_was_fenced_with_and_what_is_not_plausible() -> None:
    properties = to_document(position(fence="v3", implausible=True))["properties"]
    assert (properties["fence"], properties["implausible"]) == ("v3", True)
    assert not {"fence", "implausible"} & set(to_document(position())["properties"])


@settings(max_examples=200)
@given(positions)
def test_a_sample_has_the_key_of_its_minute_and_zones(one: Position) -> None:
    name = sample_id(one)
    minute = one.observed_at // 60_000 * 60_000

    assert time_of(name) == minute
    assert sample_id(msgspec.structs.replace(one, observed_at=min(minute + 59_999, LATEST_MS))) == name
    assert sample_id(msgspec.structs.replace(one, observed_at=minute, zones=(*one.zones, "x"))) != name
    assert to_document(one, key=sample_id)["_id"] == name


@settings(max_examples=100)
@given(positions)
def test_a_key_tells_its_time(one: Position) -> None:
    assert time_of(document_id(one)) == one.observed_at


@pytest.mark.parametrize("name", ["", "x", "_design/by-zone", "a-1", "a-0001772366400007-", "a/b-001772366400007"])
def test_what_is_no_key_tells_no_time(name: str) -> None:
    assert time_of(name) is None


@settings(max_examples=200)
@given(positions)
def test_a_position_survives_the_way_through_json_and_back(original: Position) -> None:
    stored = msgspec.json.decode(msgspec.json.encode(to_document(original)))

    assert from_document(stored) == original


@settings(max_examples=100)
@given(positions)
def test_a_store_that_writes_whole_numbers_without_decimals_changes_nothing(original: Position) -> None:
    def as_javascript(value: Any) -> Any:  # noqa: ANN401 - any JSON
        if isinstance(value, dict):
            return {name: as_javascript(inner) for name, inner in value.items()}
        if isinstance(value, list):
            return [as_javascript(inner) for inner in value]
        return int(value) if isinstance(value, float) and value.is_integer() and math.fabs(value) < 2**53 else value

    found = from_document(as_javascript(to_document(original)))

    assert found == original
    assert isinstance(found.longitude, float)


@settings(max_examples=200)
@given(times, times)
def test_times_sort_as_text_and_keys_sort_by_time(one: int, other: int) -> None:
    earlier, later = sorted([one, other])
    first, second = position(observed_at=earlier), position(observed_at=later)

    assert (document_id(first) < document_id(second)) == (earlier < later)
    texts = [to_document(each)["properties"]["observed_at"] for each in (first, second)]
    assert (texts[0] < texts[1]) == (earlier < later)
    assert [parse_rfc3339(text) for text in texts] == [earlier, later]


@settings(max_examples=200)
@given(json_values)
def test_what_is_not_a_document_of_a_position_is_a_value_error(value: Any) -> None:  # noqa: ANN401 - any JSON
    with pytest.raises(ValueError, match=r"Expected|missing|Invalid"):
        from_document(value)


@pytest.mark.parametrize(
    "change",
    [
        {"type": "FeatureCollection"},
        {"geometry": {"type": "Polygon", "coordinates": [[0.0, 1.0]]}},
        {"geometry": {"type": "Point", "coordinates": [1.0]}},
        {"geometry": {"type": "Point", "coordinates": [1.0, 2.0, 3.0, 4.0]}},
        {"geometry": {"type": "Point", "coordinates": ["1.0", 2.0]}},
        {"properties": {}},
    ],
)
def test_a_document_with_a_wrong_part_is_a_value_error(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"Expected|Invalid|missing"):
        from_document(to_document(position()) | change)


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "a tram"},
        {"kind": 5},
        {"observed_at": "yesterday"},
        {"observed_at": 5},
        {"zones": "campus"},
        {"speed": "fast"},
    ],
)
def test_a_document_with_a_wrong_property_is_a_value_error(change: dict[str, Any]) -> None:
    document = to_document(position())
    document["properties"] |= change

    with pytest.raises(ValueError, match=r"Invalid|Expected|RFC 3339"):
        from_document(document)
