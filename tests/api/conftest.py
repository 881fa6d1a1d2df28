"""An API over a real Redis, an SQLite file, and a clock that stands still at noon."""

import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from redis.asyncio import Redis

from api.application import create_app
from api.auth.keys import Keys, Scope, make_key
from api.http.metrics import ApiMetrics
from api.live.change_log import ChangeLog
from api.live.dependencies import LiveResources
from api.rooms import Rooms, open_rooms
from api.settings import ApiSettings
from api.zones.campus import FollowedCampus
from bench.presence import see
from core.clock import Clock
from core.kinds import DEFAULT_KINDS, KindId, Kinds
from documents import DocumentStore
from documents import open_store as open_documents
from geofence import Campus, load_campus
from runtime.devices import DeviceHasher
from runtime.failures import Failures
from state import apps
from state.server import RedisWatch
from tests.conftest import NOON
from timeseries import Coverage, OccupancyPoint, TimeseriesStore, Width, Window, hour_of, open_store


@pytest.fixture(autouse=True)
def _what_runs_is_seen_for_the_whole_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody looks again in these tests, and on a busy machine one may take longer than what was seen is kept."""
    monkeypatch.setattr(apps, "SEEN_SECONDS", 600)


@pytest.fixture(scope="session")
def campus() -> Campus:
    return load_campus(None)


@pytest.fixture
def settings(tmp_path: Path) -> ApiSettings:
    return ApiSettings(data_dir=tmp_path, history_max_points=1000, api_rate_limit=0)


@pytest.fixture
async def store(settings: ApiSettings) -> AsyncIterator[TimeseriesStore]:
    async with open_store(settings) as opened:
        yield opened


@pytest.fixture
async def documents(settings: ApiSettings) -> AsyncIterator[DocumentStore]:
    async with open_documents(settings) as opened:
        yield opened


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What an API is made of, for tests that replace some of it."""

    settings: ApiSettings
    kinds: Kinds
    followed: FollowedCampus
    redis: Redis
    store: TimeseriesStore
    documents: DocumentStore
    hasher: DeviceHasher
    metrics: ApiMetrics
    clock: Clock
    elapsed: Callable[[], float] = time.monotonic
    failures: Failures = field(default_factory=Failures)
    change_log: ChangeLog = field(default_factory=ChangeLog)
    keys: Redis | None = None
    """The Redis of keys."""

    @cached_property
    def rooms(self) -> Rooms:
        given = {each.name: getattr(self, each.name) for each in fields(self)}
        given.pop("failures")
        return open_rooms(watch=RedisWatch(client=self.redis), **given)

    @property
    def live(self) -> LiveResources:
        return self.rooms.live

    @property
    def campus(self) -> Campus:
        return self.followed.view.campus

    def app(self) -> FastAPI:
        return create_app(self.rooms, settings=self.settings, metrics=self.metrics)


@pytest.fixture
def parts(
    settings: ApiSettings, campus: Campus, service_redis: Redis, store: TimeseriesStore, documents: DocumentStore
) -> Parts:
    return Parts(
        settings=settings,
        kinds=DEFAULT_KINDS,
        followed=FollowedCampus(client=service_redis, file=campus),
        redis=service_redis,
        store=store,
        documents=documents,
        hasher=DeviceHasher(b"k" * 32),
        metrics=ApiMetrics(),
        clock=lambda: NOON,
    )


@pytest.fixture
def app(parts: Parts) -> FastAPI:
    return parts.app()


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(app) as opened:
        yield opened


def client_of(app: FastAPI) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://campus")


def client_over(parts: Parts) -> httpx.AsyncClient:
    """A client of another API, over other resources."""
    return client_of(parts.app())


async def key_for(redis: Redis, *scopes: str, name: str = "a test", purpose: str = "") -> dict[str, str]:
    """The headers of a client with a new key for these scopes."""
    made = make_key(name, [Scope(scope) for scope in scopes], now=NOON, purpose=purpose)
    await Keys(redis, clock=lambda: NOON).add(made.key)
    return {"Authorization": f"Bearer {made.text}"}


async def arrive(redis: Redis, zone: str, kind: KindId, *observed_at: int) -> None:
    """Let a device of its own be seen in a zone at each of these times."""
    await see(redis, zone, kind, {f"{kind}{number}": at for number, at in enumerate(observed_at)})


async def watched(store: TimeseriesStore, zone: str, kind: KindId, start: int, end: int) -> None:
    """Keep that the hours that begin in [start, end) were recorded, ms since the epoch."""
    hours = range(hour_of(start), end, 3_600_000)
    await store.write_coverage([Coverage(zone, kind, hour, 2**60 - 1) for hour in hours])


async def record(store: TimeseriesStore, zone: str, kind: KindId, width: Width, windows: dict[int, int]) -> None:
    """Keep devices by the start of their window, and that these hours were recorded."""
    for start in windows if width in {Width.HOUR, Width.DAY} else ():
        await watched(store, zone, kind, start, start + 1)
    await store.write(
        [
            OccupancyPoint(Window(width=width, start=start, zone=zone, kind=kind), devices)
            for start, devices in windows.items()
        ]
    )


def assert_problem(answer: httpx.Response, status: int) -> dict[str, Any]:
    """Problem details that are whole; returns them."""
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert (
        {"type", "title", "status", "detail", "instance"}
        <= body.keys()
        <= {
            "type",
            "title",
            "status",
            "detail",
            "instance",
            "errors",
        }
    )
    assert body["status"] == status
    assert body["title"]
    assert body["detail"]
    return body
