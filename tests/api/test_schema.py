"""What the OpenAPI document says, and what is answered: schemathesis looks for where the two differ."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
import uvicorn
from hypothesis import HealthCheck, assume, given, settings
from hypothesis.errors import Unsatisfiable
from redis.asyncio import Redis
from schemathesis import GenerationMode
from schemathesis.config import SchemathesisConfig
from schemathesis.core.result import Ok
from schemathesis.schemas import BaseSchema

from api.auth.keys import Scope, make_key
from api.http.metrics import ApiMetrics
from api.http.server import Http, Server
from api.live.poller import poll_once
from api.settings import ApiSettings
from api.zones.campus import FollowedCampus
from core.kinds import DEFAULT_KINDS
from core.versions import first_route
from documents import open_store as open_documents
from geofence import load_campus
from runtime.devices import DeviceHasher
from state.apps import AppStore, Instance
from tests.api.conftest import Parts, arrive, record
from tests.conftest import NOON
from tests.kinds_of_tests import CAR
from tests.raw_streams import raw_key
from timeseries import Result, Width, open_store

EXAMPLES = 25
"""Requests of each kind to each operation."""
_TRIM_SECONDS = 0.02
_MINUTE = 60_000


_CONFIG = SchemathesisConfig.from_dict(
    {
        "checks": {
            # No JSON Schema says that a range begins before it ends, a ring is closed, a change needs If-Match.
            "positive_data_acceptance": {"expected-statuses": ["2xx", "404", "409", "412", "415", "422", "428"]},
            # What is wrong may be too large, too.
            "negative_data_rejection": {"expected-statuses": ["404", "405", "409", "412", "413", "415", "422", "428"]},
        }
    }
)


@asynccontextmanager
async def _seeded(folder: Path, redis_url: str) -> AsyncIterator[tuple[Parts, str]]:
    """An API at noon, with somebody here and there, an hour of history, and a key of an administrator."""
    chosen = ApiSettings(data_dir=folder, history_max_points=1000, api_rate_limit=0, faults=True)
    async with (
        Redis.from_url(redis_url) as client,
        open_store(chosen) as store,
        open_documents(chosen) as documents,
    ):
        await client.flushall()
        parts = Parts(
            settings=chosen,
            kinds=DEFAULT_KINDS,
            followed=FollowedCampus(client=client, file=load_campus(None)),
            redis=client,
            store=store,
            documents=documents,
            hasher=DeviceHasher(b"k" * 32),
            metrics=ApiMetrics(),
            clock=lambda: NOON,
        )
        made = make_key("schemathesis", [Scope.ADMIN], now=NOON)
        await parts.rooms.access.keys.add(made.key)
        await store.setup()
        await documents.setup()
        await arrive(client, "kemmy", CAR, NOON - 2000, NOON - 1000)
        for width, step in ((Width.MINUTE, _MINUTE), (Width.HOUR, 60 * _MINUTE)):
            await record(store, "kemmy", CAR, width, {NOON - number * step: number for number in range(1, 60)})
        await store.write_results(_results())
        await _applications(AppStore(client))
        await poll_once(parts.live)
        trimming = asyncio.create_task(_trim(client, chosen.partitions))
        # A stream of events then ends after its snapshot.
        parts.change_log.close()
        yield parts, made.text
        trimming.cancel()


def _results() -> list[Result]:
    """What jobs have found out of a zone, and of the campus, in the last hours."""
    shown = dict.fromkeys(["entries", "exits", "devices", "visits", "dwell_devices"], 50.0)
    dwell = dict.fromkeys(["dwell_q1", "dwell_median", "dwell_q3"], 1800.0)
    hour, window = NOON - 60 * _MINUTE, NOON - 5 * _MINUTE
    given: list[tuple[str, str, str, int, dict[str, float]]] = [
        *(("visits", zone, "", hour, {**shown, **dwell}) for zone in ("campus", "kemmy")),
        ("flows", "kemmy", "schuman", hour, {"count": 9, "devices": 9}),
        ("forecast_score", "kemmy", "mstl", hour, {"mase": 0.7, "baseline_mase": 0.9, "served": 1}),
        ("forecast", "kemmy", "", NOON, {"value": 9, "low": 6, "high": 12}),
        ("nowcast", "kemmy", "", NOON, {"value": 9, "low": 6, "high": 12}),
        ("anomalies", "kemmy", "", window, {"value": 9, "low": 6, "high": 12, "devices": 20}),
    ]
    return [
        Result(job, zone, CAR, other, at, {**values, "computed_at": float(hour)})
        for job, zone, other, at, values in given
    ]


async def _applications(store: AppStore) -> None:
    """Two applications in two versions, under the name that the document has as an example, and under one letter."""
    names = ("update-schuman", "a")
    instances = [
        Instance(app=app, version=version, name=version, address="10.0.0.4", port=80, healthy=True, since=NOON)
        for app in names
        for version in ("1", "2")
    ]
    await store.see(NOON, instances)
    for app in names:
        await store.put(first_route(app, "1"), replaces=0, by="controller", at=NOON, why="the first")


async def _trim(client: Redis, partitions: int) -> None:
    """Take what was accepted out of the way, as decoders do: an erasure waits for them."""
    while True:
        for partition in range(partitions):
            await client.xtrim(raw_key(partition, partitions), maxlen=0, approximate=False)
        await asyncio.sleep(_TRIM_SECONDS)


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory, redis_server: str) -> Iterator[tuple[str, str]]:
    """The address of an API, and a key for it; in a thread, for schemathesis waits for its answers."""
    ready = threading.Event()
    found: list[tuple[str, str]] = []
    servers: list[Server] = []

    async def serve() -> None:
        async with _seeded(tmp_path_factory.mktemp("api"), redis_server) as (parts, key):
            with socket.create_server(("127.0.0.1", 0)) as listener:
                server = Server(
                    uvicorn.Config(parts.app(), http=Http, lifespan="off", ws="none", log_config=None, access_log=False)
                )
                servers.append(server)
                found.append((f"http://127.0.0.1:{listener.getsockname()[1]}", key))
                ready.set()
                await server.serve(sockets=[listener])

    thread = threading.Thread(target=asyncio.run, args=(serve(),), name="api")
    with pytest.MonkeyPatch.context() as patch:
        # A busy machine takes its time: nothing here is about how long an erasure waits.
        patch.setattr("api.positions.erasure.PASS_SECONDS", 60.0)
        thread.start()
        assert ready.wait(60)
        yield found[0]
        servers[0].should_exit = True
        thread.join(60)


@pytest.fixture(scope="module")
def document(api: tuple[str, str]) -> BaseSchema:
    return schemathesis.openapi.from_url(f"{api[0]}/openapi.json", config=_CONFIG)


LONGEST_URL = 60_000


@pytest.mark.parametrize("mode", GenerationMode)
def test_every_answer_is_one_that_the_document_allows(
    document: BaseSchema, api: tuple[str, str], mode: GenerationMode, subtests: pytest.Subtests
) -> None:
    for found in document.get_all_operations():
        assert isinstance(found, Ok)
        operation = found.ok()

        @settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
        @given(operation.as_strategy(generation_mode=mode))
        def answers(case: schemathesis.Case[Any]) -> None:
            asked = case.as_transport_kwargs(base_url=api[0])
            url = requests.Request(asked["method"], asked["url"], params=asked.get("params")).prepare().url or ""
            # The server takes no longer line than that; what it then says is no answer of the application's.
            assume(len(url) < LONGEST_URL)
            case.call_and_validate(headers={"Authorization": f"Bearer {api[1]}"})

        with subtests.test(operation.label):
            try:
                answers()
            except Unsatisfiable:
                # An operation without parameters can be asked in no wrong way.
                assert mode is GenerationMode.NEGATIVE
