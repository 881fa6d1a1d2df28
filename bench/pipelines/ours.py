"""(a) This system, as a laptop runs it, writing to the same store as its peers, and to its own SQLite."""

import resource
import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from importlib.metadata import version

import httpx

from bench.pipelines.parts import Part
from bench.pipelines.pipeline import CONSUMER, Pipeline, Place
from deploy.laptop.disk_reserve import DiskReserve
from deploy.laptop.ports import choose_ports
from deploy.laptop.processes import Programs, describe
from deploy.laptop.redis_server import REDIS_FOLDER
from deploy.laptop.routes import put_maps
from deploy.laptop.settings import LaptopSettings
from tests.conftest import free_port

_ROLES = {"redis": "Redis", "decoder": CONSUMER, "haproxy": "HAProxy", "api": "API", "controller": "controller"}
_PORTS = {"broker-1": "broker_1_port", "broker-2": "broker_2_port", "haproxy": "mqtt_port", "api": "api_port"}


class Ours(Pipeline):
    """Two broker nodes behind HAProxy, one decoder, the API; it counts and rolls up besides, which no peer does."""

    def __init__(self, *, sqlite: bool) -> None:
        self.name = "(a) ours, SQLite" if sqlite else "(a) ours"
        store = "its own SQLite" if sqlite else "the store of the others"
        self.configuration = (
            "make run, its defaults and API_RATE_LIMIT=0: two nodes behind HAProxy, Redis with appendfsync everysec,"
            f" one decoder with all stages, documents into {store}. It counts devices by zone and rolls up, too."
        )
        self._sqlite = sqlite
        self.has_store_apart = not sqlite
        self._port = 0

    def missing(self) -> str | None:
        """Redis and HAProxy are its own needs."""
        lacking = [name for name in ("redis-server", "haproxy") if not shutil.which(name)]
        return f"not installed: {', '.join(lacking)}" if lacking else None

    def versions(self) -> dict[str, str]:
        """Of amqtt, beneath the nodes."""
        return {"amqtt": version("amqtt")}

    @property
    def port(self) -> int:
        """Of HAProxy."""
        return self._port

    def parts(self, place: Place) -> Sequence[Part]:
        """As `deploy.laptop` describes them."""
        (place.folder / REDIS_FOLDER).mkdir(exist_ok=True)
        # As `make run` does first of all: without it, the disk counts as full.
        DiskReserve(place.folder, say=print).look()
        put_maps(place.folder)
        settings = LaptopSettings(mqtt_port=free_port(), http_port=free_port())
        ports = choose_ports(settings, haproxy=True)
        self._port = settings.mqtt_port
        store = {} if self._sqlite else {"DOCUMENT_STORE": "cloudant", **place.couchdb.environment}
        processes = describe(
            settings,
            folder=place.folder,
            ports=ports,
            programs=Programs(
                shutil.which("redis-server"), shutil.which("haproxy"), resource.getrlimit(resource.RLIMIT_NOFILE)[0]
            ),
            environment={**store, "API_RATE_LIMIT": "0", "MIRROR": "false", "LOG_LEVEL": "warning"},
        )
        known = {**ports, "mqtt_port": settings.mqtt_port}
        return [
            Part(
                role=_ROLES.get(process.name, "broker"),
                command=process.command,
                environment=process.environment,
                port=known[_PORTS[process.name]] if process.name in _PORTS else None,
                log=place.folder / f"{process.name}.log",
            )
            for process in processes
        ]

    async def stored(self, client: httpx.AsyncClient, place: Place) -> int:
        """In the store that it writes to."""
        if not self._sqlite:
            return await super().stored(client, place)
        with closing(sqlite3.connect(f"file:{place.folder / 'documents.sqlite3'}?mode=ro", uri=True)) as opened:
            return int(opened.execute("SELECT count(*) FROM positions").fetchone()[0])
