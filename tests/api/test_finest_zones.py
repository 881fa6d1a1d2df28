import dataclasses
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from api.settings import ApiSettings
from disclosure.policy import Privacy
from state.campus import StoredCampus, ZoneChange, outline_changes, replace_campus, stored_campus
from tests.api.conftest import Parts, assert_problem, client_over, key_for
from tests.conftest import NOON

HOUR_MS = 3_600_000
MAKE = {"If-None-Match": "*"}
ANY = {"If-Match": "*"}
PATCH = {"Content-Type": "application/merge-patch+json", **ANY}


def rectangle(west: float, south: float, east: float, north: float) -> dict[str, Any]:
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [ring]}, "properties": {"name": "x"}}


# A hundredth of a thousandth of a degree is 0.67 m to the east and 1.11 m to the north.
LAWN = rectangle(-8.5777, 52.6724, -8.5767, 52.6729)
WIDER = rectangle(-8.5777, 52.6724, -8.5760, 52.6729)
SHED = rectangle(-8.57770, 52.67240, -8.57755, 52.67255)
ELSEWHERE = rectangle(-8.5757, 52.6724, -8.5750, 52.6729)


class Moment:
    """A clock that stands where it is put."""

    def __init__(self) -> None:
        self.at = NOON

    def __call__(self) -> int:
        return self.at


@pytest.fixture
def clock() -> Moment:
    return Moment()


@pytest.fixture
async def admin(
    parts: Parts, settings: ApiSettings, clock: Moment, redis_client: Redis
) -> AsyncIterator[httpx.AsyncClient]:
    """An administrator of a system where counts are protected, and three zones may hold one place."""
    protected = settings.model_copy(update={"privacy": Privacy.PROTECTED, "privacy_zone_depth": 3})
    async with client_over(dataclasses.replace(parts, settings=protected, clock=clock)) as client:
        client.headers.update(await key_for(redis_client, "admin"))
        yield client


async def test_a_zone_that_would_tell_of_few_people_is_refused_with_what_it_needs(
    admin: httpx.AsyncClient, redis_client: Redis
) -> None:
    problem = assert_problem(await admin.put("/v1/zones/shed", json=SHED, headers=MAKE), 422)

    assert problem["errors"] == [
        {"parameter": "body", "detail": "'shed' has 169 m² on the campus, and needs 400 (PRIVACY_ZONE_AREA)"}
    ]
    assert await stored_campus(redis_client) is None


async def test_a_zone_that_differs_from_another_by_a_strip_is_refused(admin: httpx.AsyncClient, clock: Moment) -> None:
    assert (await admin.put("/v1/zones/lawn", json=LAWN, headers=MAKE)).status_code == 201
    clock.at += HOUR_MS

    problem = assert_problem(
        await admin.put("/v1/zones/again", json=rectangle(-8.5777, 52.6724, -8.5767, 52.67295), headers=MAKE), 422
    )

    assert problem["errors"][0]["detail"].startswith("'again' and 'lawn' differ by 375 m²")


async def test_under_open_zones_may_be_as_fine_as_they_are_drawn(
    client: httpx.AsyncClient, redis_client: Redis
) -> None:
    client.headers.update(await key_for(redis_client, "admin"))

    assert (await client.put("/v1/zones/shed", json=SHED, headers=MAKE)).status_code == 201
    assert (await client.put("/v1/zones/shed", json=LAWN, headers=ANY)).status_code == 200


async def test_outlines_of_a_place_change_once_an_hour_whatever_their_zones_are_called(
    admin: httpx.AsyncClient, clock: Moment
) -> None:
    assert (await admin.put("/v1/zones/lawn", json=LAWN, headers=MAKE)).status_code == 201
    clock.at += HOUR_MS - 1500

    for change in (
        admin.put("/v1/zones/lawn", json=WIDER, headers=ANY),
        admin.delete("/v1/zones/lawn", headers=ANY),
        admin.put("/v1/zones/other", json=WIDER, headers=MAKE),
    ):
        refused = await change
        assert assert_problem(refused, 429)["detail"] == (
            "The outline of 'lawn' was changed within the hour, and each change there begins counts anew, which tells"
            " anew who is there. Try again in 2 s."
        )
        assert refused.headers["retry-after"] == "2"
    clock.at += 1500

    assert (await admin.put("/v1/zones/lawn", json=WIDER, headers=ANY)).status_code == 200


async def test_a_place_is_remembered_where_its_zone_was_deleted_or_moved(
    admin: httpx.AsyncClient, clock: Moment
) -> None:
    assert (await admin.put("/v1/zones/lawn", json=LAWN, headers=MAKE)).status_code == 201
    clock.at += HOUR_MS
    assert (await admin.put("/v1/zones/lawn", json=ELSEWHERE, headers=ANY)).status_code == 200

    assert_problem(await admin.put("/v1/zones/other", json=WIDER, headers=MAKE), 429)
    clock.at += HOUR_MS
    assert (await admin.delete("/v1/zones/lawn", headers=ANY)).status_code == 204
    assert_problem(await admin.put("/v1/zones/third", json=ELSEWHERE, headers=MAKE), 429)
    assert (await admin.put("/v1/zones/fourth", json=WIDER, headers=MAKE)).status_code == 201


async def test_names_and_capacities_and_other_places_may_change_at_any_time(admin: httpx.AsyncClient) -> None:
    assert (await admin.put("/v1/zones/lawn", json=LAWN, headers=MAKE)).status_code == 201

    named = await admin.patch("/v1/zones/lawn", content=b'{"properties":{"name":"Lawn","capacity":9}}', headers=PATCH)
    assert named.status_code == 200
    assert (await admin.put("/v1/zones/beside", json=ELSEWHERE, headers=MAKE)).status_code == 201


async def test_the_outline_of_the_campus_has_an_hour_of_its_own(admin: httpx.AsyncClient) -> None:
    campus = (await admin.get("/v1/zones/campus")).json()
    assert (await admin.put("/v1/zones/lawn", json=LAWN, headers=MAKE)).status_code == 201
    (ring,) = campus["geometry"]["coordinates"]
    corners = [[longitude, latitude + (0.001 if latitude > 52.674 else 0)] for longitude, latitude in ring]
    assert corners != ring

    moved = {**campus, "geometry": {"type": "Polygon", "coordinates": [corners]}}
    assert (await admin.put("/v1/zones/campus", json=moved, headers=ANY)).status_code == 200
    assert_problem(await admin.put("/v1/zones/campus", json=campus, headers=ANY), 429)


async def test_where_too_many_outlines_changed_to_know_where_none_is_changed(
    admin: httpx.AsyncClient, redis_client: Redis, parts: Parts
) -> None:
    version = parts.campus.version
    for number in range(100):
        change = ZoneChange(zone=f"z{number}", at=NOON - number, by="k", before=None)
        assert await replace_campus(
            redis_client,
            StoredCampus(version, json.dumps(parts.campus.as_feature_collection()).encode()),
            replaces=version,
            changed=[],
            partitions=1,
            kinds=parts.kinds,
            change=change,
        )

    assert await outline_changes(redis_client, NOON - HOUR_MS) is None
    assert_problem(await admin.put("/v1/zones/lawn", json=LAWN, headers=MAKE), 429)
    assert await outline_changes(redis_client, NOON - 50) is not None  # an older one is kept, too


async def test_one_zone_holds_a_place_unless_more_are_allowed(
    parts: Parts, settings: ApiSettings, clock: Moment, redis_client: Redis
) -> None:
    protected = settings.model_copy(update={"privacy": Privacy.PROTECTED})
    async with client_over(dataclasses.replace(parts, settings=protected, clock=clock)) as client:
        client.headers.update(await key_for(redis_client, "admin"))
        problem = assert_problem(await client.put("/v1/zones/lawn", json=LAWN, headers=MAKE), 422)

    assert problem["errors"][0]["detail"] == "'lawn' and 'kemmy' hold one place, and at most 1 may (PRIVACY_ZONE_DEPTH)"
