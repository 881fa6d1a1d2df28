"""A canary is begun, read and ended over REST; the controller walks it."""

from collections.abc import Mapping
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from core.versions import first_route
from state.apps import AppStore
from tests.api.conftest import assert_problem, key_for
from tests.api.test_app_rules import APP, RULE, URL, instance, match
from tests.conftest import NOON

CANARY = f"{URL}/canary"


@pytest.fixture
async def store(service_redis: Redis) -> AppStore:
    store = AppStore(service_redis)
    await store.see(NOON, [instance("1"), instance("2"), instance("3", healthy=False)])
    await store.put(first_route(APP, "1"), replaces=0, by="controller", at=NOON, why="the first that was seen")
    return store


@pytest.fixture
async def admin(client: httpx.AsyncClient, store: AppStore, redis_client: Redis) -> httpx.AsyncClient:
    del store
    client.headers.update(await key_for(redis_client, "admin"))
    return client


async def shares(store: AppStore) -> Mapping[str, int]:
    route = await store.route(APP)
    assert route is not None
    return route.shares


async def test_a_canary_begins_with_the_share_of_its_first_step(admin: httpx.AsyncClient, store: AppStore) -> None:
    begun = await admin.post(CANARY, json={"to": "2", "measure": "/measure"})

    assert (begun.status_code, begun.headers["location"]) == (201, CANARY)
    assert begun.json() == {
        "app": APP,
        "to": "2",
        "state": "running",
        "why": "it waits for the controller's first look",
        "steps": [5, 20, 50, 100],
        "step": 0,
        "hold_seconds": 60,
        "hold_requests": 200,
        "slower_by": 5,
        "measure": "/measure",
        "before": {"1": 100},
        "started_at": "2026-03-01T12:00:00Z",
        "step_at": None,
        "by": admin.headers["authorization"].split("_")[1],
    }
    assert (await admin.get(CANARY)).json() == begun.json()
    assert (await admin.get(URL)).json()["canary"] == begun.json()
    assert await shares(store) == {"1": 95, "2": 5}
    kept = await store.canary(APP)
    assert kept is not None
    assert (kept.number, kept.state, kept.step_at) == (2, "running", 0)
    assert (await store.changes(APP, 1))[0].why == "a canary to version 2 begins"


async def test_while_one_runs_another_is_refused_and_after_somebody_changed_the_rule_it_is_not(
    admin: httpx.AsyncClient,
) -> None:
    await admin.post(CANARY, json={"to": "2"})
    assert (
        "to version 2 runs already, at 5 %" in assert_problem(await admin.post(CANARY, json={"to": "2"}), 409)["detail"]
    )

    await admin.put(RULE, json={"shares": {"1": 100, "2": 0}}, headers=match(2))
    assert (await admin.post(CANARY, json={"to": "2", "steps": [10, 100]})).status_code == 201


async def test_delete_goes_back_to_what_was_before(admin: httpx.AsyncClient, store: AppStore) -> None:
    await admin.post(CANARY, json={"to": "2"})

    ended = await admin.delete(CANARY)

    assert (ended.status_code, ended.json()["state"]) == (200, "back")
    assert ended.json()["why"] == "an administrator has ended it"
    assert await shares(store) == {"1": 100}
    assert (await admin.get(CANARY)).json() == ended.json()
    assert "No canary" in assert_problem(await admin.delete(CANARY), 409)["detail"]


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"to": "2", "steps": [20, 5, 100]}, "its steps are 20, 5, 100: take percents that rise, from 1 on, to 100"),
        ({"to": "2", "steps": [5, 5, 100]}, "take percents that rise"),
        ({"to": "2", "steps": [0, 100]}, "take percents that rise"),
        ({"to": "2", "steps": [5, 50]}, "take percents that rise, from 1 on, to 100"),
        ({"to": "2", "steps": [5, 101]}, "take percents that rise"),
        ({"to": "2", "steps": []}, "length >= 1"),
        ({"to": "2", "steps": [*range(1, 22)]}, "length <= 20"),
        ({"to": "1"}, "version 1 has 100 % already"),
        ({"to": "3"}, f"no instance of {APP} 3 is healthy"),
        ({"to": "9"}, "nobody has seen version '9'"),
        ({"to": "2", "hold_seconds": 0}, "`int` >= 1"),
        ({"to": "2", "hold_seconds": 86_401}, "`int` <= 86400"),
        ({"to": "2", "hold_requests": 1_000_001}, "`int` <= 1000000"),
        ({"to": "2", "slower_by": 101}, "`int` <= 100"),
        ({"to": "2", "measure": "http://elsewhere/"}, "is no path of a measure: take one such as /measure"),
        ({"steps": [100]}, "missing required field `to`"),
    ],
)
async def test_a_canary_that_cannot_walk_is_refused_with_a_sentence(
    admin: httpx.AsyncClient, store: AppStore, form: dict[str, Any], said: str
) -> None:
    assert said in assert_problem(await admin.post(CANARY, json=form), 422)["detail"]
    assert await store.canary(APP) is None
    assert await store.number() == 1


async def test_of_a_broker_there_is_no_canary_and_of_what_has_no_rule_neither(
    admin: httpx.AsyncClient, store: AppStore
) -> None:
    await store.put(first_route("broker", "1"), replaces=0, by="controller", at=NOON, why="")
    answer = await admin.post("/v1/apps/broker/canary", json={"to": "2"})
    assert "no answers that could be compared" in assert_problem(answer, 422)["detail"]
    assert_problem(await admin.post("/v1/apps/nothing/canary", json={"to": "2"}), 404)
    assert_problem(await admin.get(CANARY), 404)
