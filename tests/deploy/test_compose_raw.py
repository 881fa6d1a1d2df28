"""What deploy/compose/redis-raw.yml makes of the compose file: a second Redis, like the first, for `raw` alone."""

import os

import yaml

from tests.containers.compose import compose
from tests.deploy.k8s_manifests import ROOT


def test_a_second_redis_is_like_the_first_and_whoever_uses_it_waits_for_it() -> None:
    text = compose(
        *("-f", "docker-compose.yml", "-f", "deploy/compose/redis-raw.yml", "--env-file", "/dev/null"),
        *("--profile", "*", "config", "--format", "json"),
        folder=ROOT,
        environment={"PATH": os.environ["PATH"]},
        seconds=30,
    )
    services = yaml.safe_load(text)["services"]
    assert services["setup"]["environment"]["RAW_REDIS_AT"] == "redis://redis-raw:6379/0"
    own = {"volumes", "build"}
    first, second = (
        {name: value for name, value in services[which].items() if name not in own} for which in ("redis", "redis-raw")
    )
    assert first == second
    assert {volume["source"] for volume in services["redis-raw"]["volumes"]} >= {"redis-raw"}
    for user in ("broker", "decoder", "api", "autoscaler", "controller", "broker-next", "api-next"):
        assert services[user]["depends_on"]["redis-raw"]["condition"] == "service_healthy"
