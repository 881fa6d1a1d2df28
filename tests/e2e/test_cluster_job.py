"""The main job on a Redis Cluster, while a master is killed and a slot moves to another one."""

import subprocess
import sys
from pathlib import Path

import pytest

from state.commands import slot_of
from state.slots import partition_of, tag
from tests.e2e.system import BUS, ROOT, start
from tests.redis_servers.cluster import RedisCluster

MQTT = "{mqtt}"

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]
PARTITIONS = 16


def test_a_master_is_killed_and_slots_move_while_the_bus_drives_and_nothing_is_lost_or_counted_twice(
    cluster: RedisCluster, tmp_path: Path
) -> None:
    system = start(
        tmp_path / "data", REDIS_URL=cluster.url, PARTITIONS=str(PARTITIONS), DURABILITY="replicated", PRESENCE_TTL="4"
    )
    try:
        # Of half an hour's drive: time enough for what happens meanwhile.
        replay = subprocess.Popen(
            [sys.executable, "-m", "simulator", "replay", str(BUS), "--kind", "car", "--speed", "100"],
            cwd=ROOT,
            env=system.environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        own = f"raw:{tag(partition_of(BUS.stem, PARTITIONS), PARTITIONS)}"
        gone = cluster.kill_master_of(own)
        cluster.until_taken_over(gone)
        gone.start()
        cluster.until_well()
        for key in (own, MQTT):
            cluster.move_slot(slot_of(key), cluster.other_master(key))
        told, _ = replay.communicate(timeout=120)
        assert "sent 2144, acknowledged 2144" in told
        system.wait_until_done(60)
        assert system.run("documents", "count").stdout.strip() == "80"
        history = system.get(
            "/v1/zones/campus/occupancy/history",
            kind="car",
            window="5m",
            start="2019-02-18T08:55:00Z",
            end="2019-02-18T09:05:00Z",
        ).json()
        assert [(point["start"], point["devices"]) for point in history["points"]] == [
            ("2019-02-18T08:55:00Z", 1),
            ("2019-02-18T09:00:00Z", 1),
        ]
    finally:
        code = system.stop()
    assert code == 0, system.text
    assert "Traceback" not in system.text
