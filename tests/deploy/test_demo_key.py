import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from deploy.laptop.demo_key import demo_key
from deploy.laptop.settings import LaptopSettings

DEMO_KEY = "demo-api-key"
API_KEYS = "api-keys:{campus}"

Start = Callable[[], list[str]]


@pytest.fixture
def start(laptop: LaptopSettings, environment: dict[str, str], tmp_path: Path) -> Start:
    """What a start says of the demo key."""
    return lambda: demo_key(laptop, folder=tmp_path, environment=environment, show=True)


def test_the_first_start_makes_a_key_and_prints_it_and_later_ones_say_where_it_is(
    client: redis.Redis, start: Start, tmp_path: Path
) -> None:
    head, key = start()
    file = tmp_path / DEMO_KEY

    assert str(file) in head
    assert file.read_text().strip() == key.strip()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    [value] = client.hgetall(API_KEYS).values()
    assert b'"admin"' in value
    assert key.strip().encode() not in value
    [again] = start()
    assert str(file) in again
    assert key.strip() not in again
    assert client.hlen(API_KEYS) == 1


def test_where_nobody_sits_at_a_terminal_the_key_is_not_printed(
    laptop: LaptopSettings, environment: dict[str, str], tmp_path: Path
) -> None:
    [line] = demo_key(laptop, folder=tmp_path, environment=environment, show=False)
    file = tmp_path / DEMO_KEY
    assert str(file) in line
    assert file.read_text().strip() not in line


def test_a_key_that_was_removed_stays_away_until_its_file_is_removed_too(
    client: redis.Redis, start: Start, tmp_path: Path
) -> None:
    start()
    client.delete(API_KEYS)

    [told] = start()

    assert "removed" in told
    assert not client.exists(API_KEYS)
    (tmp_path / DEMO_KEY).unlink()
    start()
    assert client.hlen(API_KEYS) == 1


def test_a_key_that_cannot_be_made_is_told_of_and_stops_nothing(redis_server: str, tmp_path: Path) -> None:
    settings = LaptopSettings(redis_url=redis_server, data_dir=tmp_path)
    environment = {**os.environ, "REDIS_URL": f"unix://{tmp_path}/nobody.sock"}

    [told] = demo_key(settings, folder=tmp_path, environment=environment, show=True)

    assert told.startswith("the API key could not be made: ")
    assert not (tmp_path / DEMO_KEY).exists()
