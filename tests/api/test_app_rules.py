"""Who gets which version, as administrators change it over REST."""

from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from core.versions import changed, first_route
from state.apps import RULES, AppStore, Counters, Figures, Instance, Seen
from tests.api.conftest import assert_problem, key_for
from tests.conftest import NOON

APP = "update-schuman"
URL = f"/v1/apps/{APP}"
RULE = f"{URL}/route"
FIRST = {"If-None-Match": "*"}


def instance(version: str, *, healthy: bool = True, app: str = APP, address: str = "10.0.0.4") -> Instance:
    return Instance(
        app=app, version=version, name=f"{app}-{version}", address=address, port=8080, healthy=healthy, since=NOON
    )


def match(number: int) -> dict[str, str]:
    return {"If-Match": f'"{number}"'}


@pytest.fixture
async def store(service_redis: Redis) -> AppStore:
    """Two healthy versions run, a third is ill, and all people have the first one."""
    store = AppStore(service_redis)
    await store.see(NOON, [instance("1"), instance("2", address="fd00::5"), instance("3", healthy=False)])
    await store.put(first_route(APP, "1"), replaces=0, by="controller", at=NOON, why="the first that was seen")
    return store


@pytest.fixture
async def admin(client: httpx.AsyncClient, store: AppStore, redis_client: Redis) -> httpx.AsyncClient:
    del store
    client.headers.update(await key_for(redis_client, "admin"))
    return client


@pytest.fixture
async def reader(redis_client: Redis) -> dict[str, str]:
    return await key_for(redis_client, "positions:read")


async def test_an_administrator_gives_a_version_a_share_and_who_asks_sees_it(admin: httpx.AsyncClient) -> None:
    before = await admin.get(RULE)
    assert (before.headers["etag"], before.json()["shares"]) == ('"1"', {"1": 100})

    after = await admin.put(
        RULE, json={"shares": {"1": 80, "2": 20}, "users": {"ann": "2"}}, headers={"If-Match": before.headers["etag"]}
    )

    assert after.status_code == 200
    assert after.headers["etag"] == '"2"'
    assert after.json() == {
        "app": APP,
        "number": 2,
        "shares": {"1": 80, "2": 20},
        "users": {"ann": "2"},
        "roles": {},
        "headers": {},
        "move": False,
        "notes": [],
    }
    again = await admin.get(RULE)
    assert (again.json(), again.headers["etag"]) == (after.json(), '"2"')
    assert (await admin.get(RULE, headers={"If-None-Match": '"2"'})).status_code == 304


async def test_what_a_rule_leaves_out_stays_and_what_get_gave_can_be_put_back(admin: httpx.AsyncClient) -> None:
    parts = {"users": {"ann": "2"}, "roles": {"mobile": "2"}, "headers": {"X-Campus-Group": {"testers": "2"}}}
    await admin.put(RULE, json={"shares": {"1": 100}, **parts}, headers=match(1))

    kept = (await admin.put(RULE, json={"shares": {"1": 90, "2": 10}}, headers=match(2))).json()
    assert {name: kept[name] for name in parts} == parts
    assert "not over MQTT" in kept["notes"][0]

    back = await admin.put(RULE, json={**kept, "users": {}}, headers=match(3))
    assert (back.status_code, back.json()["users"], back.json()["roles"]) == (200, {}, {"mobile": "2"})


async def test_a_change_names_the_rule_that_was_read(admin: httpx.AsyncClient) -> None:
    body = {"shares": {"1": 50, "2": 50}}
    assert "If-Match" in assert_problem(await admin.put(RULE, json=body), 428)["detail"]
    assert (await admin.put(RULE, json=body, headers=match(1))).status_code == 200
    late = await admin.put(RULE, json=body, headers=match(1))
    assert assert_problem(late, 412)["type"] == "/docs#changed-meanwhile"
    assert late.headers["etag"] == '"2"'
    assert_problem(await admin.put(RULE, json=body, headers=FIRST), 412)


async def test_the_first_rule_of_an_application_can_be_made(admin: httpx.AsyncClient, store: AppStore) -> None:
    await store.see(NOON, [instance("1", app="other"), instance("2", app="other")])
    made = await admin.put("/v1/apps/other/route", json={"shares": {"1": 30, "2": 70}}, headers=FIRST)

    assert (made.status_code, made.headers["location"]) == (201, "/v1/apps/other/route")
    route = await store.route("other")
    assert route is not None
    assert [(owned.first, owned.end, owned.version) for owned in route.owned] == [(0, 3000, "1"), (3000, 10_000, "2")]


async def test_every_problem_of_a_rule_is_told_at_once_and_nothing_is_changed(
    admin: httpx.AsyncClient, store: AppStore
) -> None:
    wrong = {"shares": {"1": 50, "3": 40, "9": 5}, "roles": {"king": "1"}, "headers": {"X-Else": {"a": "1"}}}
    problem = assert_problem(await admin.put(RULE, json=wrong, headers=match(1)), 422)

    told = "\n".join(error["detail"] for error in problem["errors"])
    assert "the shares add up to 95: they have to add up to 100" in told
    assert f"no instance of {APP} 3 is healthy: start one, or ask with force=true" in told
    assert f"nobody has seen version '9' of {APP}: start it first (seen: 1, 2, 3)" in told
    assert "'king' is no role: take one of app, car, gateway, mobile, service" in told
    assert "'X-Else' is no header to choose by: take X-Campus-Version or X-Campus-Group" in told
    assert len(problem["errors"]) == 5
    assert await store.number() == 1


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "not as it should be"),
        (b"[]", "Expected `object`"),
        (b'{"shares": {"1": "all"}}', "Expected `int`, got `str`"),
        (b'{"shares": {"1": true}}', "Expected `int`, got `bool`"),
        (b'{"shares": {"1": 100}, "share": 5}', "unknown field `share`"),
        (b'{"users": {}}', "missing required field `shares`"),
        (b'{"shares": {}}', "the shares add up to 0"),
        (b'{"shares": {"1": 1e400}}', "not as it should be"),
        (b'{"shares": {"1": 100}, "why": "' + b"x" * 201 + b'"}', "length <= 200"),
        (b'{"shares": ' + b"[" * 5000 + b"]" * 5000 + b"}", "not as it should be"),
        (b'{"shares": {"1": 100}, "users": {"\\ud800": "1"}}', "not as it should be"),
    ],
)
async def test_what_is_no_rule_is_refused_with_a_sentence(admin: httpx.AsyncClient, body: bytes, said: str) -> None:
    headers = {**match(1), "Content-Type": "application/json"}
    assert said in assert_problem(await admin.put(RULE, content=body, headers=headers), 422)["detail"]


async def test_a_rule_that_is_too_large_or_of_another_type_is_refused(admin: httpx.AsyncClient) -> None:
    large = {"shares": {"1": 100}, "users": {f"user-{'x' * 100}-{number}": "1" for number in range(5000)}}
    assert "524,288 bytes" in assert_problem(await admin.put(RULE, json=large, headers=match(1)), 413)["detail"]
    many = {"shares": {"1": 100}, "users": {f"user-{number}": "1" for number in range(1001)}}
    assert (
        "1001 users are too many" in assert_problem(await admin.put(RULE, json=many, headers=match(1)), 422)["detail"]
    )
    answer = await admin.put(RULE, content=b"{}", headers={**match(1), "Content-Type": "text/plain"})
    assert assert_problem(answer, 415)["detail"] == "Send application/json, and say so in Content-Type."


async def test_people_go_to_a_version_that_is_ill_only_where_that_is_asked_for(admin: httpx.AsyncClient) -> None:
    body = {"shares": {"1": 0, "3": 100}}
    assert_problem(await admin.put(RULE, json=body, headers=match(1)), 422)
    assert (await admin.put(f"{RULE}?force=true", json=body, headers=match(1))).status_code == 200


async def test_where_nobody_knows_what_runs_a_rule_says_so_and_known_versions_can_be_forced(
    admin: httpx.AsyncClient, redis_client: Redis
) -> None:
    await admin.put(RULE, json={"shares": {"1": 50, "2": 50}}, headers=match(1))
    await redis_client.delete("apps:seen:{campus}")

    back = {"shares": {"1": 100, "2": 0}}
    problem = assert_problem(await admin.put(RULE, json=back, headers=match(2)), 422)
    assert "what runs is not known at present: is the controller running?" in problem["detail"]
    assert (await admin.put(f"{RULE}?force=true", json=back, headers=match(2))).status_code == 200


async def test_one_call_undoes_the_newest_change_for_the_very_same_people_and_another_undoes_that(
    admin: httpx.AsyncClient, store: AppStore
) -> None:
    await admin.put(RULE, json={"shares": {"1": 80, "2": 20}, "users": {"ann": "2"}}, headers=match(1))
    await admin.put(RULE, json={"shares": {"1": 0, "2": 100}}, headers=match(2))
    before = (await store.changes(APP, 1))[0].before

    undone = await admin.post(f"{RULE}/undo")

    assert (undone.status_code, undone.headers["etag"]) == (200, '"4"')
    assert undone.json()["shares"] == {"1": 80, "2": 20}
    route = await store.route(APP)
    assert route is not None
    assert before is not None
    assert (route.owned, route.users) == (before.owned, {"ann": "2"})
    assert (await admin.post(f"{RULE}/undo", headers=match(4))).json()["shares"] == {"1": 0, "2": 100}
    assert_problem(await admin.post(f"{RULE}/undo", headers=match(4)), 412)


async def test_before_the_first_rule_there_is_nothing_to_go_back_to(admin: httpx.AsyncClient) -> None:
    assert "PUT the rule that you want" in assert_problem(await admin.post(f"{RULE}/undo"), 409)["detail"]
    assert_problem(await admin.post("/v1/apps/nothing/route/undo"), 404)


async def test_the_log_says_who_changed_what_and_why_the_newest_first(
    admin: httpx.AsyncClient, reader: dict[str, str]
) -> None:
    await admin.put(RULE, json={"shares": {"1": 80, "2": 20}, "users": {"ann": "2"}, "why": "a try"}, headers=match(1))
    await admin.post(f"{RULE}/undo")
    key_id = admin.headers["authorization"].split("_")[1]

    changes = (await admin.get(f"{URL}/changes")).json()["changes"]

    assert [(change["after"]["number"], change["by"], change["why"]) for change in changes] == [
        (3, key_id, "undone: as it was under number 1"),
        (2, key_id, "a try"),
        (1, "controller", "the first that was seen"),
    ]
    assert changes[1]["before"]["shares"] == {"1": 100}
    assert changes[1]["at"] == "2026-03-01T12:00:00Z"
    assert changes[2]["before"] is None
    assert len((await admin.get(f"{URL}/changes?limit=1")).json()["changes"]) == 1
    assert_problem(await admin.get(f"{URL}/changes?limit=0"), 422)
    assert_problem(await admin.get("/v1/apps/nothing/changes"), 404)
    others = (await admin.get(f"{URL}/changes", headers=reader)).json()["changes"]
    assert (others[1]["after"]["shares"], others[1]["after"]["users"]) == ({"1": 80, "2": 20}, None)


async def test_what_runs_is_told_with_shares_health_and_figures(admin: httpx.AsyncClient, store: AppStore) -> None:
    await admin.put(RULE, json={"shares": {"1": 80, "2": 20}}, headers=match(1))
    await store.put_places({f"{APP}/1": 1, f"{APP}/2": 2, "other/1": 3})
    for name, errors in (("front-1", 1), ("front-2", 2)):
        by_time = (90, 0, 0, 4, 6, 0, 0, 0, 0, 0)
        counters = Counters(answers=100, errors=errors, by_time=by_time)
        await store.count(name, Figures(at=NOON, started_at=NOON, places={2: counters, 3: Counters(answers=5)}))

    app = (await admin.get(URL)).json()

    assert (app["app"], app["number"], app["canary"], app["seen_at"]) == (APP, 2, None, "2026-03-01T12:00:00Z")
    assert [(each["version"], each["share"], each["healthy"]) for each in app["versions"]] == [
        ("1", 80, True),
        ("2", 20, True),
        ("3", 0, False),
    ]
    assert app["versions"][1]["figures"] == {"answers": 200, "errors": 3, "p95_ms": 100}
    assert app["versions"][0]["figures"] is None
    assert app["versions"][1]["instances"] == [
        {
            "name": f"{APP}-2",
            "address": "[fd00::5]:8080",
            "healthy": True,
            "since": "2026-03-01T12:00:00Z",
        }
    ]
    everything = (await admin.get("/v1/apps")).json()
    assert everything == {"apps": [app], "seen_at": "2026-03-01T12:00:00Z"}


async def test_any_key_reads_without_users_and_addresses_and_administrators_alone_write(
    admin: httpx.AsyncClient, reader: dict[str, str]
) -> None:
    await admin.put(RULE, json={"shares": {"1": 100}, "users": {"ann": "2"}}, headers=match(1))

    app = (await admin.get(URL, headers=reader)).json()
    assert [each["instances"][0]["address"] for each in app["versions"]] == [None, None, None]
    rule = await admin.get(RULE, headers=reader)
    assert (rule.status_code, rule.json()["users"]) == (200, None)
    for answer in (
        await admin.put(RULE, json={"shares": {"1": 100}}, headers={**reader, **match(2)}),
        await admin.post(f"{RULE}/undo", headers=reader),
        await admin.post(f"{URL}/canary", json={"to": "2"}, headers=reader),
        await admin.delete(f"{URL}/canary", headers=reader),
        await admin.put("/v1/faults", json={"faults": []}, headers=reader),
        await admin.delete("/v1/faults", headers=reader),
    ):
        assert "scope admin" in assert_problem(answer, 403)["detail"]


@pytest.mark.parametrize("path", ["/v1/apps", URL, RULE, f"{URL}/changes", f"{URL}/canary", "/v1/faults"])
async def test_nobody_reads_without_a_key(client: httpx.AsyncClient, store: AppStore, path: str) -> None:
    del store
    assert_problem(await client.get(path), 401)


async def test_what_is_not_there_is_said(admin: httpx.AsyncClient) -> None:
    for path in ("/v1/apps/nothing", "/v1/apps/nothing/route", "/v1/apps/nothing/canary"):
        assert assert_problem(await admin.get(path), 404)["type"] == "/docs#unknown-app"
    assert_problem(await admin.get("/v1/apps/No-App"), 422)


async def test_a_broker_is_not_chosen_by_what_only_a_request_has(admin: httpx.AsyncClient, store: AppStore) -> None:
    await store.see(NOON, [instance("1", app="broker"), instance("2", app="broker")])
    url = "/v1/apps/broker/route"
    wrong: dict[str, Any] = {"shares": {"1": 100}, "roles": {"mobile": "2"}}
    assert (
        "before a client has logged in"
        in assert_problem(await admin.put(url, json=wrong, headers=FIRST), 422)["detail"]
    )
    good = await admin.put(url, json={"shares": {"1": 90, "2": 10}}, headers=FIRST)
    assert (good.status_code, len(good.json()["notes"])) == (201, 1)


async def test_connections_to_brokers_are_moved_where_one_version_has_everybody_and_back_by_an_undo(
    admin: httpx.AsyncClient, store: AppStore
) -> None:
    await store.see(NOON, [instance("current", app="broker"), instance("next", app="broker")])
    url = "/v1/apps/broker/route"
    both = {"current": 50, "next": 50}
    refused = await admin.put(url, json={"shares": both, "move": True}, headers=FIRST)
    assert "give 100 to one of them" in assert_problem(refused, 422)["detail"]
    assert (await admin.put(url, json={"shares": both}, headers=FIRST)).json()["move"] is False
    to_next = {"shares": {"current": 0, "next": 100}, "move": True}
    named = await admin.put(url, json={**to_next, "users": {"ann": "current"}}, headers=match(1))
    assert "name no users for the other" in assert_problem(named, 422)["detail"]

    moved = (await admin.put(url, json=to_next, headers=match(1))).json()
    assert (moved["move"], moved["notes"]) == (
        True,
        ["Connections to a version that nobody gets are ended, a tenth each second."],
    )
    undone = (await admin.post(f"{url}/undo")).json()
    assert (undone["shares"], undone["move"]) == (both, False), "there is nobody to be moved"
    await admin.put(url, json={"shares": {"current": 100, "next": 0}}, headers=match(3))
    await admin.put(url, json=to_next, headers=match(4))
    assert (await admin.post(f"{url}/undo")).json()["move"] is True

    elsewhere = await admin.put(RULE, json={"shares": {"1": 0, "2": 100}, "move": True}, headers=match(1))
    assert "move is for connections to brokers" in assert_problem(elsewhere, 422)["detail"]


async def test_a_seventeenth_application_is_told_that_there_is_no_room(
    admin: httpx.AsyncClient, store: AppStore
) -> None:
    for number in range(15):
        await store.put(first_route(f"app-{number}", "1"), replaces=0, by="controller", at=NOON, why="")
    await store.see(NOON, [instance("1", app="late")])
    answer = await admin.put("/v1/apps/late/route", json={"shares": {"1": 100}}, headers=FIRST)
    assert "16 applications have a rule already" in assert_problem(answer, 409)["detail"]


async def test_an_application_that_runs_no_more_is_forgotten_and_leaves_room_for_another_one(
    admin: httpx.AsyncClient, store: AppStore
) -> None:
    for number in range(15):
        await store.put(first_route(f"app-{number}", "1"), replaces=0, by="controller", at=NOON, why="")
    await store.see(NOON, [instance("1", app="late"), instance("1", app="app-3")])
    late = {"shares": {"1": 100}}
    refused = assert_problem(await admin.put("/v1/apps/late/route", json=late, headers=FIRST), 409)["detail"]
    assert "forget one that runs no more, DELETE /v1/apps/{its name}/route" in refused

    assert_problem(await admin.delete(RULE, headers=match(7)), 412)
    gone = await admin.delete(RULE, headers=match(1))
    assert (gone.status_code, gone.content) == (204, b"")

    assert (await admin.put("/v1/apps/late/route", json=late, headers=FIRST)).status_code == 201
    for answer in (await admin.get(RULE), await admin.delete(RULE)):
        assert assert_problem(answer, 404)["type"] == "/docs#unknown-app"
    newest, oldest = (await admin.get(f"{URL}/changes")).json()["changes"]
    assert (newest["before"]["number"], newest["after"]) == (1, None)
    assert newest["why"] == "forgotten: it runs no more"
    assert newest["by"] not in {"", "controller"}
    assert oldest["by"] == "controller"


async def test_a_rule_that_somebody_changes_meanwhile_is_not_forgotten(
    admin: httpx.AsyncClient, store: AppStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.see(NOON, [])
    seen = AppStore.seen

    async def changed_in_between(self: AppStore) -> Seen | None:
        before = await self.route(APP)
        assert before is not None
        await self.put(changed(before, shares={"1": 100}), replaces=before.number, by="other", at=NOON, why="")
        return await seen(self)

    monkeypatch.setattr(AppStore, "seen", changed_in_between)
    assert assert_problem(await admin.delete(RULE), 412)["type"] == "/docs#changed-meanwhile"
    assert (await admin.get(RULE)).json()["number"] == 2


async def test_what_runs_or_may_run_and_what_is_the_systems_own_is_not_forgotten(
    admin: httpx.AsyncClient, store: AppStore, reader: dict[str, str], redis_client: Redis
) -> None:
    runs = assert_problem(await admin.delete(RULE), 409)["detail"]
    assert runs == f"{APP} runs, version 1, 2, 3: stop it first, and ask again some seconds later."
    await store.put(first_route("api", "current"), replaces=0, by="controller", at=NOON, why="")
    own = assert_problem(await admin.delete("/v1/apps/api/route"), 409)["detail"]
    assert own == "api is a service of this system, and keeps its rule: PUT another one."
    assert_problem(await admin.delete(RULE, headers=reader), 403)
    await redis_client.delete("apps:seen:{campus}")
    assert "is the controller running?" in assert_problem(await admin.delete(RULE), 409)["detail"]
    assert set(await store.routes()) == {APP, "api"}


async def test_a_rule_that_nobody_can_read_can_be_forgotten(
    admin: httpx.AsyncClient, store: AppStore, redis_client: Redis
) -> None:
    await store.see(NOON, [])
    await redis_client.hset(RULES, APP, b"none")
    assert (await admin.delete(RULE)).status_code == 204
    assert await store.slots() == {}


async def test_nobody_is_sent_to_a_version_that_haproxy_has_no_room_for(
    admin: httpx.AsyncClient, store: AppStore
) -> None:
    taken = {f"app-{number}/1": number for number in range(1, 16)}
    await store.put_places({**taken, f"{APP}/1": 16, "api/current": 17})
    body = {"shares": {"1": 90, "2": 10}}
    said = assert_problem(await admin.put(RULE, json=body, headers=match(1)), 422)["detail"]
    assert (
        f"version 2 of {APP} has no place in HAProxy, whose 16 are taken: stop a version that nobody needs, or ask "
        "with force=true" in said
    )
    assert "has no place" in assert_problem(await admin.post(f"{URL}/canary", json={"to": "2"}), 422)["detail"]
    assert (await admin.put(RULE, json={"shares": {"1": 100, "2": 0}}, headers=match(1))).status_code == 200
    assert (await admin.put(f"{RULE}?force=true", json=body, headers=match(2))).status_code == 200

    del taken["app-4/1"]
    await store.put_places({**taken, f"{APP}/1": 16, f"{APP}/2": 4})
    assert (await admin.put(RULE, json={"shares": {"1": 50, "2": 50}}, headers=match(3))).status_code == 200
