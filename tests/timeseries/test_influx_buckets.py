"""How the buckets are made."""

import json

import pytest

from core.errors import BadSettings, Unavailable
from tests.timeseries.conftest import ORG, ORG_ID, TOKEN, FakeInflux
from timeseries.influx import InfluxOccupancyStore

DAY = 86_400


async def set_up(influx: FakeInflux, *, org: str = ORG, prefix: str = "occupancy") -> None:
    async with InfluxOccupancyStore(url=influx.url, org=org, token=TOKEN, bucket_prefix=prefix) as store:
        await store.setup()


async def test_there_is_a_bucket_for_each_width_with_its_retention(influx: FakeInflux) -> None:
    await set_up(influx, prefix="limerick")
    assert [(bucket["orgID"], bucket["name"], bucket["retentionRules"]) for bucket in influx.buckets] == [
        (ORG_ID, "limerick_1m", [{"type": "expire", "everySeconds": 7 * DAY}]),
        (ORG_ID, "limerick_5m", [{"type": "expire", "everySeconds": 90 * DAY}]),
        (ORG_ID, "limerick_1h", []),
        (ORG_ID, "limerick_1d", []),
    ]
    assert {request.token for request in influx.requests} == {f"Token {TOKEN}"}


async def test_a_second_setup_changes_nothing(influx: FakeInflux) -> None:
    await set_up(influx)
    influx.requests.clear()
    await set_up(influx)
    assert influx.paths() == ["GET /api/v2/buckets"] * 4
    assert [request.query for request in influx.requests] == [
        {"org": ORG, "name": f"occupancy_{width}"} for width in ("1m", "5m", "1h", "1d")
    ]


async def test_only_what_is_missing_is_made(influx: FakeInflux) -> None:
    influx.buckets = [{"name": f"occupancy_{width}", "retentionRules": []} for width in ("1m", "5m", "1d")]
    await set_up(influx)
    made = [json.loads(request.body)["name"] for request in influx.requests if request.method == "POST"]
    assert made == ["occupancy_1h"]


async def test_a_bucket_that_is_not_found_is_made(influx: FakeInflux) -> None:
    influx.prepare(404, 'bucket "occupancy_1m" not found')
    await set_up(influx)
    assert len(influx.buckets) == 4


async def test_a_bucket_that_another_process_has_just_made_is_fine(influx: FakeInflux) -> None:
    influx.buckets = [{"name": f"occupancy_{width}", "retentionRules": []} for width in ("5m", "1h", "1d")]
    influx.prepare(404, "bucket not found")
    influx.prepare(422, "bucket with name occupancy_1m already exists")
    await set_up(influx, org=ORG_ID)
    assert influx.paths()[-1] == "GET /api/v2/buckets"


async def test_another_refusal_of_a_bucket_is_told(influx: FakeInflux) -> None:
    influx.prepare(404, "bucket not found")
    influx.prepare(422, "no more than one retention rule")
    with pytest.raises(Exception, match="no more than one retention rule"):
        await set_up(influx, org=ORG_ID)


async def test_the_organization_may_be_given_by_its_id(influx: FakeInflux) -> None:
    await set_up(influx, org=ORG_ID)
    assert {request.query.get("orgID", ORG_ID) for request in influx.requests} == {ORG_ID}
    assert "GET /api/v2/orgs" not in influx.paths()
    assert len(influx.buckets) == 4


async def test_an_unknown_organization_is_a_setting_that_cannot_work(influx: FakeInflux) -> None:
    with pytest.raises(BadSettings, match="INFLUXDB_V2_ORG: InfluxDB knows no organization 'elsewhere'"):
        await set_up(influx, org="elsewhere")


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_token_is_a_setting_that_cannot_work(influx: FakeInflux, status: int) -> None:
    influx.prepare(status, "unauthorized access")
    with pytest.raises(BadSettings, match="INFLUXDB_V2_TOKEN: InfluxDB refuses it: unauthorized access") as refusal:
        await set_up(influx)
    assert TOKEN not in str(refusal.value)


async def test_a_busy_server_is_unavailable_with_the_wait_it_asks_for(influx: FakeInflux) -> None:
    influx.prepare(503, "starting", **{"Retry-After": "3"})
    with pytest.raises(Unavailable) as refusal:
        await set_up(influx)
    assert refusal.value.retry_after == 3.0
