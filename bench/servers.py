"""Servers that nobody else uses."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry

from tests.couchdb.double import CouchDouble, is_there


@contextmanager
def redis_server(folder: Path, *settings: str) -> Iterator[str]:
    """A Redis on a socket in `folder`, with further `settings` such as "--appendonly", "yes"; its address."""
    executable = shutil.which("redis-server")
    if not executable:
        raise SystemExit("redis-server is missing: install Debian's redis-server")
    path = folder / "redis.sock"
    process = subprocess.Popen(  # noqa: S603 - found on the PATH, with arguments of our own
        [executable, "--port", "0", "--unixsocket", str(path), "--save", "", "--dir", str(folder), *settings],
        stdout=subprocess.DEVNULL,
    )
    try:
        # Without a socket yet, connecting fails at once, and is tried again.
        retry = Retry(ConstantBackoff(0.05), 200)
        with redis.Redis(unix_socket_path=str(path), retry=retry, retry_on_error=[redis.ConnectionError]) as client:
            client.ping()
        yield f"unix://{path}"
    finally:
        process.terminate()
        process.wait(10)


@contextmanager
def couchdb_double() -> Iterator[CouchDouble]:
    """The double of CouchDB of the tests, in memory."""
    if not is_there():
        raise SystemExit("the double of CouchDB is missing: install Node.js, then npm ci --prefix tests/node")
    with CouchDouble() as double:
        yield double
