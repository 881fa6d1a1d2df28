"""What the InfluxDB store sends, and what it makes of the answers; against InfluxDB's documented formats."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from core.errors import BadSettingsError, UnansweredError, UnavailableError
from core.kinds import KindId
from tests.kinds_of_tests import CAR, MOBILE
from tests.timeseries.conftest import ORG, TOKEN, FakeInflux
from timeseries import OccupancyPoint, Width, Window, Written, influx_http
from timeseries import influx as influx_module
from timeseries.influx import (
    EXTENT_QUERY,
    HISTORY_QUERY,
    LIMITED_HISTORY_QUERY,
    SERIES_QUERY,
    InfluxOccupancyStore,
)
from timeseries.influx_answers import Call, Meaning, meaning
from timeseries.store import MAX_SERIES

NINE = 1_550_480_400_000
"""2019-02-18T09:00:00Z."""


@pytest.fixture
async def store(influx: FakeInflux) -> AsyncIterator[InfluxOccupancyStore]:
    async with InfluxOccupancyStore(url=influx.url, org=ORG, token=TOKEN, bucket_prefix="occupancy") as opened:
        yield opened


def point(
    start: int = NINE, *, devices: int = 1, zone: str = "campus", kind: KindId = CAR, width: Width = Width.MINUTE
) -> OccupancyPoint:
    return OccupancyPoint(window=Window(width=width, start=start, zone=zone, kind=kind), devices=devices)


async def history(
    store: InfluxOccupancyStore, *, zone: str = "campus", start: int = NINE, end: int = NINE + 600_000
) -> list[OccupancyPoint]:
    return await store.history(zone=zone, kind=CAR, width=Width.MINUTE, start=start, end=end)


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
            point(width=Width.DAY, kind=MOBILE, zone="car-park-west", devices=250, start=-3_600_000),
            point(NINE + 60_000, kind=MOBILE, devices=0),
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
    ("status", "answer", "expired"),
    [
        (422, "failure writing points to database: partial write: points beyond retention policy dropped=2", 2),
        (422, "partial write: dropped 1 points outside retention policy of duration 168h0m0s", 1),
        (422, "partial write: beyond retention policy", 3),
        (422, "partial write: beyond retention policy dropped=7000000000000000000000", 3),
        (422, "partial write: beyond retention policy, more than there were dropped=4", 3),
        (400, "partial write: points beyond retention policy dropped=1", 1),
        (
            500,
            "unexpected error writing points to database: partial write: points beyond retention policy dropped=1",
            1,
        ),
    ],
    ids=["2.7", "2.8", "no number", "no such number", "too many", "Cloud", "2.0"],
)
async def test_points_beyond_the_retention_are_counted_and_logged_and_not_sent_again(
    store: InfluxOccupancyStore, influx: FakeInflux, status: int, answer: str, expired: int
) -> None:
    influx.prepare(status, answer)
    with capture_logs() as logs:
        written = await store.write([point(), point(NINE + 60_000), point(NINE + 120_000), point(width=Width.HOUR)])
    assert written == Written(expired=expired)
    assert [(log["bucket"], log["points"]) for log in logs] == [("occupancy_1m", expired)]
    # The other buckets are written all the same.
    assert [request.query["bucket"] for request in influx.requests] == ["occupancy_1m", "occupancy_1h"]


def refuses(*starts: int, status: int = 422) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """A server that takes a batch in whole or not at all, and none with a point of these times."""

    async def answer(request: web.Request) -> web.StreamResponse:
        times = {int(line.rpartition(" ")[2]) for line in (await request.text()).splitlines()}
        if times & set(starts):
            return web.json_response({"code": "any", "message": "field type conflict"}, status=status)
        return web.Response(status=204)

    return answer


def minutes(count: int, *, devices: int = 1) -> list[OccupancyPoint]:
    return [point(NINE + number * 60_000, devices=devices) for number in range(count)]


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_what_is_refused_is_found_and_the_rest_is_written(
    store: InfluxOccupancyStore, influx: FakeInflux, status: int
) -> None:
    points = minutes(1000)
    bad = [points[number].window for number in (0, 500, 999)]
    influx.trouble = refuses(*(window.start for window in bad), status=status)
    written = await store.write(points)
    assert written == Written(refused=dict.fromkeys(bad, "field type conflict"))
    accepted = {
        line
        for request in influx.requests
        if not any(f" {window.start}" in request.body for window in bad)
        for line in request.body.splitlines()
    }
    assert len(accepted) == 997
    assert len(influx.requests) < 64


@pytest.mark.parametrize("status", [400, 413, 422])
@pytest.mark.parametrize("count", [1, 2, 1000])
async def test_a_server_that_refuses_everything_is_not_believed_that_it_is_for_the_points(
    store: InfluxOccupancyStore, influx: FakeInflux, status: int, count: int
) -> None:
    points = minutes(count)
    influx.trouble = refuses(*(each.window.start for each in points), status=status)
    written = await store.write(points)
    assert written.refused == {}
    assert {window for undone in written.undone for window in undone.windows} == {each.window for each in points}
    with pytest.raises(UnavailableError, match="field type conflict") as refusal:
        written.check()
    assert not isinstance(refusal.value, UnansweredError)
    assert len(influx.requests) <= 101


async def test_a_backlog_of_which_the_most_is_refused_waits_and_the_rest_is_written(
    store: InfluxOccupancyStore, influx: FakeInflux
) -> None:
    points = minutes(16)
    influx.trouble = refuses(*(each.window.start for each in points[:9]))
    written = await store.write([*points, point(NINE + 3_600_000, width=Width.HOUR)])
    assert written.refused == {}
    assert {window for undone in written.undone for window in undone.windows} == {each.window for each in points[:9]}
    assert "refuses nearly everything: field type conflict" in str(written.undone[0].error)


async def test_a_single_point_is_refused_where_the_bucket_has_just_taken_others(
    store: InfluxOccupancyStore, influx: FakeInflux
) -> None:
    influx.trouble = refuses(NINE)
    assert await store.write(minutes(4)[1:]) == Written()
    assert await store.write([point()]) == Written(refused={point().window: "field type conflict"})


async def test_what_cannot_be_told_within_a_hundred_requests_is_told_by_later_writes(
    store: InfluxOccupancyStore, influx: FakeInflux
) -> None:
    points = minutes(1000)
    bad = {each.window for each in points[::50]}
    influx.trouble = refuses(*(window.start for window in bad))
    found: set[Window] = set()
    left = points
    for _ in range(10):
        influx.requests.clear()
        written = await store.write(left)
        assert len(influx.requests) <= 101
        assert bad >= written.refused.keys()
        found |= written.refused.keys()
        undone = {window for each in written.undone for window in each.windows}
        left = [each for each in points if each.window in undone]
        if not left:
            break
    assert found == bad


STATUSES = {
    "refused": {"write": {400, 413, 422}, "query": set(), "setup": set()},
    "token": {call: {401, 403} for call in ("write", "query", "setup")},
    "lacks": {call: {404} for call in ("write", "query", "setup")},
    "unknown": {"write": {408, *range(500, 600)} - {503, 507}, "query": set(), "setup": set()},
}


@pytest.mark.parametrize("call", ["write", "query", "setup"])
@pytest.mark.parametrize("status", range(300, 600))
def test_every_status_has_a_meaning_for_every_call(call: str, status: int) -> None:
    """What is not in the table says nothing of what was sent, and nothing was done: it waits."""
    expected = next((name for name, calls in STATUSES.items() if status in calls[call]), "wait")
    assert meaning(Call(call), status, "any words").value == expected


@pytest.mark.parametrize("words", ["no space left on device", "disk quota exceeded", "file too large"])
def test_a_disk_that_is_full_has_not_taken_what_was_written(words: str) -> None:
    assert meaning(Call.WRITE, 500, f"unexpected error: write wal: {words}") is Meaning.WAIT


@pytest.mark.parametrize(
    "status", [300, 302, 400, 401, 402, 403, 404, 405, 408, 409, 413, 418, 422, 429, 500, 501, 502, 503, 504, 507]
)
async def test_no_answer_is_more_than_a_wait(influx: FakeInflux, status: int) -> None:
    """Whatever it is: no call of a store ends what calls it, but for a setting that cannot work."""
    async with InfluxOccupancyStore(url=influx.url, org=ORG, token=TOKEN, bucket_prefix="occupancy") as store:

        async def no(_: web.Request) -> web.StreamResponse:
            return web.Response(status=status, text="<html>no</html>", headers={"Location": "/elsewhere"})

        influx.trouble = no
        written = await store.write([point(), point(width=Width.DAY)])
        assert len([window for undone in written.undone for window in undone.windows]) == 2
        for ask in (
            lambda: history(store),
            lambda: store.extent("campus", CAR, Width.DAY),
            lambda: store.series(Width.DAY),
            lambda: store.kept_since(Width.DAY),
        ):
            with pytest.raises(UnavailableError):
                await ask()
        with pytest.raises(BadSettingsError if status in {401, 403, 404} else UnavailableError):
            await store.setup()


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
    for ask in (lambda: written_by(store), lambda: history(store), lambda: store.extent("campus", CAR, Width.DAY)):
        with pytest.raises(UnavailableError, match="come back later") as refusal:
            await ask()
        assert refusal.value.retry_after == retry_after


async def written_by(store: InfluxOccupancyStore) -> None:
    (await store.write([point()])).check()


@pytest.mark.parametrize(
    ("status", "unanswered"),
    [(429, False), (503, False), (401, False), (404, False), (408, True), (500, True), (504, True)],
)
async def test_a_write_that_may_have_happened_is_told_from_one_that_has_not(
    store: InfluxOccupancyStore, influx: FakeInflux, status: int, *, unanswered: bool
) -> None:
    for ask in (lambda: written_by(store), lambda: history(store)):
        influx.prepare(status, "no")
        with pytest.raises(UnavailableError) as refusal:
            await ask()
        assert isinstance(refusal.value, UnansweredError) == (unanswered and influx.paths()[-1].endswith("write"))


@pytest.mark.parametrize("hangs", [False, True], ids=["hangs up", "hangs"])
async def test_a_write_that_is_not_answered_at_all_may_have_happened(
    influx: FakeInflux, monkeypatch: pytest.MonkeyPatch, *, hangs: bool
) -> None:
    monkeypatch.setattr(influx_http, "TIMEOUT_MS", 100)
    released = asyncio.Event()

    async def silent(request: web.Request) -> web.StreamResponse:
        if hangs:
            await released.wait()
        assert request.transport
        request.transport.abort()
        return web.Response()

    influx.trouble = silent
    async with InfluxOccupancyStore(url=influx.url, org=ORG, token=TOKEN, bucket_prefix="occupancy") as store:
        written = await store.write([point(), point(width=Width.DAY)])
        # Only the first was sent; of what was not nobody needs to be afraid.
        first, second = written.undone
        assert (first.windows, second.windows) == ([point().window], [point(width=Width.DAY).window])
        assert isinstance(first.error, UnansweredError)
        assert not isinstance(second.error, UnansweredError)
        with pytest.raises(UnavailableError) as refusal:
            await history(store)
        assert not isinstance(refusal.value, UnansweredError)
    released.set()


async def test_a_bucket_that_is_gone_keeps_no_other_from_being_written(
    store: InfluxOccupancyStore, influx: FakeInflux
) -> None:
    influx.prepare(404, 'bucket "occupancy_1m" not found')
    written = await store.write([point(), point(width=Width.HOUR)])
    assert [undone.windows for undone in written.undone] == [[point().window]]
    assert [bucket for bucket, _, _ in influx.points] == ["occupancy_1h"]


async def test_a_server_that_is_busy_is_not_asked_for_each_bucket(
    store: InfluxOccupancyStore, influx: FakeInflux
) -> None:
    influx.prepare(503, "busy", **{"Retry-After": "7"})
    written = await store.write([point(), point(width=Width.HOUR), point(width=Width.DAY)])
    assert len(influx.requests) == 1
    assert [undone.error.retry_after for undone in written.undone] == [7.0, 7.0, 7.0]


@pytest.mark.parametrize("status", [401, 404, 429, 503])
async def test_no_more_of_an_answer_is_told_than_a_person_would_read(
    store: InfluxOccupancyStore, influx: FakeInflux, status: int
) -> None:
    influx.prepared.append(web.Response(status=status, text="<html>\x1b[2J\n" + 100_000 * "x"))
    with pytest.raises(UnavailableError, match="<html>") as refusal:
        await written_by(store)
    assert len(str(refusal.value)) < 500
    assert str(refusal.value).isprintable()


async def test_a_server_that_is_gone_is_unavailable() -> None:
    # Nothing listens on port 1.
    async with InfluxOccupancyStore(url="http://127.0.0.1:1", org=ORG, token=TOKEN, bucket_prefix="a") as store:
        for ask in (store.setup, lambda: written_by(store), lambda: history(store)):
            with pytest.raises(UnavailableError, match="does not answer") as refusal:
                await ask()
            # Nobody was asked.
            assert not isinstance(refusal.value, UnansweredError)


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
    }
    assert json.loads(request.body)["dialect"]["annotations"] == []


async def test_a_range_that_may_hold_too_many_windows_is_limited(
    store: InfluxOccupancyStore, influx: FakeInflux
) -> None:
    """Others need no limit, which takes time."""
    for windows, limited in ((100_000 - 1, False), (100_000, True)):
        await history(store, end=NINE + windows * 60_000)
        asked = json.loads(influx.requests[-1].body)["query"]
        assert asked == (LIMITED_HISTORY_QUERY if limited else HISTORY_QUERY)
        assert ("_most" in bound(influx.requests[-1].body)) == limited
    assert bound(influx.requests[-1].body)["_most"] == ("IntegerLiteral", "100001")


async def test_the_points_of_an_answer_come_in_order_of_time(store: InfluxOccupancyStore, influx: FakeInflux) -> None:
    influx.prepare_rows(
        """
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
        ,result,table,_time,_value
        ,,0,2019-02-18T09:00:00Z,3

        ,error,reference
        ,memory allocation limit reached,897
        """
    )
    with pytest.raises(UnavailableError, match="memory allocation limit reached"):
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
        ,result,table,_time
        ,,0,2019-02-18T09:05:00Z

        ,result,table,_time
        ,,0,2019-02-18T09:00:00Z
        """
    )
    assert await store.extent("campus", MOBILE, Width.FIVE_MINUTES) == (NINE, NINE + 300_000)
    [request] = influx.requests
    assert json.loads(request.body)["query"] == EXTENT_QUERY
    parameters = bound(request.body)
    assert parameters["_bucket"] == ("StringLiteral", "occupancy_5m")
    assert parameters["_kind"] == ("StringLiteral", "mobile")
    assert parameters["_zone"] == ("StringLiteral", "campus")


async def test_an_extent_is_asked_for_again_after_a_write_and_after_a_while(
    store: InfluxOccupancyStore, influx: FakeInflux, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked() -> int:
        return influx.paths().count("POST /api/v2/query")

    for _ in range(3):
        assert await store.extent("campus", CAR, Width.HOUR) is None
    assert asked() == 1
    for other in (("campus", MOBILE, Width.HOUR), ("campus", CAR, Width.DAY), ("a", CAR, Width.HOUR)):
        await store.extent(*other)
    assert asked() == 4
    await store.write([point()])
    await store.extent("campus", CAR, Width.HOUR)
    assert asked() == 5
    monkeypatch.setattr(influx_module, "EXTENT_SECONDS", 0.0)
    await store.extent("campus", CAR, Width.HOUR)
    assert asked() == 6


async def test_the_series_are_the_tags_of_the_answer_in_order(store: InfluxOccupancyStore, influx: FakeInflux) -> None:
    influx.prepare_rows(
        """
        ,result,table,kind,zone
        ,,0,mobile,library
        ,,0,car,library
        ,,0,car,campus
        """
    )
    assert await store.series(Width.HOUR) == [
        ("campus", CAR),
        ("library", CAR),
        ("library", MOBILE),
    ]
    [request] = influx.requests
    assert json.loads(request.body)["query"] == SERIES_QUERY
    parameters = bound(request.body)
    assert parameters["_bucket"] == ("StringLiteral", "occupancy_1h")
    assert parameters["_most"] == ("IntegerLiteral", str(MAX_SERIES + 1))
    assert await store.series(Width.DAY) == []


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 1000])
async def test_an_answer_may_come_in_any_parts(store: InfluxOccupancyStore, influx: FakeInflux, size: int) -> None:
    text = (
        b",result,table,_time,_value\r\n,_result,0,2019-02-18T09:00:00Z,3\r\n\r\n"
        b",result,table,_time,_value\r\n,_result,1,2019-02-18T09:01:00Z,12\r\n\r\n"
    )

    async def in_parts(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": "text/csv"})
        await answer.prepare(request)
        for first in range(0, len(text), size):
            await answer.write(text[first : first + size])
        return answer

    influx.trouble = in_parts
    assert await history(store) == [point(devices=3), point(NINE + 60_000, devices=12)]


async def test_the_extent_of_nothing_is_none(store: InfluxOccupancyStore) -> None:
    assert await store.extent("campus", CAR, Width.MINUTE) is None


@pytest.mark.parametrize("zone", ["a b", 'a" or true or "', "a,kind=car", "a\\", "a\nb", "", ".a", "-a", "a" * 65])
async def test_a_zone_that_could_change_a_line_or_a_query_is_refused_before_it_is_sent(
    store: InfluxOccupancyStore, influx: FakeInflux, zone: str
) -> None:
    for ask in (
        lambda: store.write([point(), point(zone=zone)]),
        lambda: history(store, zone=zone),
        lambda: history(store, zone=zone, end=NINE),
        lambda: store.extent(zone, CAR, Width.MINUTE),
    ):
        with pytest.raises(ValueError, match="is no id of a zone"):
            await ask()
    assert influx.requests == []
