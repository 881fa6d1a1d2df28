"""Six servers with the configuration and the users of a compose run, and what makes a cluster of them."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import NoPermissionError, RedisError

from deploy.compose.make_secrets import files, made
from runtime.settings import CommonSettings
from state.client import open_redis
from state.durability import Durability, check_durability
from state.server import check_redis, masters
from state.slots import tag
from tests.conftest import missing
from tests.deploy.k8s_manifests import ROOT
from tests.redis_servers.process import free_ports, until

COMPOSE = ROOT / "deploy" / "compose"
ROLES = ["car", "gateway", "app"]
SECRETS = {name: f"{name.replace('_', '-')}-of-a-test" for name in made(ROLES)}
WELL = "the cluster is well: 3 masters, 6 members\n"


class Member:
    """A server with the files of a compose run, in a folder of its own."""

    def __init__(self, folder: Path, port: int, secrets: Path) -> None:
        self.port = port
        text = "\n".join(
            [
                (COMPOSE / "redis.conf").read_text().replace("bind * -::*", "bind 127.0.0.1"),
                "include /run/secrets/replication.conf",
                (COMPOSE / "redis-cluster.conf").read_text(),
                f"port {port}\ncluster-node-timeout 1500\n",
            ]
        )
        folder.mkdir()
        self._config = folder / "redis.conf"
        self._config.write_text(text.replace("/data", str(folder)).replace("/run/secrets", str(secrets)))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        server = shutil.which("redis-server") or missing("redis-server", "apt install redis-server")
        self._process = subprocess.Popen([server, self._config], stdout=subprocess.DEVNULL)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(30)

    def told(self, command: str) -> str:
        """What it answers to who makes the cluster; nothing where it is away."""
        try:
            with Redis(port=self.port, username="cluster", password=SECRETS["redis_cluster_password"]) as client:
                return str(client.execute_command(command))
        except RedisError:
            return ""


@pytest.fixture
def members(tmp_path: Path) -> Iterator[list[Member]]:
    if shutil.which("redis-cli") is None:
        missing("redis-cli", "apt install redis-tools")
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    for name, content in files(SECRETS, ROLES, demo=True, redis_version="7.0")["redis"].items():
        (secrets / name).write_text(content)
    found = [Member(tmp_path / str(port), port, secrets) for port in free_ports(6)]
    try:
        for member in found:
            member.start()
        yield found
    finally:
        for member in found:
            member.kill()


def make(members: list[Member], tmp_path: Path) -> str:
    ended = subprocess.run(
        [COMPOSE / "make-cluster", *(f"localhost:{member.port}" for member in members)],
        env={**os.environ, "CLUSTER_PASSWORD_FILE": str(tmp_path / "secrets" / "cluster-password"), "TRIES": "60"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


async def test_six_servers_are_a_cluster_that_services_may_use(members: list[Member], tmp_path: Path) -> None:
    assert make(members, tmp_path) == WELL
    where = ",".join(f"localhost:{member.port}" for member in members)
    url = files(SECRETS, ROLES, demo=True, redis_at=f"redis+cluster://{where}")["migrate"]["REDIS_URL"]
    keys = [f"a:{tag(partition, 6)}" for partition in range(6)]
    async with open_redis(CommonSettings(redis_url=url)) as client:
        await check_redis(client)
        assert len(await masters(client)) == 3
        script = client.register_script("return redis.call('INCR', KEYS[1])")
        assert [await script(keys=[key]) for key in keys] == [1] * 6
        # Replicas have logged in at their masters.
        await check_durability(client, Durability.REPLICATED)
    # After a failover it changes nothing, for all is as it should be.
    members[0].kill()
    until(lambda: "myself,master" in members[3].told("CLUSTER NODES"), "its replica has taken over")
    members[0].start()
    assert make(members, tmp_path) == WELL
    async with open_redis(CommonSettings(redis_url=url)) as client:
        assert [await client.get(key) for key in keys] == [b"1"] * 6


async def test_who_makes_the_cluster_reads_nothing_in_it(members: list[Member]) -> None:
    until(lambda: members[0].told("CLUSTER INFO"), "it answers")
    with (
        Redis(port=members[0].port, username="cluster", password=SECRETS["redis_cluster_password"]) as client,
        pytest.raises(NoPermissionError),
    ):
        client.get("a")
