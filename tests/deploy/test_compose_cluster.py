"""What deploy/compose/redis-cluster.yml makes of the compose file: six members, and services that wait for them."""

import os
from typing import Any

import pytest
import yaml

from tests.containers.compose import compose
from tests.deploy.k8s_manifests import ROOT

MEMBERS = ["redis", "redis-2", "redis-3", "redis-4", "redis-5", "redis-6"]
USERS = ("users", "api-key", "broker", "decoder", "api", "autoscaler", "controller", "broker-next", "api-next")


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    text = compose(
        *("-f", "docker-compose.yml", "-f", "deploy/compose/redis-cluster.yml", "--env-file", "/dev/null"),
        *("--profile", "*", "config", "--format", "json"),
        folder=ROOT,
        environment={"PATH": os.environ["PATH"]},
        seconds=30,
    )
    found: dict[str, Any] = yaml.safe_load(text)["services"]
    return found


def test_six_members_are_alike_and_each_has_a_volume_of_its_own(services: dict[str, Any]) -> None:
    volumes = [{volume["target"]: volume["source"] for volume in services[member]["volumes"]} for member in MEMBERS]
    assert sorted(mounted.pop("/data") for mounted in volumes) == MEMBERS
    assert all(mounted == volumes[0] for mounted in volumes)
    own = {"volumes", "build"}
    members = [{name: value for name, value in services[member].items() if name not in own} for member in MEMBERS]
    assert all(member == members[0] for member in members)
    assert members[0]["read_only"]
    assert members[0]["cap_drop"] == ["ALL"]


def test_services_are_told_of_all_of_them_and_wait_until_they_are_a_cluster(services: dict[str, Any]) -> None:
    where = ",".join(f"{member}:6379" for member in MEMBERS)
    assert services["setup"]["environment"]["REDIS_AT"] == f"redis+cluster://{where}"
    assert services["redis-cluster"]["command"] == ["/etc/campus/make-cluster", *MEMBERS]
    assert set(services["redis-cluster"]["depends_on"]) == set(MEMBERS)
    for user in USERS:
        assert services[user]["depends_on"]["redis-cluster"]["condition"] == "service_completed_successfully"
        assert services[user]["environment"]["PARTITIONS"] == "6"
