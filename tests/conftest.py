"""What every test can ask for: a real Redis, a clock that stands still, a wait with a limit."""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, cast

import pytest
import structlog
from httpx._config import DEFAULT_TIMEOUT_CONFIG
from hypothesis import settings
from redis.asyncio import Redis

from runtime import retry
from tests.influxd.server import InfluxServer, influxd_executable
from tests.missing import missing
from tests.ports import free_port
from tests.redis_servers.executables import redis_executable
from tests.redis_servers.fixtures import (
    away_redis,
    cluster,
    limited_redis,
    redis_client,
    redis_server,
    sentinels,
    service_redis,
    workers_cluster,
    workers_sentinels,
)
from tests.rooms import ROOMS

__all__ = [
    "away_redis",
    "cluster",
    "free_port",
    "limited_redis",
    "missing",
    "redis_client",
    "redis_executable",
    "redis_server",
    "sentinels",
    "service_redis",
    "workers_cluster",
    "workers_sentinels",
]

NOON = 1_772_366_400_000
"""2026-03-01T12:00:00Z in milliseconds since the epoch: the present of tests that stand still."""
RAW, POSITIONS, DEAD, TOTALS = "raw:{0}", "positions:{0}", "dead:{0}", "totals:{0}"
"""Keys of the first partition, as `state.raw` names them."""
WAIT_SECONDS = 60.0
Answer = TypeVar("Answer")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Started in the background of a script: what a test starts would not hear the SIGINT that it is sent.
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Five seconds of httpx's own are short for a system that starts on a machine that is ten times as busy as it should be.
# One object is the default of all its functions.
DEFAULT_TIMEOUT_CONFIG.connect = DEFAULT_TIMEOUT_CONFIG.read = DEFAULT_TIMEOUT_CONFIG.write = WAIT_SECONDS

# The same examples at every run; HYPOTHESIS_PROFILE=explore looks for others.
settings.register_profile("fixed", derandomize=True, deadline=None, database=None)
settings.register_profile("explore", deadline=None, max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fixed"))


ONLY_WHERE_ASKED_FOR = ("containers", "observability", "cluster", "nodes")
"""Marks of tests that take minutes, or need root, servers of others or an engine: `-m containers` asks for them."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what nobody has asked for."""
    unasked = [mark for mark in ONLY_WHERE_ASKED_FOR if mark not in config.option.markexpr]
    left_out = [item for item in items if any(item.get_closest_marker(mark) for mark in unasked)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]


@pytest.fixture(scope="session", autouse=True)
def _loggers_are_not_kept() -> Iterator[None]:
    """A logger asks for its configuration each time: one that a test has set up would keep what others capture."""
    configure = structlog.configure

    def without_cache(**options: Any) -> None:
        configure(**options | {"cache_logger_on_first_use": False})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(structlog, "configure", without_cache)
        yield


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits for a store asks again at once."""
    monkeypatch.setattr(retry, "FOR_STORES", retry.Backoff(initial=0.01, longest=0.01, jitter=0))


@pytest.fixture(autouse=True, scope="module")
def _constants_are_as_they_were() -> Iterator[None]:
    """A test that replaces a constant of the product puts it back, or all that follow on this worker test another one.

    Two `patch` at the same time do not: the one that ends last puts back what the other had put in.
    """
    before = _constants()
    yield
    after = _constants()
    assert {name: after[name] for name in before} == before


def _constants() -> dict[str, object]:
    return {
        f"{name}.{member}": value
        for name, module in list(sys.modules.items())
        if name.partition(".")[0] in ROOMS
        for member, value in vars(module).items()
        if member.isupper() and isinstance(value, (int, float, str, bytes, tuple))
    }


def holds(probe: Callable[[], object]) -> Callable[[], Awaitable[bool]]:
    """A probe for `eventually` of one that does not wait."""

    async def found() -> bool:
        return bool(probe())

    return found


async def eventually(probe: Callable[[], Awaitable[Answer]], *, limit: float = WAIT_SECONDS) -> Answer:
    """The first true answer of `probe`, asked again and again; fails after `limit` seconds."""
    async with asyncio.timeout(limit):
        while not (answer := await probe()):  # noqa: ASYNC110 - other processes set no event of ours
            await asyncio.sleep(0.02)
    return answer


@pytest.fixture
def new_influxd(tmp_path: Path) -> Iterator[InfluxServer]:
    """An InfluxDB of this test's own, which it may kill; started already, and empty."""
    with running_influxd(tmp_path / "influxd") as server:
        yield server


@pytest.fixture(scope="session")
def influxd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InfluxServer]:
    """An InfluxDB of this worker's own: a test takes a bucket prefix that is its own."""
    with running_influxd(tmp_path_factory.mktemp("influxd") / "influxd") as server:
        yield server


@contextmanager
def running_influxd(folder: Path) -> Iterator[InfluxServer]:
    """An InfluxDB with its data in a new `folder`."""
    executable = influxd_executable()
    if executable is None:
        missing("influxd", "make influxd builds it (Go, Rust), or INFLUXD names one of version 2.7")
    folder.mkdir()
    server = InfluxServer(executable, folder)
    try:
        server.start()
        yield server
    finally:
        server.kill()


async def entries(client: Redis, stream: str) -> list[dict[bytes, bytes]]:
    """The fields of all entries of a stream, the oldest first."""
    found = await client.xrange(stream)
    return [cast("dict[bytes, bytes]", fields) for _, fields in found or []]
