"""InfluxDB itself is killed, its disk is full, its token is taken away, a bucket is removed: during traffic."""

from collections.abc import Callable

import pytest

from tests.conftest import running_influxd
from tests.hostile.conftest import SmallDisk
from tests.hostile.running import Hostile, device
from tests.influxd.server import InfluxServer

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]
DEVICES = 400
"""Of each part of the traffic; each device is seen once."""
LEASE_SECONDS = 240.0
"""A write without an answer is left alone for a minute, and may have had to be waited for before."""
BUCKETS = ["occupancy_1m", "occupancy_5m", "occupancy_1h", "occupancy_1d"]


def devices_stored(server: InfluxServer, *buckets: str) -> dict[str, int]:
    """Devices of the whole campus, summed over the windows of each width: no device is in two windows."""
    query = """from(bucket: "{}") |> range(start: 0)
        |> filter(fn: (r) => r._measurement == "occupancy" and r.zone == "campus" and r.kind == "mobile") |> sum()"""
    return {bucket: sum(int(row["_value"]) for row in server.rows(query.format(bucket))) for bucket in buckets}


def check_all_is_there(system: Hostile, server: InfluxServer, devices: int) -> None:
    """Every device that was acknowledged is counted in the series, and is a document; and nobody has died."""
    system.wait(lambda: system.readyz("decoder") == "ready", "the decoder is ready", LEASE_SECONDS)
    system.until_worked_off()
    assert devices_stored(server, *BUCKETS) == dict.fromkeys(BUCKETS, devices)
    assert system.documents() == devices
    system.check_nobody_died()


def test_influxdb_is_killed_during_traffic_and_all_is_there_when_it_is_back(
    start_system: Callable[..., Hostile], new_influxd: InfluxServer
) -> None:
    system = start_system(**new_influxd.environment)
    with device(system, "phones") as phones:
        phones.publish(DEVICES)
        system.wait(lambda: phones.acknowledged > DEVICES // 4, "traffic flows")
        new_influxd.kill()
        system.until_waiting("decoder", "InfluxDB does not answer")
        system.wait(lambda: phones.acknowledged == DEVICES, "all are acknowledged")
        phones.publish(DEVICES)
        system.wait(lambda: phones.acknowledged == 2 * DEVICES, "nobody waits for InfluxDB")
        new_influxd.start()
    check_all_is_there(system, new_influxd, 2 * DEVICES)


def test_the_disk_of_influxdb_is_full_during_traffic_and_all_is_there_when_it_has_room(
    start_system: Callable[..., Hostile], small_disk: Callable[[float], SmallDisk]
) -> None:
    disk = small_disk(64)
    with running_influxd(disk.folder / "influxd") as server:
        system = start_system(**server.environment)
        with device(system, "phones") as phones:
            phones.publish(50)
            system.wait(lambda: phones.acknowledged == 50, "traffic flows")
            system.until_worked_off()
            filled = disk.fill()

            def is_full() -> bool:
                phones.publish(1)
                return "no space left on device" in system.readyz("decoder")

            system.wait(is_full, "the decoder says that the disk is full")
            assert "make room, and restart InfluxDB" in system.readyz("decoder")
            phones.publish(50)
            system.wait(lambda: phones.acknowledged == phones.sent, "nobody waits for InfluxDB")
            filled.unlink()
            # It would go on saying that its disk is full: a write-ahead log that has failed is never tried again.
            server.stop()
            server.start()
        check_all_is_there(system, server, phones.sent)


def test_a_token_that_is_taken_away_and_given_back_costs_nothing(
    start_system: Callable[..., Hostile], new_influxd: InfluxServer
) -> None:
    settings, authorization = new_influxd.new_token()
    system = start_system(**settings)
    with device(system, "phones") as phones:
        phones.publish(50)
        system.wait(lambda: phones.acknowledged == 50, "traffic flows")
        new_influxd.ask("PATCH", f"/api/v2/authorizations/{authorization}", {"status": "inactive"})
        phones.publish(50)
        system.until_waiting("decoder", "InfluxDB refuses INFLUXDB_V2_TOKEN")
        new_influxd.ask("PATCH", f"/api/v2/authorizations/{authorization}", {"status": "active"})
    check_all_is_there(system, new_influxd, 100)


def test_a_bucket_that_is_removed_keeps_no_other_waiting_and_setup_brings_it_back(
    start_system: Callable[..., Hostile], new_influxd: InfluxServer
) -> None:
    system = start_system(**new_influxd.environment)
    with device(system, "phones") as phones:
        new_influxd.ask("DELETE", f"/api/v2/buckets/{new_influxd.buckets()['occupancy_1m']['id']}")
        phones.publish(50)
        system.until_waiting("decoder", "InfluxDB lacks a bucket")
        system.wait(lambda: phones.acknowledged == 50, "all are acknowledged")

        others = dict.fromkeys(BUCKETS[1:], 50)
        system.wait(lambda: devices_stored(new_influxd, *others) == others, "the other widths are written")
        assert system.system.run("timeseries", "setup").returncode == 0
    check_all_is_there(system, new_influxd, 50)
