"""One `redis-server` that can be killed, paused and started again."""

import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from random import SystemRandom
from typing import Any, TypeVar, cast

import redis

from tests.watchdog import watched

LIMIT_SECONDS = 30.0
HOST = "127.0.0.1"
_BUS = 10_000
"""A member of a cluster also listens on its port and so many."""
_PORTS = range(10_000, 22_000)
"""Neither these nor those of the bus are among the ones that the kernel gives to connections."""
Answer = TypeVar("Answer")


def until(probe: Callable[[], Answer], what: str, *, limit: float = LIMIT_SECONDS) -> Answer:
    """The first true answer of `probe`, asked again and again; fails with `what` after `limit` seconds."""
    end = time.monotonic() + limit
    while not (answer := probe()):
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {limit:.0f} s")
        time.sleep(0.02)
    return answer


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, and whose bus ports nobody listens on either."""
    found: list[int] = []
    random = SystemRandom()
    while len(found) < count:
        port = random.choice(_PORTS)
        if port not in found and _is_free(port) and _is_free(port + _BUS):
            found.append(port)
    return found


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


class RedisProcess:
    """A server on a port of 127.0.0.1, with its files in `folder`; it keeps both when it is started again."""

    def __init__(self, executable: str, folder: Path, port: int, *settings: str, config: str | None = None) -> None:
        """`settings` are further arguments; `config` is a file that the server may rewrite, as sentinels do."""
        self.port = port
        self.folder = folder
        self.killed = 0
        """How often it was ended by `kill`."""
        folder.mkdir(parents=True, exist_ok=True)
        self._log = folder / "redis.log"
        arguments = ["--port", str(port), "--bind", HOST, "--dir", str(folder), "--logfile", str(self._log)]
        if config is None:
            self._command = [executable, *arguments, "--save", "", *settings]
        else:
            path = folder / "server.conf"
            path.write_text(config, encoding="utf-8")
            self._command = [executable, str(path), *settings]
        self._process: subprocess.Popen[bytes] | None = None
        self._paused = False

    @property
    def address(self) -> str:
        """Host and port."""
        return f"{HOST}:{self.port}"

    @property
    def is_running(self) -> bool:
        """Whether its process lives, paused or not."""
        return self._process is not None and self._process.poll() is None

    @property
    def is_up(self) -> bool:
        """Whether it lives, and is not paused."""
        return self.is_running and not self._paused

    def start(self) -> None:
        """Start it where it does not run, and return once it takes connections."""
        if not self.is_running:
            self._process = watched(subprocess.Popen(self._command, stdout=subprocess.DEVNULL))
            self._paused = False
        until(self._answers, f"redis-server on {self.port} answers")

    def kill(self) -> None:
        """End it with SIGKILL, paused or not; nothing where it has ended."""
        if self._process is not None and self.is_running:
            self._process.kill()
            self.killed += 1
            self._process.wait(LIMIT_SECONDS)

    def stop(self) -> None:
        """End it as an operator does."""
        if self._process is not None and self.is_running:
            self.resume()
            self._process.terminate()
            try:
                self._process.wait(LIMIT_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(LIMIT_SECONDS)

    def pause(self) -> None:
        """Let it stand still, with its connections open, as a machine without time does."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)
            self._paused = True

    def resume(self) -> None:
        """Let it go on."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._paused = False

    def command(self, *arguments: object, **options: Any) -> Any:  # noqa: ANN401 - whatever Redis answers
        """The answer of this very server, as text."""
        with self.client() as client:
            return client.execute_command(*cast("tuple[str, ...]", arguments), **options)

    def client(self) -> redis.Redis:
        """A client of this very server, which follows nobody elsewhere; answers are text."""
        return redis.Redis(host=HOST, port=self.port, decode_responses=True, socket_timeout=5, socket_connect_timeout=5)

    def info(self, section: str) -> dict[str, str]:
        """A section of what it says of itself; also of `CLUSTER INFO`, by the name `cluster info`."""
        with self.client() as client:
            if section == "cluster info":
                return cast("dict[str, str]", client.execute_command("CLUSTER INFO"))
            return {name: str(value) for name, value in cast("dict[str, Any]", client.info(section)).items()}

    def told(self) -> str:
        """The end of its log."""
        return self._log.read_text(encoding="utf-8")[-4000:] if self._log.exists() else "it has no log"

    def _answers(self) -> bool:
        assert self.is_running, self.told()
        try:
            return bool(self.command("PING"))
        except redis.RedisError:
            return False
