import asyncio
import copy
import dataclasses
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from api.settings import ApiSettings
from api.zones import edits as zone_edits
from api.zones.campus import CampusView, FollowedCampus
from api.zones.edits import merged
from core.errors import UnavailableError
from core.kinds import DEFAULT_KINDS
from geofence import Campus, parse_campus
from runtime.service import Stop
from state.campus import PresentCampus, StoredCampus, replace_campus, stored_campus, zone_changes
from state.client import open_redis
from tests.api.conftest import Parts, arrive, assert_problem, client_over, key_for
from tests.conftest import NOON, eventually, free_port
from tests.kinds_of_tests import CAR

EVERY_SECONDS = 0.5
CAMPUS = "campus:{campus}"
CHANGES = "campus:{campus}:changes"
CHANGES_KEPT = 100

SQUARE = [[[-8.5777, 52.6724], [-8.5767, 52.6724], [-8.5767, 52.6729], [-8.5777, 52.6729], [-8.5777, 52.6724]]]
NEW: dict[str, Any] = {
    "type": "Feature",
    "geometry": {"type": "Polygon", "coordinates": SQUARE},
    "properties": {"name": "New car park", "category": "car_park", "capacity": 120},
}
PATCH = {"Content-Type": "application/merge-patch+json"}
MAKE = {"If-None-Match": "*"}


@pytest.fixture
async def admin(client: httpx.AsyncClient, redis_client: Redis) -> httpx.AsyncClient:
    client.headers.update(await key_for(redis_client, "admin"))
    return client


@pytest.fixture
async def elsewhere(parts: Parts, campus: Campus) -> AsyncIterator[httpx.AsyncClient]:
    """A client of another process, which follows the campus in Redis."""
    followed = FollowedCampus(client=parts.redis, file=campus)
    stop = Stop()
    async with asyncio.TaskGroup() as tasks, client_over(dataclasses.replace(parts, followed=followed)) as client:
        tasks.create_task(followed.run(stop, every=EVERY_SECONDS))
        yield client
        stop.set()


async def etag(client: httpx.AsyncClient, zone: str) -> dict[str, str]:
    return {"If-Match": (await client.get(f"/v1/zones/{zone}")).headers["etag"]}


async def test_an_administrator_makes_a_zone_and_it_is_there_at_once(admin: httpx.AsyncClient) -> None:
    made = await admin.put("/v1/zones/new-park", json=NEW, headers=MAKE)

    assert made.status_code == 201
    assert made.headers["location"] == "/v1/zones/new-park"
    assert made.headers["content-type"] == "application/geo+json"
    body = made.json()
    assert (body["id"], body["properties"]) == ("new-park", {**NEW["properties"], "role": "zone"})
    got = await admin.get("/v1/zones/new-park")
    assert (got.json(), got.headers["etag"]) == (body, made.headers["etag"])
    zones = (await admin.get("/v1/zones")).json()["features"]
    assert zones[-1] == body
    occupancy = (await admin.get("/v1/zones/new-park/occupancy")).json()
    assert (occupancy["capacity"], occupancy["percentage"]) == (120, 0.0)


async def test_a_change_is_effective_in_another_process(admin: httpx.AsyncClient, elsewhere: httpx.AsyncClient) -> None:
    before = await elsewhere.get("/v1/zones")
    await admin.put("/v1/zones/new-park", json=NEW, headers=MAKE)

    async def there() -> bool:
        return (await elsewhere.get("/v1/zones/new-park")).status_code == 200

    await eventually(there)
    await admin.delete("/v1/zones/kemmy", headers=await etag(admin, "kemmy"))

    async def gone() -> bool:
        return (await elsewhere.get("/v1/zones/kemmy/occupancy")).status_code == 404

    await eventually(gone)
    after = await elsewhere.get("/v1/zones", headers={"If-None-Match": before.headers["etag"]})
    assert after.status_code == 200
    assert after.content == (await admin.get("/v1/zones")).content


async def test_a_look_that_began_before_a_change_does_not_undo_it(
    parts: Parts, campus: Campus, monkeypatch: pytest.MonkeyPatch
) -> None:
    newer = CampusView(dataclasses.replace(campus, zones=campus.zones[:1]))

    async def old_answer(_: Redis) -> PresentCampus:
        # While Redis's answer is on its way, this process changes a zone itself.
        parts.followed.replace(newer)
        return PresentCampus(1, StoredCampus("older", json.dumps(campus.as_feature_collection()).encode()))

    await replace_campus(
        parts.redis, StoredCampus("older", b""), replaces="", changed=[], partitions=1, kinds=DEFAULT_KINDS
    )
    monkeypatch.setattr("state.campus_follower.present_campus", old_answer)

    assert await parts.followed.look() is newer


async def test_decoders_are_given_the_same_campus(admin: httpx.AsyncClient, redis_client: Redis) -> None:
    await admin.put("/v1/zones/new-park", json=NEW, headers=MAKE)

    stored = await stored_campus(redis_client)

    assert stored is not None
    campus = parse_campus(stored.geojson, "a test")
    assert campus.version == stored.version
    assert [zone.id for zone in campus.everything][-1] == "new-park"


async def test_two_processes_that_change_different_zones_both_succeed(
    admin: httpx.AsyncClient, parts: Parts, campus: Campus
) -> None:
    other = dataclasses.replace(parts, followed=FollowedCampus(client=parts.redis, file=campus))
    async with client_over(other) as second:
        second.headers.update(admin.headers)
        answers = await asyncio.gather(
            *[(admin, second)[number % 2].put(f"/v1/zones/new-{number}", json=NEW, headers=MAKE) for number in range(6)]
        )
        assert [answer.status_code for answer in answers] == [201] * 6
        await other.followed.look()
        ids = {feature["id"] for feature in (await second.get("/v1/zones")).json()["features"]}
    assert {f"new-{number}" for number in range(6)} <= ids


async def test_of_two_changes_of_one_zone_with_the_same_etag_one_is_412(
    admin: httpx.AsyncClient, parts: Parts, campus: Campus
) -> None:
    other = dataclasses.replace(parts, followed=FollowedCampus(client=parts.redis, file=campus))
    read = {**PATCH, **(await etag(admin, "kemmy"))}
    async with client_over(other) as second:
        second.headers.update(admin.headers)
        answers = await asyncio.gather(
            admin.patch("/v1/zones/kemmy", content=b'{"properties":{"capacity":1}}', headers=read),
            second.patch("/v1/zones/kemmy", content=b'{"properties":{"capacity":2}}', headers=read),
        )
        assert sorted(answer.status_code for answer in answers) == [200, 412]
        [refused] = [answer for answer in answers if answer.status_code == 412]
    problem = assert_problem(refused, 412)
    assert problem["type"] == "/docs#changed-meanwhile"
    await parts.followed.look()
    assert refused.headers["etag"] == (await admin.get("/v1/zones/kemmy")).headers["etag"]


async def test_a_change_of_one_zone_leaves_the_etags_of_the_others_alone(admin: httpx.AsyncClient) -> None:
    kemmy, schuman = await etag(admin, "kemmy"), await etag(admin, "schuman")
    patched = await admin.patch("/v1/zones/schuman", json={"properties": {"capacity": 9}}, headers=schuman)

    assert patched.status_code == 200
    assert await etag(admin, "kemmy") == kemmy
    assert await etag(admin, "schuman") != schuman


@pytest.mark.parametrize(
    ("method", "zone"), [("PUT", "kemmy"), ("PUT", "new"), ("PATCH", "kemmy"), ("DELETE", "kemmy")]
)
async def test_a_change_without_a_precondition_is_428(admin: httpx.AsyncClient, method: str, zone: str) -> None:
    answer = await admin.request(method, f"/v1/zones/{zone}", json=NEW if method != "DELETE" else None)

    assert assert_problem(answer, 428)["type"] == "/docs#if-match-needed"


@pytest.mark.parametrize(
    ("zone", "headers"),
    [
        ("kemmy", {"If-Match": '"other"'}),
        ("kemmy", {"If-None-Match": "*"}),
        ("new", {"If-Match": "*"}),
        ("new", {"If-Match": '"other"'}),
    ],
)
async def test_a_precondition_that_is_not_true_is_412_and_changes_nothing(
    admin: httpx.AsyncClient, redis_client: Redis, zone: str, headers: dict[str, str]
) -> None:
    assert_problem(await admin.put(f"/v1/zones/{zone}", json=NEW, headers=headers), 412)
    assert await stored_campus(redis_client) is None


async def test_if_match_compares_strongly_and_any_of_several_will_do(admin: httpx.AsyncClient) -> None:
    present = (await etag(admin, "kemmy"))["If-Match"]
    weak = await admin.put("/v1/zones/kemmy", json=NEW, headers={"If-Match": f"W/{present}"})
    several = await admin.put("/v1/zones/kemmy", json=NEW, headers={"If-Match": f'"other", {present}'})
    whichever = await admin.put("/v1/zones/kemmy", json=NEW, headers={"If-Match": "*"})

    assert [weak.status_code, several.status_code, whichever.status_code] == [412, 200, 200]


async def test_without_an_admin_key_nothing_can_be_changed(client: httpx.AsyncClient, redis_client: Redis) -> None:
    other = await key_for(redis_client, "positions:read", "positions:write")
    for method in ("PUT", "PATCH", "DELETE"):
        anything = {**MAKE, "If-Match": "*"}
        assert_problem(await client.request(method, "/v1/zones/kemmy", headers=anything), 401)
        assert_problem(await client.request(method, "/v1/zones/kemmy", headers={**anything, **other}), 403)
    assert_problem(await client.get("/v1/zones/kemmy/versions"), 401)
    assert await stored_campus(redis_client) is None


async def test_a_patch_changes_what_it_names_and_removes_what_is_null(admin: httpx.AsyncClient) -> None:
    before = (await admin.get("/v1/zones/kemmy")).json()
    patched = await admin.patch(
        "/v1/zones/kemmy",
        json={"properties": {"capacity": 400, "category": None, "floors": {"number": 3}}},
        headers=await etag(admin, "kemmy"),
    )

    after = patched.json()
    assert after["geometry"] == before["geometry"]
    assert after["properties"]["capacity"] == 400
    assert after["properties"]["floors"] == {"number": 3}
    assert "category" not in after["properties"]
    assert after["properties"]["name"] == before["properties"]["name"]
    removed = await admin.patch("/v1/zones/kemmy", json={"properties": {"capacity": None}}, headers={"If-Match": "*"})
    assert "capacity" not in removed.json()["properties"]
    assert (await admin.get("/v1/zones/kemmy/occupancy")).json()["percentage"] is None


async def test_earlier_versions_are_kept_and_can_be_put_back(admin: httpx.AsyncClient) -> None:
    first = (await admin.get("/v1/zones/kemmy")).json()
    await admin.patch("/v1/zones/kemmy", json={"properties": {"name": "K"}}, headers={"If-Match": "*"})
    await admin.delete("/v1/zones/kemmy", headers={"If-Match": "*"})

    kept = (await admin.get("/v1/zones/kemmy/versions")).json()

    assert kept["zone"] == "kemmy"
    assert [version["feature"]["properties"]["name"] for version in kept["versions"]] == ["K", "Kemmy Business School"]
    assert {version["replaced_at"] for version in kept["versions"]} == {"2026-03-01T12:00:00Z"}
    restored = await admin.put("/v1/zones/kemmy", json=kept["versions"][1]["feature"], headers=MAKE)
    assert (restored.status_code, restored.json()) == (201, first)
    newest = (await admin.get("/v1/zones/kemmy/versions")).json()["versions"][0]
    assert newest["feature"] is None
    assert_problem(await admin.get("/v1/zones/atlantis/versions"), 404)


async def test_earlier_versions_are_bounded(redis_client: Redis, admin: httpx.AsyncClient) -> None:
    for number in range(CHANGES_KEPT + 20):
        await redis_client.xadd(CHANGES, {"zone": "a", "at": number, "by": "x", "before": b"{}"})
    await admin.patch("/v1/zones/kemmy", json={"properties": {"name": "K"}}, headers={"If-Match": "*"})

    assert await redis_client.xlen(CHANGES) == CHANGES_KEPT
    assert len(await zone_changes(redis_client, "kemmy")) == 1


async def test_a_change_that_changes_nothing_is_not_one(admin: httpx.AsyncClient, redis_client: Redis) -> None:
    same = (await admin.get("/v1/zones/kemmy")).json()
    answer = await admin.put("/v1/zones/kemmy", json=same, headers={"If-Match": "*"})

    assert answer.status_code == 200
    assert await zone_changes(redis_client, "kemmy") == []
    assert await stored_campus(redis_client) is None


async def test_who_was_in_an_outline_that_changed_is_forgotten_and_nobody_else(
    admin: httpx.AsyncClient, redis_client: Redis
) -> None:
    for zone in ("kemmy", "schuman"):
        await arrive(redis_client, zone, CAR, NOON)
    await admin.patch("/v1/zones/schuman", json={"properties": {"name": "S"}}, headers={"If-Match": "*"})
    await admin.patch("/v1/zones/kemmy", json={"geometry": {"coordinates": SQUARE}}, headers={"If-Match": "*"})

    assert (await admin.get("/v1/zones/kemmy/occupancy")).json()["car"] == 0
    assert (await admin.get("/v1/zones/schuman/occupancy")).json()["car"] == 1


async def test_the_outline_of_the_campus_can_be_changed_and_not_deleted(admin: httpx.AsyncClient) -> None:
    outline = (await admin.get("/v1/zones/campus")).json()
    outline["properties"] = {"name": "Another name"}
    put = await admin.put("/v1/zones/campus", json=outline, headers={"If-Match": "*"})

    assert (put.status_code, put.json()["properties"]["role"]) == (200, "boundary")
    assert_problem(await admin.delete("/v1/zones/campus", headers={"If-Match": "*"}), 409)


async def test_a_zone_that_is_not_there_cannot_be_patched_or_deleted(admin: httpx.AsyncClient) -> None:
    for method in ("PATCH", "DELETE"):
        assert_problem(await admin.request(method, "/v1/zones/new", json={}, headers={"If-Match": "*"}), 404)


def changed(**members: Any) -> dict[str, Any]:
    return {**copy.deepcopy(NEW), **members}


BOWTIE = [[[-8.5777, 52.6724], [-8.5767, 52.6729], [-8.5767, 52.6724], [-8.5777, 52.6729], [-8.5777, 52.6724]]]
SWAPPED = [[[lat, lon] for lon, lat in SQUARE[0]]]


@pytest.mark.parametrize(
    ("feature", "told"),
    [
        (changed(geometry=None), "no geometry"),
        (changed(geometry={"type": "Point", "coordinates": [0, 0]}), "Polygon"),
        (changed(geometry={"type": "Polygon", "coordinates": SQUARE[0]}), "not a position"),
        (changed(geometry={"type": "Polygon", "coordinates": [SQUARE[0][:-1]]}), "not closed"),
        (changed(geometry={"type": "Polygon", "coordinates": BOWTIE}), "Self-intersection"),
        (changed(geometry={"type": "Polygon", "coordinates": SWAPPED}), "swapped"),
        (changed(geometry={"type": "Polygon", "coordinates": [[[1e400, 0]] * 4]}), "out of range"),
        (changed(type="FeatureCollection"), "Feature"),
        (changed(id="another"), "id"),
        (changed(id=17), "id"),
        (changed(properties=[]), "properties"),
        (changed(properties="x"), "properties"),
        (changed(properties={"capacity": 0}), "capacity"),
        (changed(properties={"capacity": "many"}), "capacity"),
        (changed(properties={"name": ""}), "name"),
        (changed(properties={"role": "boundary"}), "boundary"),
        (changed(properties={"role": "admin"}), "role"),
        (changed(properties={"x": float("nan")}), "JSON"),
        (changed(properties={"x": "\ud800"}), "surrogate"),
        (changed(features=[]), "features"),
    ],
)
async def test_a_zone_that_cannot_be_one_is_refused_with_what_is_wrong(
    admin: httpx.AsyncClient, redis_client: Redis, feature: dict[str, Any], told: str
) -> None:
    answer = await admin.put(
        "/v1/zones/new",
        content=json.dumps(feature).encode(),
        headers={**MAKE, "Content-Type": "application/geo+json"},
    )

    problem = assert_problem(answer, 422)
    assert told in str(problem["detail"])
    assert [error["parameter"] for error in problem["errors"]] == ["body"]
    assert await stored_campus(redis_client) is None


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b"\xff", b"[" * 100_000, b'{"properties":' * 40 + b"1" + b"}" * 40, b"1" * 5000]
)
async def test_a_body_that_is_no_feature_is_refused(admin: httpx.AsyncClient, body: bytes) -> None:
    for method in ("PUT", "PATCH"):
        answer = await admin.request(
            method, "/v1/zones/kemmy", content=body, headers={"If-Match": "*", "Content-Type": "application/json"}
        )
        assert_problem(answer, 422)


async def test_the_ids_of_zones_are_those_that_topics_and_keys_can_hold(admin: httpx.AsyncClient) -> None:
    for zone in ("a+b", "%23", "a%20b", "-a", "a" * 65, "%00", "é", "%0A"):
        answer = await admin.put(f"/v1/zones/{zone}", json=NEW, headers=MAKE)
        assert_problem(answer, 422)
    assert (await admin.put("/v1/zones/Block.A_1-b", json=NEW, headers=MAKE)).status_code == 201


async def test_a_zone_has_a_largest_size_and_bodies_have_a_type(admin: httpx.AsyncClient) -> None:
    large = changed(properties={"x": "a" * zone_edits.MAX_ZONE_BYTES})
    assert_problem(await admin.put("/v1/zones/new", json=large, headers=MAKE), 413)
    typed = {**MAKE, "Content-Type": "text/plain"}
    refused = await admin.put("/v1/zones/new", content=json.dumps(NEW), headers=typed)
    assert_problem(refused, 415)
    assert "application/geo+json" in refused.headers["accept"]


async def test_without_redis_nothing_is_changed_and_the_client_is_told(parts: Parts, admin: httpx.AsyncClient) -> None:
    async with open_redis(ApiSettings(redis_url=f"redis://127.0.0.1:{free_port()}")) as away:
        gone = FollowedCampus(client=away, file=parts.campus)
        with pytest.raises(UnavailableError):
            await gone.look()
        async with client_over(dataclasses.replace(parts, followed=gone)) as client:
            answer = await client.put("/v1/zones/new", json=NEW, headers={**MAKE, "X-API-Key": bearer(admin)})
            assert_problem(answer, 503)
            # What does not need it goes on, from the last good parts.
            assert (await client.get("/v1/zones")).status_code == 200


async def test_a_campus_in_redis_that_is_none_is_not_taken_up(parts: Parts, admin: httpx.AsyncClient) -> None:
    broken = StoredCampus("broken", b'{"type":"FeatureCollection","features":[]}')
    assert await replace_campus(parts.redis, broken, replaces="", changed=[], partitions=1, kinds=DEFAULT_KINDS)

    with pytest.raises(UnavailableError, match="boundary"):
        await parts.followed.look()
    assert len((await admin.get("/v1/zones")).json()["features"]) == 23
    assert_problem(await admin.put("/v1/zones/new", json=NEW, headers=MAKE), 503)
    # When somebody has removed it, the file holds again.
    await parts.redis.delete(CAMPUS)
    assert (await admin.put("/v1/zones/new", json=NEW, headers=MAKE)).status_code == 201


def bearer(client: httpx.AsyncClient) -> str:
    return client.headers["authorization"].removeprefix("Bearer ")


# RFC 7396, appendix A.
@pytest.mark.parametrize(
    ("target", "changes", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"a": "foo"}, "bar", "bar"),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_a_merge_patch_does_what_the_rfc_says(target: object, changes: object, result: object) -> None:
    before = copy.deepcopy(target)

    assert merged(target, changes) == result
    assert target == before


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda children: (
        st.lists(children, max_size=4)
        | st.dictionaries(
            st.sampled_from(["type", "id", "geometry", "properties", "coordinates", "role", "capacity", "x"]),
            children,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(
    method=st.sampled_from(["PUT", "PATCH"]),
    members=st.dictionaries(st.sampled_from(["type", "id", "geometry", "properties", "x"]), anything, max_size=3),
)
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_no_body_makes_the_server_fail(admin: httpx.AsyncClient, method: str, members: dict[str, Any]) -> None:
    body = json.dumps({**(NEW if method == "PUT" else {}), **members}).encode()
    answer = await admin.request(
        method, "/v1/zones/kemmy", content=body, headers={"If-Match": "*", "Content-Type": "application/json"}
    )

    assert answer.status_code in {200, 422}
    assert len((await admin.get("/v1/zones")).json()["features"]) == 23
