"""How the buckets are made."""

import json
from typing import Any

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from core.errors import BadSettingsError, UnavailableError
from tests.timeseries.conftest import ORG, ORG_ID, TOKEN, FakeInflux
from timeseries import Width
from timeseries.influx import InfluxOccupancyStore
from timeseries.keep import parse_keep

DAY = 86_400
YEARS = {"type": "expire", "everySeconds": 0, "shardGroupDurationSeconds": 364 * DAY}


async def set_up(influx: FakeInflux, *, org: str = ORG, prefix: str = "occupancy", keep: str = "") -> None:
    async with InfluxOccupancyStore(
        url=influx.url, org=org, token=TOKEN, bucket_prefix=prefix, keep=parse_keep(keep)
    ) as store:
        await store.setup()


async def test_there_is_a_bucket_for_each_width_which_keeps_all(influx: FakeInflux) -> None:
    await set_up(influx, prefix="limerick")
    assert [(bucket["orgID"], bucket["name"], bucket["retentionRules"]) for bucket in influx.buckets] == [
        (ORG_ID, "limerick_1m", [YEARS]),
        (ORG_ID, "limerick_5m", [YEARS]),
        (ORG_ID, "limerick_1h", [YEARS]),
        (ORG_ID, "limerick_1d", [YEARS]),
        (ORG_ID, "limerick_results", [YEARS]),
    ]
    assert {request.token for request in influx.requests} == {f"Token {TOKEN}"}


async def test_a_bucket_keeps_what_the_setting_says_in_about_eight_parts_of_a_year_at_most(
    influx: FakeInflux,
) -> None:
    await set_up(influx, keep="1m:7d,1h:400d,1d:36500d")
    assert [bucket["retentionRules"] for bucket in influx.buckets] == [
        [{"type": "expire", "everySeconds": 7 * DAY, "shardGroupDurationSeconds": DAY}],
        [YEARS],
        [{"type": "expire", "everySeconds": 400 * DAY, "shardGroupDurationSeconds": 50 * DAY}],
        [{"type": "expire", "everySeconds": 36_500 * DAY, "shardGroupDurationSeconds": 364 * DAY}],
        [YEARS],
    ]


def there(width: str, seconds: int, *, part: int = 0) -> dict[str, Any]:
    """As InfluxDB Cloud tells it, if it says nothing of parts."""
    rules = [{"type": "expire", "everySeconds": seconds, **({"shardGroupDurationSeconds": part} if part else {})}]
    return {"id": f"id-{width}", "name": f"occupancy_{width}", "retentionRules": rules}


async def test_a_bucket_that_is_there_is_given_what_the_setting_says_and_the_log_says_so(influx: FakeInflux) -> None:
    """Whoever made it: an earlier version, which kept 7 and 90 days, or an operator by hand."""
    influx.buckets = [
        there("1m", 7 * DAY, part=DAY),
        there("5m", 90 * DAY, part=11 * DAY),
        there("1h", 0, part=364 * DAY),
        there("1d", 0, part=7 * DAY),
        there("results", 90 * DAY, part=7 * DAY),
    ]
    with capture_logs() as logs:
        await set_up(influx, keep="1h:30d,5m:90d")
    rules = [rule for bucket in influx.buckets for rule in bucket["retentionRules"]]
    assert [(rule["everySeconds"], rule["shardGroupDurationSeconds"]) for rule in rules] == [
        (0, 364 * DAY),
        (90 * DAY, 11 * DAY),
        (30 * DAY, 3 * DAY),
        (0, 364 * DAY),
        # What an operator has that of results keep is theirs to say.
        (90 * DAY, 7 * DAY),
    ]
    assert [(log["bucket"], log["kept"], log["keeps"], log["in_parts_of"]) for log in logs] == [
        ("occupancy_1m", "7d", "all", "364d"),
        ("occupancy_1h", "all", "30d", "3d"),
        ("occupancy_1d", "all", "all", "364d"),
    ]
    assert {log["event"] for log in logs} == {"bucket now keeps what OCCUPANCY_KEEP says"}


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
async def test_a_bucket_that_cannot_be_changed_stays_as_it_is_and_the_log_says_so(
    influx: FakeInflux, status: int
) -> None:
    """As where a plan of InfluxDB Cloud keeps 30 days at the most."""
    influx.buckets = [there(part, 30 * DAY if part == "1d" else 0) for part in ("1m", "5m", "1h", "1d", "results")]

    async def refuse(request: web.Request) -> web.StreamResponse:
        if request.method == "PATCH":
            return web.json_response({"message": "not on this plan"}, status=status)
        return web.json_response({"buckets": influx.buckets})

    influx.trouble = refuse
    async with InfluxOccupancyStore(url=influx.url, org=ORG, token=TOKEN, bucket_prefix="occupancy") as store:
        with capture_logs() as logs:
            await store.setup()
        assert [(log["bucket"], log["keeps"], log["asked"], log["answer"]) for log in logs] == [
            ("occupancy_1d", "30d", "all", "not on this plan")
        ]
        # What answers say is what the bucket does.
        assert await store.kept_since(Width.DAY) is not None
        assert await store.kept_since(Width.HOUR) is None


async def test_what_a_bucket_keeps_is_asked_for_once_a_minute(
    influx: FakeInflux, monkeypatch: pytest.MonkeyPatch
) -> None:
    influx.buckets = [there(width, 30 * DAY) for width in ("1m", "5m", "1h", "1d")]
    async with InfluxOccupancyStore(
        url=influx.url, org=ORG, token=TOKEN, bucket_prefix="occupancy", clock=lambda: 10**12
    ) as store:
        assert [await store.kept_since(Width.HOUR) for _ in range(3)] == [10**12 - 30 * DAY * 1000] * 3
        assert await store.kept_since(Width.DAY) == 10**12 - 30 * DAY * 1000
        assert influx.paths() == ["GET /api/v2/buckets"] * 2
        monkeypatch.setattr("timeseries.influx.KEPT_SECONDS", 0.0)
        influx.buckets = [there("1h", 0)]
        assert await store.kept_since(Width.HOUR) is None
        with pytest.raises(UnavailableError, match="InfluxDB lacks the bucket occupancy_1d"):
            await store.kept_since(Width.DAY)


async def test_a_second_setup_changes_nothing(influx: FakeInflux) -> None:
    await set_up(influx)
    influx.requests.clear()
    await set_up(influx)
    assert influx.paths() == ["GET /api/v2/buckets"] * 5
    assert [request.query for request in influx.requests] == [
        {"org": ORG, "name": f"occupancy_{part}"} for part in ("1m", "5m", "1h", "1d", "results")
    ]


async def test_only_what_is_missing_is_made(influx: FakeInflux) -> None:
    influx.buckets = [{"name": f"occupancy_{width}", "retentionRules": []} for width in ("1m", "5m", "1d", "results")]
    await set_up(influx)
    made = [json.loads(request.body)["name"] for request in influx.requests if request.method == "POST"]
    assert made == ["occupancy_1h"]


async def test_a_bucket_that_is_not_found_is_made(influx: FakeInflux) -> None:
    influx.prepare(404, 'bucket "occupancy_1m" not found')
    await set_up(influx)
    assert len(influx.buckets) == 5


async def test_a_bucket_that_another_process_has_just_made_is_fine(influx: FakeInflux) -> None:
    influx.buckets = [{"name": f"occupancy_{width}", "retentionRules": []} for width in ("5m", "1h", "1d", "results")]
    influx.prepare(404, "bucket not found")
    influx.prepare(422, "bucket with name occupancy_1m already exists")
    await set_up(influx, org=ORG_ID)
    assert influx.paths()[-1] == "GET /api/v2/buckets"


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "unauthorized access"),
        (403, "forbidden"),
        (422, "quota of buckets reached"),
        (404, "organization unknown"),
    ],
)
async def test_a_token_for_the_buckets_of_windows_alone_is_enough_and_the_log_says_that_results_have_none(
    influx: FakeInflux, status: int, words: str
) -> None:
    influx.buckets = [there(width, 0, part=364 * DAY) for width in ("1m", "5m", "1h", "1d")]

    async def refuse(request: web.Request) -> web.StreamResponse:
        if request.method == "POST" or request.path == "/api/v2/orgs":
            return web.json_response({"message": words}, status=status)
        return web.json_response({"buckets": influx.buckets})

    influx.trouble = refuse
    with capture_logs() as logs:
        await set_up(influx)
    assert [(log["event"], log["bucket"]) for log in logs] == [
        ("bucket of results is missing, and cannot be made", "occupancy_results")
    ]


async def test_a_server_that_fails_at_the_bucket_of_results_is_asked_again(influx: FakeInflux) -> None:
    influx.buckets = [there(width, 0, part=364 * DAY) for width in ("1m", "5m", "1h", "1d")]

    async def fail(request: web.Request) -> web.StreamResponse:
        if request.method == "POST":
            return web.json_response({"message": "later"}, status=503)
        return web.json_response({"buckets": influx.buckets})

    influx.trouble = fail
    with pytest.raises(UnavailableError, match="InfluxDB answers 503: later"):
        await set_up(influx, org=ORG_ID)


async def test_another_refusal_of_a_bucket_is_told(influx: FakeInflux) -> None:
    influx.prepare(404, "bucket not found")
    influx.prepare(422, "no more than one retention rule")
    with pytest.raises(Exception, match="no more than one retention rule"):
        await set_up(influx, org=ORG_ID)


async def test_the_organization_may_be_given_by_its_id(influx: FakeInflux) -> None:
    await set_up(influx, org=ORG_ID)
    assert {request.query.get("orgID", ORG_ID) for request in influx.requests} == {ORG_ID}
    assert "GET /api/v2/orgs" not in influx.paths()
    assert len(influx.buckets) == 5


async def test_an_unknown_organization_is_a_setting_that_cannot_work(influx: FakeInflux) -> None:
    with pytest.raises(BadSettingsError, match="INFLUXDB_V2_ORG: InfluxDB knows no organization 'elsewhere'"):
        await set_up(influx, org="elsewhere")


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_token_is_a_setting_that_cannot_work(influx: FakeInflux, status: int) -> None:
    influx.prepare(status, "unauthorized access")
    with pytest.raises(
        BadSettingsError, match="INFLUXDB_V2_TOKEN: InfluxDB refuses it: unauthorized access"
    ) as refusal:
        await set_up(influx)
    assert TOKEN not in str(refusal.value)


async def test_a_busy_server_is_unavailable_with_the_wait_it_asks_for(influx: FakeInflux) -> None:
    influx.prepare(503, "starting", **{"Retry-After": "3"})
    with pytest.raises(UnavailableError) as refusal:
        await set_up(influx)
    assert refusal.value.retry_after == 3.0
