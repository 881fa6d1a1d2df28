import dataclasses
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

from api.settings import ApiSettings
from api.state import State
from core.redis import open_redis
from tests.api.conftest import client_over
from tests.conftest import free_port
from timeseries import open_store


async def requests_counted(client: httpx.AsyncClient) -> dict[tuple[str, str, str], float]:
    text = (await client.get("/metrics")).text
    return {
        (sample.labels["route"], sample.labels["method"], sample.labels["status"]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "api_requests_total"
    }


async def test_a_process_that_works_is_healthy_and_ready(client: httpx.AsyncClient) -> None:
    healthy, ready = await client.get("/healthz"), await client.get("/readyz")

    assert (healthy.status_code, healthy.text) == (200, "ok\n")
    assert (ready.status_code, ready.text) == (200, "ready\n")


async def test_readiness_names_redis_when_it_is_away(state: State) -> None:
    async with (
        open_redis(ApiSettings(redis_url=f"redis://127.0.0.1:{free_port()}")) as away,
        client_over(dataclasses.replace(state, redis=away)) as client,
    ):
        ready = await client.get("/readyz")

        assert (ready.status_code, ready.text) == (503, "Redis does not answer\n")
        assert (await client.get("/healthz")).status_code == 200


async def test_readiness_names_the_store_when_it_is_away(state: State, tmp_path: Path) -> None:
    blocked = tmp_path / "a-file"
    blocked.write_text("no folder")
    async with (
        open_store(ApiSettings(data_dir=blocked)) as away,
        client_over(dataclasses.replace(state, store=away)) as client,
    ):
        ready = await client.get("/readyz")

        assert (ready.status_code, ready.text) == (503, "the occupancy store does not answer\n")
        # Readiness comes back by itself.
        blocked.unlink()
        blocked.mkdir()
        assert (await client.get("/readyz")).status_code == 200


async def test_requests_are_counted_by_the_template_of_their_route(client: httpx.AsyncClient) -> None:
    await client.get("/v1/zones/kemmy/occupancy")
    await client.get("/v1/zones/schuman/occupancy")
    await client.get("/v1/zones/atlantis/occupancy")
    await client.get("/v1/zones/kemmy/occupancy/history?kind=car&start=no")

    counted = await requests_counted(client)

    assert counted["/v1/zones/{zone}/occupancy", "GET", "200"] == 2
    assert counted["/v1/zones/{zone}/occupancy", "GET", "404"] == 1
    assert counted["/v1/zones/{zone}/occupancy/history", "GET", "422"] == 1


async def test_nothing_that_a_client_makes_up_becomes_a_label(client: httpx.AsyncClient) -> None:
    await client.get("/made/up")
    await client.request("BREW", "/v1/zones")
    await client.get("/v1/zones/madeup?made=up")
    await client.get("/static/madeup.js")

    counted = await requests_counted(client)

    assert counted["unmatched", "GET", "404"] == 1
    assert counted["/v1/zones", "other", "405"] == 1
    text = (await client.get("/metrics")).text
    assert not [word for word in ("made", "BREW", "kemmy") if word in text]


async def test_the_time_of_answers_is_measured(client: httpx.AsyncClient) -> None:
    await client.get("/v1/zones")

    text = (await client.get("/metrics")).text

    assert 'api_request_seconds_count{method="GET",route="/v1/zones"} 1.0' in text


async def test_head_answers_as_get_does_without_the_body(client: httpx.AsyncClient) -> None:
    for path in ("/v1/zones", "/v1/zones/kemmy", "/", "/docs", "/healthz", "/v1/zones/atlantis"):
        got, head = await client.get(path), await client.head(path)

        assert head.status_code == got.status_code
        assert head.headers == got.headers
        assert head.content == b""
