"""A running system under attack: what can be asked of it, and devices that go on publishing meanwhile."""

import base64
import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import paho.mqtt.client as mqtt
import redis
from paho.mqtt.enums import CallbackAPIVersion

from core.clock import format_rfc3339, system_clock
from state.dirty_windows import waiting_keys
from tests.conftest import free_port
from tests.e2e.system import System, owners_url, start, wait_for

LIMIT_SECONDS = 90.0
"""How long anything may take: the machine may be ten times as busy as it should be."""
WHERE = [-8.5722, 52.6738]
"""Longitude and latitude of a place in a building."""
SERVICES = ("broker-1", "broker-2", "decoder", "api")


def fix(device: str, **properties: object) -> bytes:
    """The payload of a position of now, on the campus."""
    feature = {
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": WHERE},
        "properties": {"device_id": device, "timestamp": format_rfc3339(system_clock()), **properties},
    }
    return base64.b64encode(json.dumps(feature).encode())


class Hostile:
    """The system; every wait of it has a limit, and fails with the end of the log."""

    def __init__(self, system: System, redis_url: str) -> None:
        self.system = system
        self._redis_url = redis_url
        self._checked = 0

    def redis(self) -> redis.Redis:
        """A client of the Redis that it uses."""
        return redis.Redis.from_url(self._redis_url, socket_timeout=60)

    def get(self, path: str, **query: str) -> httpx.Response:
        """The API's answer."""
        return httpx.get(f"{self.system.url}{path}", params=query, timeout=30)

    def readyz(self, service: str) -> str:
        """What a service says of itself: `ready`, or why it is not, or that nothing answers."""
        port = self.system.environment[f"{service.upper().replace('-', '_')}_OPS_PORT"]
        try:
            return httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=10).text.strip()
        except httpx.HTTPError as error:
            return f"no answer: {error!r}"

    def wait(self, probe: object, what: str, limit: float = LIMIT_SECONDS) -> object:
        """The first true answer of `probe`."""
        try:
            return wait_for(probe, what, limit)
        except AssertionError as error:
            said = {service: self.readyz(service) for service in SERVICES}
            raise AssertionError(f"{error}\n{said}\n{self.system.text[-6000:]}") from error

    def until_ready(self) -> None:
        """Wait until every service says that it is."""
        self.wait(lambda: all(self.readyz(each) == "ready" for each in SERVICES), "every service is ready")

    def until_waiting(self, service: str, *words: str) -> None:
        """Wait until a service says that it cannot work, with one of `words`."""
        self.wait(
            lambda: any(word in self.readyz(service) for word in words), f"{service} says one of {words} in /readyz"
        )

    def documents(self) -> int:
        """How many positions are stored."""
        counted = self.system.run("documents", "count")
        assert counted.returncode == 0, counted.stderr
        return int(counted.stdout)

    def stored(self) -> int:
        """The same, asked of the file itself, which is quicker."""
        with closing(sqlite3.connect(f"file:{self.system.data_dir / 'documents.sqlite3'}?mode=ro", uri=True)) as file:
            return int(file.execute("SELECT count(*) FROM positions").fetchone()[0])

    def total(self, name: str) -> int:
        """A lifetime count."""
        with self.redis() as client:
            return int(client.hget("totals:{0}", name) or 0)

    def until_worked_off(self) -> None:
        """Wait until every stage has done all that it has."""

        def idle() -> bool:
            with self.redis() as client:
                unfinished = client.xlen("raw:{0}") or client.xlen("positions:{0}")
                return not unfinished and not any(client.zcard(key) for key in waiting_keys(1))

        self.wait(idle, "the stages have worked off their backlogs")

    def check_nobody_died(self) -> None:
        """No process has ended, and none has written a traceback since this was asked last.

        So a test that shares the system with one that failed, or is that one once more, is asked for what is its own.
        """
        text = self.system.text
        text, self._checked = text[self._checked :], len(text)
        assert self.system.process.poll() is None, text[-6000:]
        for sign in ("Traceback", "ended with exit code"):
            where = text.find(sign)
            assert where < 0, text[max(0, where - 1000) : where + 3000]


class Device:
    """Publishes numbered positions at QoS 1, each of another device, and knows how many were acknowledged."""

    def __init__(self, port: int, *, name: str, window: int = 100, note: str = "") -> None:
        self.name = name
        self._more = {"note": note} if note else {}
        self._room = threading.Semaphore(window)
        self._stopped = threading.Event()
        self.sent = 0
        self.acknowledged = 0
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=name, clean_session=False)
        self._client.max_inflight_messages_set(window)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_publish = self._on_publish
        self._client.connect_async("127.0.0.1", port)
        self._client.loop_start()
        self._thread: threading.Thread | None = None

    def publish(self, count: int, topic: str = "mobile-iotp") -> None:
        """Publish so many more, after those before, beside what the test does meanwhile."""
        self._thread = threading.Thread(target=self._publish, args=(count, topic, self._thread), daemon=True)
        self._thread.start()

    def _publish(self, count: int, topic: str, before: threading.Thread | None) -> None:
        if before is not None:
            before.join()
        for _ in range(count):
            if not self._stopped.is_set():
                self._room.acquire()
            if self._stopped.is_set():
                return
            self._client.publish(topic, fix(f"{self.name}-{self.sent}", **self._more), qos=1)
            self.sent += 1

    def _on_publish(self, *_: object) -> None:
        self.acknowledged += 1
        self._room.release()

    def close(self) -> None:
        """Publish no more."""
        self._stopped.set()
        self._room.release()
        if self._thread is not None:
            self._thread.join(10)
        self._client.disconnect()
        self._client.loop_stop()


@contextmanager
def device(system: Hostile, name: str, *, window: int = 100, note: str = "") -> Iterator[Device]:
    """A device that is connected to the system; each of its positions has the `note`, which makes it larger."""
    publishing = Device(system.system.mqtt_port, name=name, window=window, note=note)
    try:
        yield publishing
    finally:
        publishing.close()


@contextmanager
def running(folder: Path, **settings: str) -> Iterator[Hostile]:
    """A system with its data in `folder`, whose path must be short, and every port known."""
    names = ("BROKER_1_OPS", "BROKER_2_OPS", "DECODER_OPS", "API_OPS", "HAPROXY_OPS")
    ports = {f"{name}_PORT": str(free_port()) for name in names}
    system = start(folder, **{**ports, **settings})
    url = settings.get("REDIS_URL") or owners_url(folder)
    try:
        yield Hostile(system, url)
    finally:
        if system.process.poll() is None:
            system.stop()
