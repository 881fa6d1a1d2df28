import base64
import math
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from documents import PositionQuery, to_document
from documents.document import Document
from documents.merging import LOOKED_AT_MAX, Source, fetched, read_page
from documents.query import Mark, checked_limit
from documents.tiles import tiles_of_box
from geofence import cell
from tests.conftest import NOON
from tests.documents.positions import position

EARLIEST_MS = 0
LATEST_MS = 253_402_300_799_999
LIMIT_MAX = 1000

marks = st.builds(
    lambda device, time: Mark(time, f"{device:032x}-{time:015d}"),
    st.integers(0, 2**128 - 1),
    st.integers(EARLIEST_MS, LATEST_MS),
)


def query(**conditions: Any) -> PositionQuery:
    given_or_else: dict[str, Any] = {"start": 0, "end": NOON, "zone": "campus"} | conditions
    return PositionQuery(**given_or_else)


@settings(max_examples=200)
@given(marks)
def test_a_cursor_leads_back_to_its_mark_and_may_stand_in_an_address(mark: Mark) -> None:
    cursor = mark.encode()

    assert Mark.decode(cursor) == mark
    assert cursor.replace("-", "").replace("_", "").isalnum()


@settings(max_examples=200)
@given(st.text() | st.from_regex(r"[A-Za-z0-9_-]{0,80}", fullmatch=True))
def test_a_cursor_that_no_page_gave_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match="cursor"):
        Mark.decode(text)


@settings(max_examples=200)
@given(marks, st.data())
def test_a_cursor_with_another_character_is_another_mark_or_a_value_error(mark: Mark, data: st.DataObject) -> None:
    cursor = mark.encode()
    place = data.draw(st.integers(0, len(cursor) - 1))
    changed = cursor[:place] + data.draw(st.characters()) + cursor[place + 1 :]
    try:
        found = Mark.decode(changed)
    except ValueError:
        return
    assert (found == mark) == (changed == cursor)


@pytest.mark.parametrize(
    "mark", [[1, 2], [-1, f"a-{0:015d}"], [LATEST_MS + 1, f"a-{0:015d}"], [1, "a"], [1, "_design/x"], [1], {"id": 1}]
)
def test_a_cursor_that_is_well_made_of_nonsense_is_a_value_error(mark: Any) -> None:  # noqa: ANN401 - any JSON
    cursor = Mark.encode(mark)
    with pytest.raises(ValueError, match="cursor"):
        Mark.decode(cursor)
    with pytest.raises(ValueError, match="cursor"):
        Mark.decode("A" * 100_000)


def test_a_cursor_in_another_spelling_is_a_value_error() -> None:
    text = base64.urlsafe_b64encode(b'[5, "a-000000000000005"]').decode()
    with pytest.raises(ValueError, match="cursor"):
        Mark.decode(text)
    with pytest.raises(ValueError, match="cursor"):
        Mark.decode(Mark(5, "a-000000000000005").encode() + "=")


@pytest.mark.parametrize("limit", [0, -1, 1001, 10**30])
def test_a_limit_is_1_to_1000(limit: int) -> None:
    with pytest.raises(ValueError, match="1 to 1000"):
        checked_limit(limit)
    assert checked_limit(1000) == 1000


@pytest.mark.parametrize(
    ("conditions", "message"),
    [
        ({"zone": None}, "names a zone"),
        ({"start": 2, "end": 1}, "after"),
        ({"start": -1}, "1970"),
        ({"end": LATEST_MS + 1}, "9999"),
        ({"bbox": (1.0, 0.0, 0.0, 1.0)}, "west"),
        ({"bbox": (0.0, 1.0, 1.0, 0.0)}, "west"),
        ({"bbox": (0.0, 0.0, 181.0, 1.0)}, "west"),
        ({"bbox": (math.nan, 0.0, 1.0, 1.0)}, "west"),
        ({"bbox": (0.0, 0.0, math.inf, 1.0)}, "west"),
        ({"bbox": (-180.0, -90.0, 180.0, 90.0), "zone": None}, "too large"),
        ({"zone": ""}, "1 to 500 bytes"),
        ({"zone": "é" * 251}, "1 to 500 bytes"),
        ({"device": ""}, "1 to 500 bytes"),
        ({"device": "\udcff"}, "surrogates not allowed"),
    ],
)
def test_what_cannot_be_asked_is_a_value_error(conditions: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        query(**conditions)


@settings(max_examples=300)
@given(
    st.floats(-180, 180), st.floats(-90, 90), st.floats(0, 0.02), st.floats(0, 0.01), st.floats(0, 1), st.floats(0, 1)
)
def test_every_place_in_a_box_is_in_one_of_its_tiles(
    west: float, south: float, width: float, height: float, across: float, up: float
) -> None:
    box = (west, south, min(west + width, 180), min(south + height, 90))
    longitude = min(max(west + across * width, box[0]), box[2])
    latitude = min(max(south + up * height, box[1]), box[3])

    tiles = tiles_of_box(box)

    assert cell(longitude, latitude)[:6] in tiles
    assert len(tiles) <= 16


def test_an_area_of_any_size_narrows_down_what_an_index_by_zone_or_device_leads_to() -> None:
    world = (-180.0, -90.0, 180.0, 90.0)

    assert query(bbox=world).matches(to_document(position(0, observed_at=NOON - 1)))
    assert query(bbox=world, zone=None, device="d").bbox == world


async def test_a_page_looks_at_no_more_than_its_share_and_says_where_to_go_on() -> None:
    looked_at = 0

    async def endless() -> Source:
        nonlocal looked_at
        while True:
            looked_at += 1
            yield to_document(position(1, observed_at=NOON - looked_at))

    page = await read_page(endless(), query(zone="nowhere"), 10)

    assert page.documents == []
    assert page.cursor
    assert looked_at == LOOKED_AT_MAX
    assert Mark.decode(page.cursor).observed_at == NOON - LOOKED_AT_MAX


async def test_what_matches_nothing_is_fetched_in_growing_parts_of_a_bounded_size() -> None:
    asked: list[int] = []

    async def fetch(below: Mark, count: int) -> list[Document]:
        asked.append(count)
        return [to_document(position(1, observed_at=below.observed_at - 1 - number)) for number in range(count)]

    page = await read_page(fetched(fetch, Mark(NOON, ""), 2), query(zone="nowhere"), 1)

    assert page.documents == []
    assert len(asked) < 25
    assert max(asked) == LIMIT_MAX


def test_a_mark_is_json_of_two_members() -> None:
    assert msgspec.json.encode(Mark(5, "a-000000000000005")) == b'[5,"a-000000000000005"]'
