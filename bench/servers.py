"""Servers that nobody else uses."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry


@contextmanager
def redis_server(folder: Path) -> Iterator[str]:
    """A Redis on a socket in `folder`; its address."""
    executable = shutil.which("redis-server")
    if not executable:
        raise SystemExit("redis-server is missing: install Debian's redis-server")
    path = folder / "redis.sock"
    process = subprocess.Popen(  # noqa: S603 - found on the PATH, with arguments of our own
        [executable, "--port", "0", "--unixsocket", str(path), "--save", "", "--dir", str(folder)],
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
