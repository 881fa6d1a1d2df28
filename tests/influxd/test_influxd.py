"""The InfluxDB of the tests is the one that people run."""

import uuid

import pytest

from tests.influxd.server import InfluxServer
from timeseries.influx import InfluxOccupancyStore

pytestmark = pytest.mark.e2e


def test_it_is_influxdb_2_7(influxd: InfluxServer) -> None:
    health = influxd.ask("GET", "/health")
    assert (health["status"], health["version"]) == ("pass", "v2.7.12")


def test_a_server_of_one_s_own_is_killed_and_comes_back_with_what_it_had(new_influxd: InfluxServer) -> None:
    before = set(new_influxd.buckets())
    assert "unused" in before
    new_influxd.kill()
    new_influxd.start()
    assert set(new_influxd.buckets()) == before


async def test_buckets_are_kept_in_years_also_those_that_were_there(influxd: InfluxServer) -> None:
    """In weeks, as InfluxDB has it by itself, five years would take a gigabyte of memory."""
    prefix = f"years-{uuid.uuid4().hex[:12]}"
    [organization] = influxd.ask("GET", f"/api/v2/orgs?org={influxd.org}")["orgs"]
    earlier = {"orgID": organization["id"], "name": f"{prefix}_1m", "retentionRules": [{"everySeconds": 604_800}]}
    influxd.ask("POST", "/api/v2/buckets", earlier)
    async with InfluxOccupancyStore(
        url=influxd.url, org=influxd.org, token=influxd.token, bucket_prefix=prefix
    ) as store:
        for _ in range(2):
            await store.setup()
            rules = [bucket["retentionRules"] for name, bucket in influxd.buckets().items() if prefix in name]
            assert rules == [[{"type": "expire", "everySeconds": 0, "shardGroupDurationSeconds": 364 * 86_400}]] * 5
