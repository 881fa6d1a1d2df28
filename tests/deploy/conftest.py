"""A laptop whose environment sets nothing."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from deploy.laptop.settings import LaptopSettings

WAIT_SECONDS = 60.0


@pytest.fixture(autouse=True)
def _nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in LaptopSettings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def client(redis_server: str) -> redis.Redis:
    """A client of an empty Redis."""
    made = redis.Redis.from_url(redis_server)
    made.flushall()
    return made


@pytest.fixture
def laptop(client: redis.Redis, redis_server: str, tmp_path: Path) -> LaptopSettings:
    """A laptop with that Redis, whose data are in the test's folder."""
    assert client.ping()
    return LaptopSettings(redis_url=redis_server, data_dir=tmp_path)


@pytest.fixture
def environment(laptop: LaptopSettings) -> dict[str, str]:
    """What the processes of that laptop are given."""
    return {**os.environ, "REDIS_URL": laptop.redis_address}


def wait_until(true: Callable[[], bool], *, limit: float = WAIT_SECONDS) -> None:
    """Return as soon as `true` is; fails after `limit` seconds."""
    give_up = time.monotonic() + limit
    while not true():
        assert time.monotonic() < give_up, "what the test waits for did not happen"
        time.sleep(0.02)
