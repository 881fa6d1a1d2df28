"""One Redis, on a socket that nobody else can reach."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import redis

from tests.redis_servers.process import LIMIT_SECONDS, until
from tests.watchdog import watched


@contextmanager
def single_redis(executable: str, *settings: str) -> Iterator[str]:
    """A running one, with further `settings`; its address."""
    # Not tmp_path: a socket's path may have 107 bytes at the most.
    with TemporaryDirectory(prefix="campus-redis-") as folder:
        path = Path(folder) / "redis.sock"
        process = watched(
            subprocess.Popen(
                [executable, "--port", "0", "--unixsocket", str(path), "--save", "", "--dir", folder, *settings],
                stdout=subprocess.DEVNULL,
            )
        )
        try:
            url = f"unix://{path}"
            with redis.Redis.from_url(url) as client:

                def answers() -> bool:
                    assert process.poll() is None, f"{executable} ended"
                    try:
                        return bool(client.ping())
                    except redis.RedisError:
                        return False

                until(answers, f"{executable} answers")
            yield url
        finally:
            process.terminate()
            process.wait(LIMIT_SECONDS)
