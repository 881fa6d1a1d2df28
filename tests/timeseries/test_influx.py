"""What the InfluxDB store sends, and what it makes of the answers; against InfluxDB's documented formats."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from core.errors import Unanswered, Unavailable
from core.messages import Kind
from tests.timeseries.conftest import ORG, TOKEN, FakeInflux
from timeseries import MAX_POINTS, OccupancyPoint, Width, Window
from timeseries import influx as influx_module
from timeseries.influx import EXTENT_QUERY, HISTORY_QUERY, SERIES_QUERY, InfluxOccupancyStore
from timeseries.store import MAX_SERIES

NINE = 1_550_480_400_000
"""2019-02-18T09:00:00Z."""


@pytest.fixture
async def store(influx: FakeInflux) -> AsyncIterator[InfluxOccupancyStore]:
    async with InfluxOccupancyStore(url=influx.url, org=ORG, token=TOKEN, bucket_prefix="occupancy") as opened:
        yield opened


def point(
    start: int = NINE, *, devices: int = 1, zone: str = "campus", kind: Kind = Kind.CAR, width: Width = Width.MINUTE
) -> OccupancyPoint:
    return OccupancyPoint(window=Window(width=width, start=start, zone=zone, kind=kind), devices=devices)


async def history(
    store: InfluxOccupancyStore, *, zone: str = "campus", start: int = NINE, end: int = NINE + 600_000
) -> list[OccupancyPoint]:
    return await store.history(zone=zone, kind=Kind.CAR, width=Width.MINUTE, start=start, end=end)


def bound(body: str) -> dict[str, tuple[str, Any]]:
    """The parameters of a query, by name: their Flux type and value."""
    parameters = {}
    for statement in json.loads(body)["extern"]["body"]:
        assert statement["type"] == "OptionStatement"
        assignment = statement["assignment"]
        parameters[assignment["id"]["name"]] = (assignment["init"]["type"], assignment["init"]["value"])
    return parameters


async def test_points_are_written_as_line_protocol_one_request_for_each_width(
    store: InfluxOccupancyStore, influx: FakeInflux
) -> None:
    await store.write(
        [
            point(devices=3),
            point(width=Width.DAY, kind=Kind.MOBILE, zone="car-park-west", devices=250, start=-3_600_000),
            point(NINE + 60_000, kind=Kind.MOBILE, devices=0),
        ]
    )
    minutes, days = influx.requests
    assert minutes.body == (
        "occupancy,kind=car,zone=campus devices=3i 1550480400000\n"
        "occupancy,kind=mobile,zone=campus devices=0i 1550480460000"
    )
    assert minutes.query == {"org": ORG, "bucket": "occupancy_1m", "precision": "ms"}
    assert days.body == "occupancy,kind=mobile,zone=car-park-west devices=250i -3600000"
    assert days.query == {"org": ORG, "bucket": "occupancy_1d", "precision": "ms"}
    assert influx.paths() == ["POST /api/v2/write"] * 2
    assert minutes.token == f"Token {TOKEN}"


async def test_nothing_to_write_asks_nothing(store: InfluxOccupancyStore, influx: FakeInflux) -> None:
    await store.write([])
    assert influx.requests == []


async def test_many_points_are_written_in_batches(
    store: InfluxOccupancyStore, influx: FakeInflux, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(influx_module, "BATCH_POINTS", 2)
    await store.write([point(NINE + number * 60_000) for number in range(5)])
    assert [len(request.body.splitlines()) for request in influx.requests] == [2, 2, 1]


@pytest.mark.parametrize(
    ("status", "answer", "refused"),
    [
        (422, "failure writing points to database: partial write: points beyond retention policy dropped=2", 2),
        (422, "partial write: dropped 1 points outside retention policy of duration 168h0m0s", 1),
        (422, "partial write: for a reason of its own", 3),
        (422, "partial write: dropped=7000000000000000000000", 3),
        (422, "partial write: more than there were dropped=4", 3),
        (422, "unprocessable entity", 3),
        (400, "partial write: points beyond retention policy dropped=1", 1),
        (500, "unexpected error writing points to database: partial write: points beyond retention dropped=1", 1),
    ],
    ids=["2.7", "2.8", "no number", "no such number", "too many", "no words", "Cloud", "2.0"],
)
async def test_points_beyond_the_retention_are_counted_and_logged_and_not_sent_again(
    store: InfluxOccupancyStore, influx: FakeInflux, status: int, answer: str, refused: int
) -> None:
    influx.prepare(status, answer)
    with capture_logs() as logs:
        await store.write([point(), point(NINE + 60_000), point(NINE + 120_000), point(width=Width.HOUR)])
    assert store.refused == refused
    assert [(log["bucket"], log["points"], log["answer"]) for log in logs] == [("occupancy_1m", refused, answer)]
    # The other buckets are written all the same.
    assert [request.query["bucket"] for request in influx.requests] == ["occupancy_1m", "occupancy_1h"]


@pytest.mark.parametrize(
    ("status", "headers", "retry_after"),
    [
        (429, {"Retry-After": "17"}, 17.0),
        (503, {"Retry-After": "0.5"}, 0.5),
        (503, {"Retry-After": "-5"}, 0.0),
        (503, {"Retry-After": "1e9"}, 3600.0),
        (503, {"Retry-After": "nan"}, None),
        (429, {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}, None),
        (500, {}, None),
        (502, {}, None),
        (408, {}, None),
        (401, {}, None),
        (404, {}, None),
    ],
)
async def test_what_may_pass_is_unavailable_with_the_wait_that_was_asked_for(
    store: InfluxOccupancyStore, influx: FakeInflux, status: int, headers: dict[str, str], retry_after: float | None
) -> None:
    for _ in range(3):
        influx.prepare(status, "come back later", **headers)
    for request in (store.write([point()]), history(store), store.extent("campus", Kind.CAR, Width.DAY)):
        with pytest.raises(Unavailable, match="come back later") as refusal:
            await request
        assert refusal.value.retry_after == retry_after
    assert store.refused == 0


@pytest.mark.parametrize(
    ("status", "unanswered"),
    [(429, False), (503, False), (401, False), (404, False), (408, True), (500, True), (504, True)],
)
async def test_a_write_that_may_have_happened_is_told_from_one_that_has_not(
    store: InfluxOccupancyStore, influx: FakeInflux, status: int, *, unanswered: bool
) -> None:
    for request in (store.write([point()]), history(store)):
        influx.prepare(status, "no")
        with pytest.raises(Unavailable) as refusal:
            await request
        assert isinstance(refusal.value, Unanswered) == (unanswered and influx.paths()[-1].endswith("write"))


@pytest.mark.parametrize("hangs", [False, True], ids=["hangs up", "hangs"])
async def test_a_write_that_is_not_answered_at_all_may_have_happened(
    influx: FakeInflux, monkeypatch: pytest.MonkeyPatch, *, hangs: bool
) -> None:
    monkeypatch.setattr(influx_module, "TIMEOUT_MS", 100)
    released = asyncio.Event()

    async def silent(request: web.Request) -> web.StreamResponse:
        if hangs:
            await released.wait()
        assert request.transport
        request.transport.abort()
        return web.Response()

    influx.trouble = silent
    async with InfluxOccupancyStore(url=influx.url, org=ORG, token=TOKEN, bucket_prefix="occupancy") as store:
        with pytest.raises(Unanswered):
            await store.write([point()])
        with pytest.raises(Unavailable) as refusal:
            await history(store)
        assert not isinstance(refusal.value, Unanswered)
    released.set()


async def test_a_request_that_we_made_wrong_is_no_unavailability(
    store: InfluxOccupancyStore, influx: FakeInflux
) -> None:
    influx.prepare(400, "unable to parse")
    with pytest.raises(Exception, match="unable to parse") as refusal:
        await store.write([point()])
    assert not isinstance(refusal.value, Unavailable)


@pytest.mark.parametrize("status", [401, 404, 429, 503])
async def test_no_more_of_an_answer_is_told_than_a_person_would_read(
    store: InfluxOccupancyStore, influx: FakeInflux, status: int
) -> None:
    influx.prepared.append(web.Response(status=status, text="<html>\x1b[2J\n" + 100_000 * "x"))
    with pytest.raises(Unavailable, match="<html>") as refusal:
        await store.write([point()])
    assert len(str(refusal.value)) < 500
    assert str(refusal.value).isprintable()
    influx.prepare(422, "partial write: dropped=1 " + 1000 * "y")
    with capture_logs() as logs:
        await store.write([point()])
    assert (logs[0]["points"], len(logs[0]["answer"])) == (1, 300)


async def test_a_server_that_is_gone_is_unavailable() -> None:
    # Nothing listens on port 1.
    async with InfluxOccupancyStore(url="http://127.0.0.1:1", org=ORG, token=TOKEN, bucket_prefix="a") as store:
        for request in (store.setup(), store.write([point()]), history(store)):
            with pytest.raises(Unavailable, match="does not answer") as refusal:
                await request
            # Nobody was asked.
            assert not isinstance(refusal.value, Unanswered)


async def test_history_is_one_query_with_typed_parameters(store: InfluxOccupancyStore, influx: FakeInflux) -> None:
    await history(store, zone="car-park-west", start=NINE + 1, end=NINE + 60_000)
    [request] = influx.requests
    assert (request.path, request.query) == ("/api/v2/query", {"org": ORG})
    assert json.loads(request.body)["query"] == HISTORY_QUERY
    assert bound(request.body) == {
        "_bucket": ("StringLiteral", "occupancy_1m"),
        "_start": ("DateTimeLiteral", "2019-02-18T09:00:00.001000000Z"),
        "_stop": ("DateTimeLiteral", "2019-02-18T09:01:00.000000000Z"),
        "_zone": ("StringLiteral", "car-park-west"),
        "_kind": ("StringLiteral", "car"),
        "_most": ("IntegerLiteral", str(MAX_POINTS + 1)),
    }


async def test_the_points_of_an_answer_come_in_order_of_time(store: InfluxOccupancyStore, influx: FakeInflux) -> None:
    influx.prepare_rows(
        """
        #datatype,string,long,dateTime:RFC3339,long
        #group,false,false,false,false
        #default,_result,,,
        ,result,table,_time,_value
        ,,0,2019-02-18T09:00:00Z,3
        ,,0,2019-02-18T09:02:00Z,0
        ,,1,2019-02-18T09:01:00.000000000Z,12
        """
    )
    assert await history(store) == [
        point(NINE, devices=3),
        point(NINE + 60_000, devices=12),
        point(NINE + 120_000, devices=0),
    ]


async def test_an_answer_that_breaks_off_is_unavailable(store: InfluxOccupancyStore, influx: FakeInflux) -> None:
    influx.prepare_rows(
        """
        #datatype,string,long,dateTime:RFC3339,long
        #group,false,false,false,false
        #default,_result,,,
        ,result,table,_time,_value
        ,,0,2019-02-18T09:00:00Z,3

        #datatype,string,string
        #group,true,true
        #default,,
        ,error,reference
        ,memory allocation limit reached,897
        """
    )
    with pytest.raises(Unavailable, match="memory allocation limit reached"):
        await history(store)


async def test_an_empty_range_is_answered_without_a_query(store: InfluxOccupancyStore, influx: FakeInflux) -> None:
    assert await history(store, start=NINE, end=NINE) == []
    assert await history(store, start=NINE, end=NINE - 1) == []
    # 9998 and 9999: beyond what InfluxDB can write.
    assert await history(store, start=253_370_764_800_000, end=253_402_300_799_999) == []
    assert influx.requests == []


async def test_a_range_is_cut_to_the_years_that_influxdb_knows(store: InfluxOccupancyStore, influx: FakeInflux) -> None:
    await history(store, start=-(10**17), end=10**17)
    parameters = bound(influx.requests[0].body)
    assert parameters["_start"][1].startswith("1677-09-21T00:12:43")
    assert parameters["_stop"][1].startswith("2262-04-11T23:47:16")
    nanoseconds = (datetime(2262, 4, 11, 23, 47, 17, tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()
    assert nanoseconds * 1e9 >= 2**63


async def test_a_history_of_too_many_points_is_refused(
    store: InfluxOccupancyStore, influx: FakeInflux, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("timeseries.store.MAX_POINTS", 1)
    influx.prepare_rows(
        """
        #datatype,string,long,dateTime:RFC3339,long
        #group,false,false,false,false
        #default,_result,,,
        ,result,table,_time,_value
        ,,0,2019-02-18T09:00:00Z,3
        ,,0,2019-02-18T09:01:00Z,3
        """
    )
    with pytest.raises(ValueError, match="more than 1 windows"):
        await history(store)


async def test_the_extent_is_read_from_the_first_and_the_last_point(
    store: InfluxOccupancyStore, influx: FakeInflux
) -> None:
    influx.prepare_rows(
        """
        #datatype,string,long,dateTime:RFC3339
        #group,false,false,false
        #default,last,,
        ,result,table,_time
        ,,0,2019-02-18T09:05:00Z

        #datatype,string,long,dateTime:RFC3339
        #group,false,false,false
        #default,first,,
        ,result,table,_time
        ,,0,2019-02-18T09:00:00Z
        """
    )
    assert await store.extent("campus", Kind.MOBILE, Width.FIVE_MINUTES) == (NINE, NINE + 300_000)
    [request] = influx.requests
    assert json.loads(request.body)["query"] == EXTENT_QUERY
    parameters = bound(request.body)
    assert parameters["_bucket"] == ("StringLiteral", "occupancy_5m")
    assert parameters["_kind"] == ("StringLiteral", "mobile")
    assert parameters["_zone"] == ("StringLiteral", "campus")


async def test_the_series_are_the_tags_of_the_answer_in_order(store: InfluxOccupancyStore, influx: FakeInflux) -> None:
    influx.prepare_rows(
        """
        #datatype,string,long,string,string
        #group,false,false,false,false
        #default,_result,,,
        ,result,table,kind,zone
        ,,0,mobile,library
        ,,0,car,library
        ,,0,car,campus
        """
    )
    assert await store.series(Width.HOUR) == [
        ("campus", Kind.CAR),
        ("library", Kind.CAR),
        ("library", Kind.MOBILE),
    ]
    [request] = influx.requests
    assert json.loads(request.body)["query"] == SERIES_QUERY
    parameters = bound(request.body)
    assert parameters["_bucket"] == ("StringLiteral", "occupancy_1h")
    assert parameters["_most"] == ("IntegerLiteral", str(MAX_SERIES + 1))
    assert await store.series(Width.DAY) == []


async def test_an_answer_is_read_as_it_arrives_and_not_kept(store: InfluxOccupancyStore, influx: FakeInflux) -> None:
    """A row is given before the rest of the answer is there: no more than the rows that are wanted is in memory."""
    first_is_read = asyncio.Event()

    async def slowly(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": "text/csv"})
        await answer.prepare(request)
        head = "#datatype,string,long,dateTime:RFC3339\r\n#group,false,false,false\r\n#default,_result,,\r\n"
        await answer.write(f"{head},result,table,_time\r\n,,0,2019-02-18T09:00:00Z\r\n".encode())
        await asyncio.wait_for(first_is_read.wait(), 5)
        await answer.write(b",,0,2019-02-18T09:01:00Z\r\n\r\n")
        return answer

    influx.trouble = slowly
    times = []
    async for record in store._query(EXTENT_QUERY, {}):
        times.append(record["_time"])
        first_is_read.set()
    assert len(times) == 2


async def test_the_extent_of_nothing_is_none(store: InfluxOccupancyStore) -> None:
    assert await store.extent("campus", Kind.CAR, Width.MINUTE) is None


@pytest.mark.parametrize("zone", ["a b", 'a" or true or "', "a,kind=car", "a\\", "a\nb", "", ".a", "-a", "a" * 65])
async def test_a_zone_that_could_change_a_line_or_a_query_is_refused_before_it_is_sent(
    store: InfluxOccupancyStore, influx: FakeInflux, zone: str
) -> None:
    for request in (
        store.write([point(), point(zone=zone)]),
        history(store, zone=zone),
        history(store, zone=zone, end=NINE),
        store.extent(zone, Kind.CAR, Width.MINUTE),
    ):
        with pytest.raises(ValueError, match="is no id of a zone"):
            await request
    assert influx.requests == []
