"""GET /v1/positions and POST /v1/positions/search, over a store in a file."""

import asyncio
import dataclasses
import json
import math
import random
from typing import Any

import httpx
import pytest
import shapely
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter
from redis.asyncio import Redis
from starlette.types import Message

from api.http.answers import GeoJson
from api.positions.query import circle, metres
from api.positions.types import position_collection
from api.readiness import documents_remark, readiness_problem
from core.clock import format_rfc3339
from core.errors import BadSettingsError, UnavailableError
from core.kinds import DEFAULT_KINDS
from core.messages import Position
from documents import DocumentStore, IndexBeingBuiltError, Page, PositionQuery, document_id, to_document
from geofence import cell
from tests.api.conftest import Parts, assert_problem, client_over, key_for
from tests.conftest import NOON, WAIT_SECONDS
from tests.documents.positions import position

EARTH_RADIUS = 6371008.8

POSITIONS = "/v1/positions"
SEARCH = "/v1/positions/search"
SEQUENCE = {"Accept": "application/geo+json-seq"}
HOUR = 3_600_000
DEVICE = f"{3:032x}"
TRIANGLE = {"type": "Polygon", "coordinates": [[[-8.58, 52.67], [-8.56, 52.67], [-8.57, 52.68], [-8.58, 52.67]]]}


@pytest.fixture
async def reader(client: httpx.AsyncClient, redis_client: Redis) -> httpx.AsyncClient:
    """The client, with a key that may read positions."""
    client.headers.update(await key_for(redis_client, "positions:read"))
    return client


@pytest.fixture
async def kept(documents: DocumentStore) -> list[Position]:
    """Positions of some devices all over the campus within the last day, the newest first; several at one instant."""
    dice = random.Random(7)  # noqa: S311 - the same traffic every time
    found: dict[str, Position] = {}
    for number in range(300):
        longitude, latitude = dice.uniform(-8.58, -8.56), dice.uniform(52.67, 52.68)
        each = position(
            number % 8,
            longitude=longitude,
            latitude=latitude,
            cell=cell(longitude, latitude),
            observed_at=NOON - dice.randrange(200) * 60_000,
            zones=("campus", *dice.sample(["kemmy", "schuman"], dice.randrange(3))),
        )
        found.setdefault(document_id(each), each)
    await documents.setup()
    await documents.put(list(found.values()))
    return sorted(found.values(), key=lambda each: (each.observed_at, document_id(each)), reverse=True)


def ids(positions: list[Position]) -> list[str]:
    return [document_id(each) for each in positions]


async def pages(client: httpx.AsyncClient, path: str, **asked: Any) -> list[str]:
    """The ids on all pages, each found by the link of the one before."""
    found: list[str] = []
    answer = await client.request("POST" if "json" in asked else "GET", path, **asked)
    while True:
        assert answer.status_code == 200, answer.text
        body = answer.json()
        found += [feature["id"] for feature in body["features"]]
        if not body["links"]:
            assert "link" not in answer.headers
            return found
        [link] = body["links"]
        assert answer.headers["link"] == f'<{link["href"]}>; rel="next"; type="application/geo+json"'
        answer = await client.request(link["method"], link["href"], json=asked.get("json"))


def records(text: bytes) -> list[dict[str, Any]]:
    """The records of a sequence, as RFC 8142 has them."""
    assert text == b"" or (text.startswith(b"\x1e") and text.endswith(b"\n"))
    return [json.loads(record) for record in text.split(b"\x1e")[1:]]


async def test_a_position_is_a_feature_as_the_device_sent_it_without_what_only_the_index_needs(
    reader: httpx.AsyncClient, documents: DocumentStore
) -> None:
    await documents.setup()
    put = position(1, observed_at=NOON - 5, altitude=12.5, accuracy=4.0, speed=8.25, heading=271.0, fence="v7")
    await documents.put([put])

    answer = await reader.get(POSITIONS)

    assert answer.headers["content-type"] == "application/geo+json"
    assert answer.headers["cache-control"] == "private, no-store"
    stored = to_document(put)
    properties = {name: value for name, value in stored["properties"].items() if name != "tile"}
    assert answer.json() == {
        "type": "FeatureCollection",
        "features": [
            {"type": "Feature", "id": stored["_id"], "geometry": stored["geometry"], "properties": properties}
        ],
        "numberReturned": 1,
        "timeStamp": "2026-03-01T12:00:00Z",
        "links": [],
    }
    TypeAdapter(position_collection(DEFAULT_KINDS)).validate_json(answer.content)


async def test_without_a_condition_the_whole_campus_of_the_last_day_is_given_the_newest_first(
    reader: httpx.AsyncClient, documents: DocumentStore, kept: list[Position]
) -> None:
    await documents.put([position(99, observed_at=NOON - 25 * HOUR), position(98, observed_at=NOON + 250_000)])

    found = await pages(reader, POSITIONS)

    assert found == [document_id(position(98, observed_at=NOON + 250_000)), *ids(kept)]


@pytest.mark.parametrize("limit", [1, 7, 99, 1000])
async def test_pages_together_are_the_whole_answer(reader: httpx.AsyncClient, kept: list[Position], limit: int) -> None:
    few = kept if limit > 1 else kept[:20]
    query = {"limit": limit, "start": format_rfc3339(few[-1].observed_at)}

    expected = [each for each in kept if each.observed_at >= few[-1].observed_at]
    assert await pages(reader, POSITIONS, params=query) == ids(expected)


async def test_the_link_keeps_what_was_asked_and_the_range_as_it_was(
    reader: httpx.AsyncClient, kept: list[Position]
) -> None:
    assert kept
    first = (
        await reader.get(POSITIONS, params={"limit": 2, "zone": "kemmy", "bbox": "-8.58,52.67,-8.56,52.68"})
    ).json()

    following = httpx.URL(first["links"][0]["href"])

    assert following.is_relative_url
    assert following.path == POSITIONS
    cursor = following.params["cursor"]
    assert dict(following.params) == {
        "limit": "2",
        "zone": "kemmy",
        "bbox": "-8.58,52.67,-8.56,52.68",
        "start": "2026-02-28T12:00:00Z",
        "end": "2026-03-01T12:05:00.001Z",
        "cursor": cursor,
    }


async def test_zone_device_and_time_are_conditions_and_all_of_them_hold(
    reader: httpx.AsyncClient, kept: list[Position]
) -> None:
    start, end = NOON - 2 * HOUR, NOON - HOUR

    def when(**asked: str) -> dict[str, str]:
        return {"start": format_rfc3339(start), "end": format_rfc3339(end), **asked}

    within = [each for each in kept if start <= each.observed_at < end]
    assert await pages(reader, POSITIONS, params=when()) == ids(within)
    for asked in ({"zone": "kemmy"}, {"device": DEVICE}, {"zone": "kemmy", "device": DEVICE}, {"zone": "nowhere"}):
        expected = [
            each
            for each in within
            if asked.get("zone", "campus") in each.zones and asked.get("device", each.device) == each.device
        ]
        assert await pages(reader, POSITIONS, params=when(**asked)) == ids(expected), asked


@pytest.mark.parametrize(
    "box",
    [
        (-8.575, 52.672, -8.565, 52.678),
        (-8.575, 52.672, -8.575, 52.678),
        # Far too large for tiles: it is answered from the campus's own index.
        (-180.0, -90.0, 180.0, 90.0),
        (-11.0, 51.0, -8.57, 56.0),
        (8.0, 50.0, 8.1, 50.1),
    ],
)
async def test_a_box_gives_what_lies_in_it(
    reader: httpx.AsyncClient, kept: list[Position], box: tuple[float, float, float, float]
) -> None:
    west, south, east, north = box

    found = await pages(reader, POSITIONS, params={"bbox": ",".join(map(str, box)), "limit": 40})

    expected = [each for each in kept if west <= each.longitude <= east and south <= each.latitude <= north]
    assert found == ids(expected)


@pytest.mark.parametrize("distance", [0.5, 150, 700, 20_000])
async def test_a_distance_gives_what_is_that_near(
    reader: httpx.AsyncClient, kept: list[Position], distance: float
) -> None:
    here = kept[10]
    near = f"{here.longitude},{here.latitude}"

    found = await pages(reader, POSITIONS, params={"near": near, "distance": distance, "limit": 50})

    assert ids([here])[0] in found
    assert found == ids(
        [each for each in kept if metres(here.longitude, here.latitude, each.longitude, each.latitude) <= distance]
    )


async def test_a_box_and_a_distance_hold_both(reader: httpx.AsyncClient, kept: list[Position]) -> None:
    near = {"near": "-8.57,52.675", "distance": 600}
    for box, west in (("-8.57,52.6,-8.5,52.7", -8.57), ("10,50,11,51", 10)):
        found = await pages(reader, POSITIONS, params={**near, "bbox": box})

        assert found == ids(
            [
                each
                for each in kept
                if west <= each.longitude and metres(-8.57, 52.675, each.longitude, each.latitude) <= 600
            ]
        )


@pytest.mark.parametrize(
    "geometry",
    [
        TRIANGLE,
        {"type": "MultiPolygon", "coordinates": [TRIANGLE["coordinates"]]},
        {"type": "Feature", "properties": None, "geometry": TRIANGLE},
        {
            "type": "Polygon",
            "coordinates": [
                [[-8.58, 52.67], [-8.56, 52.67], [-8.56, 52.68], [-8.58, 52.68], [-8.58, 52.67]],
                [[-8.575, 52.672], [-8.565, 52.672], [-8.565, 52.678], [-8.575, 52.678], [-8.575, 52.672]],
            ],
        },
        {"type": "Polygon", "coordinates": [[[-20, 40], [10, 40], [10, 60], [-20, 60], [-20, 40]]]},
    ],
    ids=["polygon", "multipolygon", "feature", "with a hole", "half of Europe"],
)
async def test_a_polygon_gives_what_it_holds(
    reader: httpx.AsyncClient, kept: list[Position], geometry: dict[str, Any]
) -> None:
    shape = shapely.from_geojson(json.dumps(geometry.get("geometry", geometry)))

    found = await pages(reader, SEARCH, params={"limit": 60, "zone": "kemmy"}, json=geometry)

    held = [
        each for each in kept if "kemmy" in each.zones and shape.covers(shapely.Point(each.longitude, each.latitude))
    ]
    assert found == ids(held)
    assert found


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"null", "no geometry"),
        (b"[" * 50_000, "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b'{"type":"Point","coordinates":[1,2]}', "must be a Polygon"),
        (b'{"type":"Polygon"}', "not a list of rings"),
        (b'{"type":"Polygon","coordinates":[]}', "empty"),
        (b'{"type":"Polygon","coordinates":[[[0,0],[1,1],[0,1]]]}', "not closed"),
        (b'{"type":"Polygon","coordinates":[[[0,0],[1,1],[0,1],[1,0],[0,0]]]}', "not valid"),
        (b'{"type":"Polygon","coordinates":[[[52.6,-180.5],[1,1],[0,1],[52.6,-180.5]]]}', "out of range"),
        (b'{"type":"Feature"}', "no geometry"),
    ],
)
async def test_a_body_that_is_no_area_is_a_422_that_says_why(reader: httpx.AsyncClient, body: bytes, told: str) -> None:
    problem = assert_problem(await reader.post(SEARCH, content=body), 422)

    [error] = problem["errors"]
    assert error["parameter"] == "body"
    assert told in error["detail"]


async def test_an_outline_of_very_many_positions_is_refused(reader: httpx.AsyncClient) -> None:
    ring = [[math.cos(math.tau * step / 10_000), math.sin(math.tau * step / 10_000)] for step in range(10_000)]

    answer = await reader.post(SEARCH, json={"type": "Polygon", "coordinates": [[*ring, ring[0]]]})

    assert "10,000 positions" in str(assert_problem(answer, 422)["detail"])


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ({"limit": "0"}, "limit"),
        ({"limit": "1001"}, "limit"),
        ({"cursor": "next"}, "cursor"),
        ({"cursor": ""}, "cursor"),
        ({"cursor": "x" * 501}, "cursor"),
        ({"zone": ""}, "zone"),
        ({"zone": "z" * 65}, "zone"),
        ({"device": "bus-304"}, "device"),
        ({"device": DEVICE.upper() + "\n"}, "device"),
        ({"bbox": "1,2,3"}, "bbox"),
        ({"bbox": "1,2,3,nan"}, "bbox"),
        ({"bbox": "a,b,c,d"}, "bbox"),
        ({"bbox": "1,2,3,4,5"}, "bbox"),
        ({"bbox": "0,5,1,4"}, "bbox"),
        ({"bbox": "0,0,181,1"}, "bbox"),
        ({"near": "0"}, "near"),
        ({"near": "0,91", "distance": "5"}, "near"),
        ({"near": "0,50"}, "distance"),
        ({"distance": "5"}, "near"),
        ({"near": "0,50", "distance": "0"}, "distance"),
        ({"near": "0,50", "distance": "20001"}, "distance"),
        ({"near": "0,50", "distance": "inf"}, "distance"),
        ({"start": "2026-03-02T00:00:00Z"}, "start"),
        ({"start": "2026-03-01T00:00:00Z", "end": "2026-03-01T00:00:00Z"}, "start"),
        ({"end": "yesterday"}, "end"),
        ({"from": "2026-03-01T00:00:00Z"}, "from"),
    ],
)
async def test_a_parameter_that_cannot_be_used_is_named(
    reader: httpx.AsyncClient, documents: DocumentStore, query: dict[str, str], parameter: str
) -> None:
    await documents.setup()

    problem = assert_problem(await reader.get(POSITIONS, params=query), 422)

    assert [error["parameter"] for error in problem["errors"]] == [parameter]


async def test_a_box_across_the_180th_meridian_has_both_its_halves(
    reader: httpx.AsyncClient, kept: list[Position]
) -> None:
    # From the middle of the campus eastwards, around the earth, to its western edge.
    for box in ("-8.57,52.6,-8.58,52.7", "-8.57,52.6,0,-8.58,52.7,100"):
        found = await pages(reader, POSITIONS, params={"bbox": box})
        expected = [each for each in kept if each.longitude >= -8.57 or each.longitude <= -8.58]
        assert found == ids(expected)
        assert 0 < len(found) < len(kept)
    near = {"near": "-8.57,52.675", "distance": 600, "bbox": "-8.57,52.6,-8.58,52.7"}
    assert await pages(reader, POSITIONS, params=near) == ids(
        [
            each
            for each in kept
            if each.longitude >= -8.57 and metres(-8.57, 52.675, each.longitude, each.latitude) <= 600
        ]
    )
    assert await pages(reader, POSITIONS, params={"bbox": "179,-20,-179,-10"}) == []


async def test_a_box_may_have_heights_which_are_ignored(reader: httpx.AsyncClient, kept: list[Position]) -> None:
    assert await pages(reader, POSITIONS, params={"bbox": "-8.6,52.6,0,-8.5,52.7,100"}) == ids(kept)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cursor=st.text(max_size=60) | st.binary(max_size=60).map(lambda data: data.hex()))
async def test_a_cursor_that_nobody_gave_never_makes_the_server_fail(
    reader: httpx.AsyncClient, kept: list[Position], cursor: str
) -> None:
    assert kept
    sent = httpx.QueryParams({"cursor": cursor.encode("utf-8", "surrogatepass").decode("latin-1")})

    assert_problem(await reader.get(POSITIONS, params=sent), 422)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, 200), limit=st.integers(1, 30), box=st.booleans())
async def test_from_any_cursor_on_comes_what_follows_it(
    reader: httpx.AsyncClient, kept: list[Position], *, at: int, limit: int, box: bool
) -> None:
    query: dict[str, Any] = {"bbox": "-8.58,52.67,-8.56,52.68"} if box else {}
    before = (await reader.get(POSITIONS, params={**query, "limit": at + 1})).json()
    [link] = before["links"]

    cursor = httpx.URL(link["href"]).params["cursor"]
    page = (await reader.get(POSITIONS, params={**query, "limit": limit, "cursor": cursor})).json()

    assert [feature["id"] for feature in before["features"]] == ids(kept[: at + 1])
    assert [feature["id"] for feature in page["features"]] == ids(kept[at + 1 : at + 1 + limit])


longitudes = st.floats(-180, 180)
latitudes = st.floats(-90, 90)


@given(
    longitude=longitudes,
    latitude=latitudes,
    radius=st.floats(0.1, 20_000),
    bearing=st.floats(0, math.tau),
    share=st.floats(0, 1),
)
def test_the_box_of_a_circle_holds_every_place_in_it(
    longitude: float, latitude: float, radius: float, bearing: float, share: float
) -> None:
    (west, south, east, north), contains = circle(longitude, latitude, radius)
    # The place that one comes to (Ed Williams, Aviation Formulary, "Lat/lon given radial and distance").
    arc, one = share * radius / EARTH_RADIUS, math.radians(latitude)
    sine = math.sin(one) * math.cos(arc) + math.cos(one) * math.sin(arc) * math.cos(bearing)
    other = math.asin(max(-1.0, min(1.0, sine)))
    turn = math.atan2(math.sin(bearing) * math.sin(arc) * math.cos(one), math.cos(arc) - math.sin(one) * sine)
    there = (longitude + math.degrees(turn) + 540) % 360 - 180, math.degrees(other)

    assume(contains(*there))
    assert -180 <= west <= there[0] <= east <= 180
    assert -90 <= south <= there[1] <= north <= 90


@given(longitude=longitudes, latitude=latitudes, east=longitudes, north=latitudes)
def test_a_distance_is_the_same_there_and_back_and_no_more_than_half_around(
    longitude: float, latitude: float, east: float, north: float
) -> None:
    there = metres(longitude, latitude, east, north)

    assert there == pytest.approx(metres(east, north, longitude, latitude), abs=1e-6)
    assert 0 <= there <= math.pi * EARTH_RADIUS + 1
    assert metres(longitude, latitude, longitude, latitude) == 0


def test_a_minute_of_latitude_is_a_nautical_mile() -> None:
    assert metres(-8.57, 52.0, -8.57, 52.0 + 1 / 60) == pytest.approx(1852, rel=0.002)


async def test_a_sequence_has_every_record_once_however_many_pages_that_takes(
    reader: httpx.AsyncClient, kept: list[Position], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.positions.geojson_seq.PAGE", 37)

    answer = await reader.get(POSITIONS, headers=SEQUENCE)

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/geo+json-seq"
    assert "content-length" not in answer.headers
    assert [record["id"] for record in records(answer.content)] == ids(kept)
    listed = (await reader.get(POSITIONS, params={"limit": 1000})).json()["features"]
    assert records(answer.content) == listed


async def test_a_sequence_takes_the_same_conditions_and_a_limit(
    reader: httpx.AsyncClient, kept: list[Position], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.positions.geojson_seq.PAGE", 10)
    in_kemmy = [each for each in kept if "kemmy" in each.zones]

    some = await reader.get(POSITIONS, params={"zone": "kemmy", "limit": 25}, headers=SEQUENCE)
    in_triangle = await reader.post(SEARCH, json=TRIANGLE, headers={**SEQUENCE, "Content-Type": "application/geo+json"})

    assert [record["id"] for record in records(some.content)] == ids(in_kemmy[:25])
    assert [record["id"] for record in records(in_triangle.content)] == await pages(reader, SEARCH, json=TRIANGLE)


async def test_a_sequence_of_nothing_is_empty(reader: httpx.AsyncClient, documents: DocumentStore) -> None:
    await documents.setup()

    assert (await reader.get(POSITIONS, headers=SEQUENCE)).content == b""


async def test_head_of_a_sequence_reads_no_documents(parts: Parts, redis_client: Redis) -> None:
    never = dataclasses.replace(parts, documents=Endless())  # type: ignore[arg-type] # it has what is asked of it
    async with client_over(never) as client, asyncio.timeout(WAIT_SECONDS):
        answer = await client.head(POSITIONS, headers={**SEQUENCE, **await key_for(redis_client, "positions:read")})

    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-type"] == "application/geo+json-seq"


class Building:
    """A store that is building the index by zone, and answers what does not need it."""

    SENTENCE = "index by-zone of positions-2026-03 is being built: 12345 documents to go"

    async def find(self, query: PositionQuery, **_: object) -> Page:
        if query.device is None:
            raise IndexBeingBuiltError(self.SENTENCE, retry_after=4.2)
        return Page([], None)

    async def being_built(self) -> list[str]:
        return [self.SENTENCE]


async def test_a_question_that_needs_an_index_which_is_being_built_says_so_and_the_others_go_on(
    parts: Parts, redis_client: Redis
) -> None:
    building = dataclasses.replace(parts, documents=Building())  # type: ignore[arg-type] # it has what is asked of it
    key = await key_for(redis_client, "positions:read")
    async with client_over(building) as client:
        problem = assert_problem(await client.get(POSITIONS, params={"zone": "kemmy"}, headers=key), 503)
        other = await client.get(POSITIONS, params={"device": DEVICE}, headers=key)

    assert problem["title"] == "An index is being built"
    assert problem["detail"] == f"The {Building.SENTENCE}. Try again in 5 s."
    assert other.status_code == 200
    assert await documents_remark(building.rooms) == Building.SENTENCE
    assert await readiness_problem(building.rooms, building.failures) is None


class Unusable:
    """A store whose login is refused."""

    async def find(self, *_: object, **__: object) -> Page:
        raise BadSettingsError("CLOUDANT_APIKEY: refused")

    async def being_built(self) -> list[str]:
        raise BadSettingsError("CLOUDANT_APIKEY: refused")


async def test_a_store_whose_login_does_not_work_is_away(parts: Parts, redis_client: Redis) -> None:
    unusable = dataclasses.replace(parts, documents=Unusable())  # type: ignore[arg-type] # it has what is asked of it
    key = await key_for(redis_client, "positions:read")
    async with client_over(unusable) as client:
        problem = assert_problem(await client.get(POSITIONS, params={"zone": "kemmy"}, headers=key), 503)

    assert "CLOUDANT" not in problem["detail"]
    assert await documents_remark(unusable.rooms) is None


class Endless:
    """A store whose answers never end; counts how many pages were read."""

    def __init__(self, *, ends_after: int | None = None) -> None:
        self.pages = 0
        self._ends_after = ends_after

    async def find(self, *_: object, limit: int, **__: object) -> Page:
        self.pages += 1
        if self.pages == self._ends_after:
            raise UnavailableError("the store went away")
        await asyncio.sleep(0)
        return Page([to_document(position(number)) for number in range(limit)], "there is more")


async def test_no_more_pages_are_read_than_the_reader_takes_and_one_that_stops_is_cut_off(
    parts: Parts, redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.positions.geojson_seq.STALLED_SECONDS", 0.2)
    endless = Endless()
    app = dataclasses.replace(parts, documents=endless).app()  # type: ignore[arg-type] # it has what is asked of it
    key = await key_for(redis_client, "positions:read")
    chunks = 0

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        nonlocal chunks
        if message["type"] == "http.response.body":
            chunks += 1
            if chunks > 3:  # the reader does not read any more
                await asyncio.Event().wait()

    scope = {
        "type": "http",
        "method": "GET",
        "path": POSITIONS,
        "raw_path": POSITIONS.encode(),
        "query_string": b"",
        "headers": [(name.lower().encode(), value.encode()) for name, value in {**SEQUENCE, **key}.items()],
        "client": ("127.0.0.1", 1),
        "server": ("campus", 80),
        "scheme": "http",
        "http_version": "1.1",
        "asgi": {"version": "3.0"},
    }
    async with asyncio.timeout(WAIT_SECONDS):
        with pytest.raises((TimeoutError, ExceptionGroup)):
            await app(scope, receive, send)

    assert endless.pages == chunks == 4


async def test_a_store_that_goes_away_in_the_middle_leaves_the_answer_without_its_end(
    parts: Parts, redis_client: Redis
) -> None:
    failing = dataclasses.replace(parts, documents=Endless(ends_after=3))  # type: ignore[arg-type] # as above
    key = await key_for(redis_client, "positions:read")
    async with client_over(failing) as client:
        with pytest.raises((RuntimeError, UnavailableError)):
            await client.get(POSITIONS, headers={**SEQUENCE, **key})


async def test_a_store_that_is_away_is_a_503_for_pages_and_sequences(parts: Parts, redis_client: Redis) -> None:
    away = dataclasses.replace(parts, documents=Endless(ends_after=1))  # type: ignore[arg-type] # as above
    key = await key_for(redis_client, "positions:read")
    async with client_over(away) as client:
        for headers in (key, {**key, **SEQUENCE}):
            away.documents.pages = 0  # type: ignore[attr-defined] # of this stand-in
            answer = await client.get(POSITIONS, headers=headers)
            assert_problem(answer, 503)
            assert answer.headers["retry-after"] == "1"


@pytest.mark.parametrize("accept", ["application/geo+json", "*/*", "text/csv", ""])
async def test_all_else_is_geojson(reader: httpx.AsyncClient, kept: list[Position], accept: str) -> None:
    assert kept

    answer = await reader.get(POSITIONS, headers={"Accept": accept})

    assert answer.headers["content-type"] == GeoJson.media_type


async def test_positions_need_a_key_for_them(client: httpx.AsyncClient, redis_client: Redis) -> None:
    other = await key_for(redis_client, "positions:write")
    for method, path in (("GET", POSITIONS), ("POST", SEARCH)):
        assert_problem(await client.request(method, path), 401)
        assert_problem(await client.request(method, path, headers={"Authorization": "Bearer wrong"}), 401)
        assert_problem(await client.request(method, path, headers=other), 403)
