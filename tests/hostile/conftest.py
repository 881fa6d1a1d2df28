"""The system under attack, a disk with little room, and a Redis that may be broken."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import redis

from tests.conftest import missing, redis_executable
from tests.e2e.system import wait_for
from tests.hostile.running import Hostile, running
from tests.watchdog import watched

MIB = 1024 * 1024


@contextmanager
def short_folder() -> Iterator[Path]:
    """A new folder; not tmp_path, for the path of a socket may have 107 bytes at the most."""
    folder = Path(tempfile.mkdtemp(prefix="campus-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def start_system() -> Iterator[Callable[..., Hostile]]:
    """Starts a system with settings of its own, in `folder` if one is named; it ends with the test."""
    with ExitStack() as stack:

        def start(folder: Path | None = None, **settings: str) -> Hostile:
            return stack.enter_context(running(folder or stack.enter_context(short_folder()), **settings))

        yield start


@pytest.fixture(scope="module")
def system() -> Iterator[Hostile]:
    """One system for all attacks of a file, each of which must leave it as it was."""
    with short_folder() as folder, running(folder) as started:
        yield started


class SmallDisk:
    """A file system of its own, in memory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def resize(self, mebibytes: float) -> None:
        """Give it more room, or less."""
        subprocess.run(
            ["mount", "-o", f"remount,size={int(mebibytes * MIB)}", str(self.folder)], check=True, capture_output=True
        )

    @property
    def free(self) -> int:
        """Bytes that are left."""
        return shutil.disk_usage(self.folder).free

    def fill(self, leave: int = 0) -> Path:
        """Fill it with a file of somebody else's, but for `leave` bytes; the file."""
        path = self.folder / "foreign"
        with path.open("ab") as file:
            try:
                while (room := self.free - leave) > 0:
                    file.write(b"\0" * min(room, MIB))
                    file.flush()
            except OSError:
                pass
        return path


@pytest.fixture
def small_disk() -> Iterator[Callable[[float], SmallDisk]]:
    """Makes a disk of so many MiB. Only root may: CI does."""
    if os.geteuid() != 0:
        missing("a disk of its own", "only root can mount one")
    with ExitStack() as stack:

        def make(mebibytes: float) -> SmallDisk:
            folder = stack.enter_context(short_folder())
            subprocess.run(
                ["mount", "-t", "tmpfs", "-o", f"size={int(mebibytes * MIB)}", "tmpfs", str(folder)],
                check=True,
                capture_output=True,
            )
            stack.callback(subprocess.run, ["umount", "--lazy", str(folder)], check=True)
            return SmallDisk(folder)

        yield make


class OwnRedis:
    """A Redis that a test may break, stop and start again."""

    def __init__(self, folder: Path, arguments: tuple[str, ...]) -> None:
        self._folder = folder
        self._arguments = arguments
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"unix://{folder / 'r.sock'}"

    def client(self) -> redis.Redis:
        """A client of it."""
        return redis.Redis.from_url(self.url, socket_timeout=60)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        command = [
            redis_executable(),
            *("--port", "0", "--unixsocket", str(self._folder / "r.sock"), "--dir", str(self._folder)),
            *("--save", "", "--appendonly", "yes"),
            *self._arguments,
        ]
        self._process = watched(subprocess.Popen(command, stdout=subprocess.DEVNULL))

        def answers() -> bool:
            try:
                with self.client() as client:
                    return bool(client.ping())
            except redis.ResponseError:
                return True
            except redis.RedisError:
                return False

        wait_for(answers, "Redis answers")

    def kill(self) -> None:
        """End it at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()


@pytest.fixture
def own_redis() -> Iterator[Callable[..., OwnRedis]]:
    """Starts a Redis with arguments of the test's, for REDIS_URL: `own_redis("--maxmemory", "20mb").url`."""
    with ExitStack() as stack:

        def make(*arguments: str) -> OwnRedis:
            server = OwnRedis(stack.enter_context(short_folder()), arguments)
            stack.callback(server.kill)
            server.start()
            return server

        yield make
