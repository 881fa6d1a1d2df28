"""Servers that nobody else uses."""

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis
import requests
import urllib3
from redis.backoff import ConstantBackoff
from redis.retry import Retry
from requests.adapters import HTTPAdapter

POUCHDB = Path(__file__).parents[1] / "tests" / "node" / "node_modules" / ".bin" / "pouchdb-server"


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
def pouchdb_server(folder: Path) -> Iterator[str]:
    """The pouchdb-server of the tests, in memory; its address."""
    if not (POUCHDB.exists() and shutil.which("node")):
        raise SystemExit("pouchdb-server is missing: install Node.js, then npm ci --prefix tests/node")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(  # noqa: S603 - our own, with arguments of our own
        [POUCHDB, "--in-memory", "--no-stdout-logs", "--host", "127.0.0.1", "--port", str(port)],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        with requests.Session() as session:
            # Nobody listens yet: connecting fails at once, and is tried again.
            session.mount(
                url,
                HTTPAdapter(max_retries=urllib3.Retry(total=None, connect=300, backoff_factor=0.05, backoff_max=0.1)),
            )
            session.get(url, timeout=10).raise_for_status()
        yield url
    finally:
        process.terminate()
        process.wait(10)
