"""Starting what is measured: the API over a Redis and a store of its own, and its peers."""

import http.client
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.api.load import HOST
from tests.ports import free_port

ROOT = Path(__file__).parents[2]
START_SECONDS = 30.0
STOP_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Served:
    """A process that answers."""

    port: int
    pid: int
    path: str


@contextmanager
def api(redis_url: str, folder: Path) -> Iterator[Served]:
    """The API as it is run, with every middleware; its limit of requests is too high to be met."""
    port = free_port()
    settings = {
        "API_PORT": str(port),
        "API_RATE_LIMIT": "1000000",
        "API_RATE_BURST": "1000000",
        "REDIS_URL": redis_url,
        "DATA_DIR": str(folder),
        # Nobody sends positions meanwhile: they are to stay.
        "PRESENCE_TTL": "86400",
        "LOG_LEVEL": "warning",
    }
    with _process(["-m", "api"], port, "/v1/occupancy", settings) as served:
        yield served


@contextmanager
def constant(size: int, *, middlewares: bool) -> Iterator[Served]:
    """A constant of so many bytes (`bench.api.constant`)."""
    port = free_port()
    options = ["--middlewares"] if middlewares else []
    with _process(["-m", "bench.api.constant", str(port), str(size), *options], port, "/constant", {}) as served:
        yield served


@contextmanager
def _process(arguments: Sequence[str], port: int, path: str, settings: Mapping[str, str]) -> Iterator[Served]:
    process = subprocess.Popen(  # noqa: S603 - our own, with arguments of our own
        [sys.executable, *arguments], cwd=ROOT, env={**os.environ, **settings}
    )
    try:
        until = time.monotonic() + START_SECONDS
        while not _answers(port, path):
            if process.poll() is not None or time.monotonic() > until:
                raise SystemExit(f"it did not start: python {' '.join(arguments)}")
            time.sleep(0.05)
        yield Served(port, process.pid, path)
    finally:
        process.terminate()
        process.wait(STOP_SECONDS)


def _answers(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection(HOST, port, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.HTTPStatus.OK
    except OSError:
        return False
    finally:
        connection.close()


def body_size(served: Served) -> int:
    """Bytes of the body that is answered now."""
    connection = http.client.HTTPConnection(HOST, served.port, timeout=5)
    try:
        connection.request("GET", served.path)
        answer = connection.getresponse()
        if answer.status != http.HTTPStatus.OK:
            raise SystemExit(f"{served.path} answers {answer.status}")
        return len(answer.read())
    finally:
        connection.close()
