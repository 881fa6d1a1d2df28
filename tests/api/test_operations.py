import dataclasses
import math
import re
from pathlib import Path

import httpx
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from api.readiness import readiness_problem
from api.settings import ApiSettings
from runtime.failures import Failures
from state.client import open_redis
from tests.api.conftest import Parts, assert_problem, client_over
from tests.conftest import NOON, free_port
from tests.kinds_of_tests import CAR, MOBILE
from timeseries import open_store


def requests_counted(parts: Parts) -> dict[tuple[str, str, str], float]:
    return {
        (sample.labels["route"], sample.labels["method"], sample.labels["status"]): sample.value
        for family in text_string_to_metric_families(metrics(parts))
        for sample in family.samples
        if sample.name == "api_requests_total"
    }


def metrics(parts: Parts) -> str:
    return generate_latest(parts.metrics.registry).decode()


def test_the_operators_page_lists_each_metric_and_no_other(parts: Parts) -> None:
    page = (Path(__file__).parents[2] / "docs" / "operating.md").read_text(encoding="utf-8")
    # As the process does.
    Failures("api", parts.metrics.registry)
    families = parts.metrics.registry.collect()
    assert set(re.findall(r"`(api_\w+)", page)) == {
        f"{each.name}_total" if each.type == "counter" else each.name for each in families
    }


async def test_how_old_what_is_shown_is_can_be_seen(parts: Parts) -> None:
    newest, snapshot = {CAR: NOON - 2500}, [NOON - 400]
    parts.metrics.follow(
        kinds=[CAR, MOBILE], newest=lambda: newest, snapshot_at=lambda: snapshot[0], clock=lambda: NOON
    )
    value = parts.metrics.registry.get_sample_value
    assert value("api_newest_input_age_seconds", {"kind": "car"}) == 2.5
    assert value("api_snapshot_age_seconds") == 0.4
    unknown = value("api_newest_input_age_seconds", {"kind": "mobile"})
    assert unknown is not None
    assert math.isnan(unknown)


async def test_each_class_of_answers_is_counted_and_there_from_the_start(
    client: httpx.AsyncClient, parts: Parts
) -> None:
    def answers(status_class: str) -> float | None:
        return parts.metrics.registry.get_sample_value("api_responses_total", {"class": status_class})

    assert [answers(each) for each in ("2xx", "3xx", "4xx", "5xx")] == [0, 0, 0, 0]
    await client.get("/healthz")
    await client.get("/v1/nothing")
    await client.get("/v1/nothing/at-all")
    assert [answers(each) for each in ("2xx", "3xx", "4xx", "5xx")] == [1, 0, 2, 0]


async def test_a_process_that_works_is_healthy_and_ready(client: httpx.AsyncClient, parts: Parts) -> None:
    healthy = await client.get("/healthz")

    assert (healthy.status_code, healthy.text) == (200, "ok\n")
    assert await readiness_problem(parts.rooms, parts.failures) is None


async def test_what_is_for_operators_is_not_public(client: httpx.AsyncClient) -> None:
    for path in ("/readyz", "/metrics"):
        assert_problem(await client.get(path), 404)


async def test_readiness_names_redis_when_it_is_away(parts: Parts) -> None:
    async with open_redis(ApiSettings(redis_url=f"redis://127.0.0.1:{free_port()}")) as away:
        without = dataclasses.replace(parts, redis=away)

        assert await readiness_problem(without.rooms, without.failures) == "Redis does not answer"
        async with client_over(without) as client:
            assert (await client.get("/healthz")).status_code == 200


async def test_readiness_names_the_store_when_it_is_away(parts: Parts, tmp_path: Path) -> None:
    blocked = tmp_path / "a-file"
    blocked.write_text("no folder")
    async with open_store(ApiSettings(data_dir=blocked)) as away:
        without = dataclasses.replace(parts, store=away)

        assert await readiness_problem(without.rooms, without.failures) == "the occupancy store does not answer"
        # Readiness comes back by itself.
        blocked.unlink()
        blocked.mkdir()
        assert await readiness_problem(without.rooms, without.failures) is None


async def test_requests_are_counted_by_the_template_of_their_route(client: httpx.AsyncClient, parts: Parts) -> None:
    await client.get("/v1/zones/kemmy/occupancy")
    await client.get("/v1/zones/schuman/occupancy")
    await client.get("/v1/zones/atlantis/occupancy")
    await client.get("/v1/zones/kemmy/occupancy/history?kind=car&start=no")

    counted = requests_counted(parts)

    assert counted["/v1/zones/{zone}/occupancy", "GET", "200"] == 2
    assert counted["/v1/zones/{zone}/occupancy", "GET", "404"] == 1
    assert counted["/v1/zones/{zone}/occupancy/history", "GET", "422"] == 1


async def test_nothing_that_a_client_makes_up_becomes_a_label(client: httpx.AsyncClient, parts: Parts) -> None:
    await client.get("/made/up")
    await client.request("BREW", "/v1/zones")
    await client.get("/v1/zones/madeup?made=up")
    await client.get("/static/madeup.js")

    counted = requests_counted(parts)

    assert counted["unmatched", "GET", "404"] == 1
    assert counted["/v1/zones", "other", "405"] == 1
    text = metrics(parts)
    assert not [word for word in ("made", "BREW", "kemmy") if word in text]


async def test_the_time_of_answers_is_measured(client: httpx.AsyncClient, parts: Parts) -> None:
    await client.get("/v1/zones")

    text = metrics(parts)

    assert 'api_request_seconds_count{method="GET",route="/v1/zones"} 1.0' in text


async def test_head_answers_as_get_does_without_the_body(client: httpx.AsyncClient) -> None:
    for path in ("/v1/zones", "/v1/zones/kemmy", "/", "/docs", "/healthz", "/v1/zones/atlantis"):
        got, head = await client.get(path), await client.head(path)

        assert head.status_code == got.status_code
        assert head.headers == got.headers
        assert head.content == b""
