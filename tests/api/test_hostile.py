"""Whatever is asked: never a 5xx, and every 4xx says what is wrong."""

import string

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.api.conftest import assert_problem, client_of

ROUTES = (
    "/v1/zones",
    "/v1/zones/{}",
    "/v1/occupancy",
    "/v1/zones/{}/occupancy",
    "/v1/zones/{}/occupancy/history",
    "/healthz",
    "/",
    "/docs",
    "/openapi.json",
    "/static/{}",
    "/{}",
    "/v1/{}",
)
anything = st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass"))
segments = st.one_of(st.sampled_from([b"kemmy", b"campus", b"map.js", b"..", b"\x00", b"\xff\xfe"]), anything)
near_times = st.datetimes().map(lambda moment: f"{moment.isoformat()}Z")
odd_times = st.text(alphabet=string.digits + "-:TtZz+ .", max_size=40)
values = st.one_of(
    st.sampled_from(
        ["car", "mobile", "1m", "5m", "1h", "1d", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"]
    ),
    near_times,
    odd_times,
    st.text(max_size=30),
).map(lambda text: text.encode("utf-8", "surrogatepass"))
names = st.one_of(st.sampled_from([b"kind", b"window", b"start", b"end"]), anything)
queries = st.one_of(
    st.fixed_dictionaries(
        {b"kind": st.sampled_from([b"car", b"mobile"])},
        optional={
            b"window": st.sampled_from([b"1m", b"5m", b"1h", b"1d"]),
            b"start": near_times.map(str.encode),
            b"end": near_times.map(str.encode),
        },
    ).map(lambda query: list(query.items())),
    st.lists(st.tuples(names, values), max_size=6),
)
headers = st.dictionaries(
    st.sampled_from(["If-None-Match", "Accept", "Range", "Origin", "Host", "Content-Length"]),
    st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126), max_size=30),
    max_size=2,
)


def quoted(data: bytes) -> str:
    return "".join(f"%{byte:02X}" for byte in data)


@given(
    route=st.sampled_from(ROUTES),
    segment=segments,
    query=queries,
    method=st.sampled_from(["GET", "GET", "GET", "HEAD", "POST", "OPTIONS", "DELETE"]),
    sent=headers,
)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_no_request_makes_the_server_fail(
    app: FastAPI,
    *,
    route: str,
    segment: bytes,
    query: list[tuple[bytes, bytes]],
    method: str,
    sent: dict[str, str],
) -> None:
    path = route.format(quoted(segment))
    encoded = "&".join(f"{quoted(name)}={quoted(value)}" for name, value in query)
    async with client_of(app) as client:
        answer = await client.request(method, f"{path}?{encoded}", headers=sent)

    assert answer.status_code < 500
    if answer.status_code >= 400 and method != "HEAD":
        assert_problem(answer, answer.status_code)


@pytest.mark.parametrize(
    "query",
    [
        b"kind=car&start=%FF%FE",
        b"%",
        b"kind=%ZZ",
        b"kind=car;window=1m",
        b"=&=&&&",
        b"kind=car&kind=mobile&window=1m&window=1h",
        b"kind=car&start=0001-01-01T00:00:00%2B23:59",
        b"kind=car&window=1d&start=9999-12-28T00:00:00Z&end=9999-12-28T23:59:59Z",
        b"kind=car&window=1d&start=1970-01-04T00:00:00Z&end=1970-01-04T00:00:01Z",
        b"kind=car&window=1d&end=1970-01-04T00:00:00Z",
        b"kind[]=car",
        b"kind=car&start=" + b"9" * 20_000,
    ],
)
async def test_no_query_makes_the_server_fail(client: httpx.AsyncClient, query: bytes) -> None:
    address = httpx.URL("http://campus/v1/zones/kemmy/occupancy/history").copy_with(query=query)
    answer = await client.get(address)

    assert answer.status_code in {200, 422}
    if answer.status_code == 422:
        assert_problem(answer, 422)
        assert len(answer.content) < 3000


@pytest.mark.parametrize("host", ["[", "[::1", "a b", "", "]:x"])
async def test_no_host_header_makes_the_server_fail(client: httpx.AsyncClient, host: str) -> None:
    for path, status in (("/nothing", 404), ("/v1/zones/", 404), ("/v1/zones", 200), ("/openapi.json", 200)):
        assert (await client.get(path, headers={"Host": host})).status_code == status
