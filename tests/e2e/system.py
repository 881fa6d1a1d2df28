"""The whole system, started as a user starts it, on ports and a data directory of its own."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO, cast
from urllib.parse import quote

import httpx
import redis

from state.dirty_windows import waiting_keys
from state.slots import tag
from tests.conftest import free_port
from tests.redis_servers.chosen import chosen, chosen_redis
from tests.redis_servers.clients import blocking_client_of
from tests.watchdog import watched

ROOT = Path(__file__).parents[2]
START_SECONDS = 300.0
STOP_SECONDS = 60.0
"""How long a stop may take, on a machine that is twenty times as busy as it should be."""
BUS = ROOT / "simulator" / "recordings" / "bus-304-to-university-of-limerick-2019-02-18.gpx"


def wait_for(probe: Any, what: str, limit: float = 30.0) -> Any:  # noqa: ANN401 - whatever the probe answers
    """The first true answer of `probe`; fails with `what` after `limit` seconds."""
    until = time.monotonic() + limit
    while not (answer := probe()):
        if time.monotonic() > until:
            raise AssertionError(f"{what}: not within {limit} s")
        time.sleep(0.05)
    return answer


def owners_url(data_dir: Path) -> str:
    """The Redis of a laptop run, for the user who may do everything."""
    password = (data_dir / "secrets" / "redis" / "owner").read_text().strip()
    return f"unix://owner:{quote(password)}@{data_dir / 'redis.sock'}"


@dataclass(slots=True)
class System:
    """A running `python -m deploy.laptop`."""

    data_dir: Path
    environment: dict[str, str]
    process: subprocess.Popen[str]
    reader: threading.Thread
    log: list[str]

    @property
    def mqtt_port(self) -> int:
        return int(self.environment["MQTT_PORT"])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.environment['HTTP_PORT']}"

    @property
    def text(self) -> str:
        """All that it has logged, without colours."""
        return re.sub(r"\x1b\[[0-9;]*m", "", "".join(self.log))

    def get(self, path: str, **query: str) -> httpx.Response:
        return httpx.get(f"{self.url}{path}", params=query)

    @property
    def partitions(self) -> int:
        return int(self.environment.get("PARTITIONS", "1"))

    @contextmanager
    def raw_redis(self) -> Iterator[redis.Redis]:
        """A client of the Redis of `raw`."""
        if url := self.environment.get("RAW_REDIS_URL"):
            with blocking_client_of(url) as client:
                yield client
        else:
            with self.redis() as client:
                yield client

    @contextmanager
    def redis(self) -> Iterator[redis.Redis]:
        """A client of its Redis; answers are bytes."""
        with blocking_client_of(self.environment.get("REDIS_URL") or owners_url(self.data_dir)) as client:
            yield client

    def total(self, name: str) -> int:
        with self.raw_redis() as client:
            tags = [tag(partition, self.partitions) for partition in range(self.partitions)]
            return sum(int(cast("bytes | None", client.hget(f"totals:{each}", name)) or 0) for each in tags)

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """One of the commands, with the settings of this system."""
        return subprocess.run(
            [sys.executable, "-m", *arguments],
            cwd=ROOT,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=90,
        )

    def wait_until_done(self, limit: float = 30.0) -> None:
        """Wait until every stage has worked off its backlog, for `limit` seconds at the most."""

        def idle() -> bool:
            with self.redis() as client, self.raw_redis() as raw:
                tags = [tag(partition, self.partitions) for partition in range(self.partitions)]
                unfinished = any(raw.xlen(f"raw:{each}") or raw.xlen(f"positions:{each}") for each in tags)
                return not unfinished and not any(client.zcard(key) for key in waiting_keys(self.partitions))

        wait_for(idle, "the stages have worked off their backlogs", limit)

    def stop(self) -> int:
        """Ctrl-C, as a terminal sends it; the exit code."""
        self.process.send_signal(signal.SIGINT)
        try:
            code = self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            # What is left of it would be a failure of the test after this one, too.
            self.process.kill()
            self.process.wait()
            raise
        self.reader.join(STOP_SECONDS)
        return code


CHOSEN = ExitStack()
"""What CAMPUS_TEST_REDIS names and systems have: tests/e2e/conftest.py ends it."""
_urls: dict[Path, str] = {}


def _chosen_redis(data_dir: Path) -> dict[str, str]:
    """A Redis for each DATA_DIR, so that systems that run at the same time have nothing in common."""
    if chosen() == "single":
        return {}
    if data_dir not in _urls:
        _urls[data_dir] = CHOSEN.enter_context(chosen_redis())
    return {"REDIS_URL": _urls[data_dir], "PARTITIONS": os.environ.get("CAMPUS_TEST_PARTITIONS", "3")}


def start(data_dir: Path, *, path: str | None = None, until: str = "ready: MQTT", **settings: str) -> System:
    """Start a system and return once its log says that it is ready, or `until`. `path` replaces PATH."""
    environment = {
        **os.environ,
        **_chosen_redis(data_dir),
        "DATA_DIR": str(data_dir),
        "MQTT_PORT": str(free_port()),
        "HTTP_PORT": str(free_port()),
        "ROLLUP_EVERY": "0.5",  # most windows of a test are open, and it waits for them
        **settings,
    }
    if path is not None:
        environment["PATH"] = path
    process = watched(
        subprocess.Popen(
            [sys.executable, "-m", "deploy.laptop"],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    )
    log: list[str] = []

    def follow() -> None:
        with cast("TextIO", process.stdout) as output:
            for line in output:
                log.append(line)  # noqa: PERF402 - as it comes, not at the end

    reader = threading.Thread(target=follow, daemon=True)
    reader.start()
    system = System(data_dir, environment, process, reader, log)

    def ready() -> bool:
        assert process.poll() is None, f"it ended while starting:\n{system.text}"
        return until in system.text

    try:
        wait_for(ready, "the system is ready", START_SECONDS)
    except AssertionError as error:
        process.kill()
        raise AssertionError(f"{error}\n{system.text}") from error
    return system
