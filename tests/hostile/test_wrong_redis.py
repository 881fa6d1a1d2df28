"""A Redis that would drop what it was given: at the start, and put in the place of the right one later."""

import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.conftest import free_port
from tests.e2e.system import ROOT
from tests.hostile.conftest import OwnRedis
from tests.hostile.running import Hostile, device

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
DROPS = ("--maxmemory", "50mb", "--maxmemory-policy", "allkeys-lru")


@pytest.mark.parametrize("service", ["broker", "decoder", "api"])
def test_no_service_starts_with_it(own_redis: Callable[..., OwnRedis], service: str, tmp_path: object) -> None:
    redis = own_redis(*DROPS)
    settings = {"REDIS_URL": redis.url, "BROKER_PORT": str(free_port()), "API_PORT": str(free_port())}
    ended = subprocess.run(
        [sys.executable, "-m", service],
        cwd=ROOT,
        env={**os.environ, **settings, "DATA_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert ended.returncode == 2, ended.stdout + ended.stderr
    assert "set `maxmemory-policy noeviction`" in ended.stderr
    assert "Traceback" not in ended.stdout + ended.stderr


def test_one_that_takes_the_place_of_the_right_one_gets_nothing(
    own_redis: Callable[..., OwnRedis], start_system: Callable[..., Hostile]
) -> None:
    redis = own_redis()
    system = start_system(REDIS_URL=redis.url)
    with device(system, "before") as phones:
        phones.publish(20)
        system.wait(lambda: phones.acknowledged == 20, "20 positions are acknowledged")
        with redis.client() as client:
            # As a Redis is that was started with these settings; the data are the same.
            client.config_set("maxmemory", "50mb")
            client.config_set("maxmemory-policy", "allkeys-lru")
            for service in ("broker-1", "broker-2", "decoder", "api"):
                system.until_waiting(service, "maxmemory-policy noeviction")
            phones.publish(20)
            system.wait(lambda: phones.sent == 40, "20 more are on their way")
            assert phones.acknowledged == 20
            client.config_set("maxmemory-policy", "noeviction")
        system.wait(lambda: phones.acknowledged == 40, "all positions are acknowledged")
    system.until_ready()
    system.until_worked_off()
    assert system.documents() == 40
    system.check_nobody_died()
