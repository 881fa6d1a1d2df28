"""The InfluxDB of the tests is the one that people run."""

import pytest

from tests.influxd.server import InfluxServer

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
