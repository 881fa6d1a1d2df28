"""Whatever is asked of history and positions, with a key for all: never a 5xx, and every 4xx says what is wrong."""

import dataclasses
from collections.abc import AsyncIterator

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from api.settings import ApiSettings
from documents import DocumentStore
from tests.api.conftest import Parts, assert_problem, client_over, key_for
from tests.documents.positions import position

ROUTES = (
    ("GET", "/v1/occupancy/history"),
    ("GET", "/v1/zones/kemmy/occupancy/history"),
    ("GET", "/v1/zones/kemmy/occupancy/summary"),
    ("GET", "/v1/positions"),
    ("HEAD", "/v1/positions"),
    ("POST", "/v1/positions"),
    ("POST", "/v1/positions/search"),
    ("DELETE", "/v1/devices/bus-304/positions"),
)
NAMES = (
    *("kind", "window", "start", "end", "tz", "format", "zone"),
    *("device", "limit", "cursor", "bbox", "near", "distance"),
)
numbers = st.one_of(
    st.integers(-200, 200).map(str),
    st.floats().map(str),
    st.sampled_from(["1e400", "-0", "٣", "1_0", " 5", "0x10", "9" * 400]),
)
values = st.one_of(
    st.sampled_from(
        ["car", "mobile", "1m", "5m", "1h", "1d", "csv", "json", "UTC", "Europe/Dublin", "posixrules", "kemmy"]
    ),
    st.datetimes().map(lambda moment: f"{moment.isoformat()}Z"),
    numbers,
    st.lists(numbers, min_size=2, max_size=4).map(",".join),
    st.text(max_size=30),
).map(lambda text: text.encode("utf-8", "surrogatepass"))
near = st.fixed_dictionaries(
    {
        "near": st.tuples(st.floats(-180, 180), st.floats(-90, 90)).map(lambda pair: f"{pair[0]},{pair[1]}".encode()),
        "distance": st.floats(0.001, 20_000).map(lambda metres: str(metres).encode()),
    },
    optional={"bbox": st.sampled_from([b"-180,-90,180,90", b"-8.6,52.6,-8.5,52.7"])},
)
queries = st.one_of(
    near.map(lambda query: list(query.items())),
    st.lists(st.tuples(st.sampled_from(NAMES), values), max_size=5),
    st.lists(st.tuples(st.sampled_from(NAMES), values), max_size=3).map(lambda query: [("kind", b"car"), *query]),
)
rings = st.lists(st.lists(st.lists(st.floats(-200, 200), min_size=1, max_size=4), max_size=6), max_size=2)
bodies = st.one_of(
    st.binary(max_size=60),
    rings.map(lambda found: f'{{"type":"Polygon","coordinates":{found}}}'.encode()),
    st.just(b'{"type":"Polygon","coordinates":[[[-180,-90],[180,-90],[180,90],[-180,90],[-180,-90]]]}'),
)


@pytest.fixture
async def everyone(parts: Parts, redis_client: Redis, documents: DocumentStore) -> AsyncIterator[httpx.AsyncClient]:
    """A client with a key for all and no limit to its rate, and some positions to be found."""
    await documents.setup()
    await documents.put([position(number) for number in range(-20, 0)])
    without_limit = ApiSettings(data_dir=parts.settings.data_dir, api_rate_limit=0)
    async with client_over(dataclasses.replace(parts, settings=without_limit)) as client:
        client.headers.update(await key_for(redis_client, "admin"))
        yield client


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    route=st.sampled_from(ROUTES),
    query=queries,
    body=bodies,
    accept=st.sampled_from(["*/*", "text/csv", "application/geo+json-seq", "application/geo+json-seq;q=x,,"]),
)
async def test_no_request_makes_the_server_fail(
    everyone: httpx.AsyncClient, *, route: tuple[str, str], query: list[tuple[str, bytes]], body: bytes, accept: str
) -> None:
    method, path = route
    encoded = "&".join(f"{name}={''.join(f'%{byte:02X}' for byte in value)}" for name, value in query)
    answer = await everyone.request(
        method, f"{path}?{encoded}", content=body if method == "POST" else None, headers={"Accept": accept}
    )

    assert answer.status_code < 500, answer.text
    if answer.status_code >= 400 and method != "HEAD":
        assert_problem(answer, answer.status_code)
        assert len(answer.content) < 5000
