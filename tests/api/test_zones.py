import dataclasses
import json
from pathlib import Path

import httpx
import pytest

from api.zones.campus import FollowedCampus
from geofence import load_campus
from tests.api.conftest import Parts, assert_problem, client_over, key_for


async def test_zones_are_a_feature_collection_of_the_campus_and_its_22_zones(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/zones")

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/geo+json"
    body = answer.json()
    assert body["type"] == "FeatureCollection"
    assert [feature["properties"]["role"] for feature in body["features"]] == ["boundary"] + ["zone"] * 22
    assert body["features"][0]["id"] == "campus"
    assert {feature["geometry"]["type"] for feature in body["features"]} == {"Polygon"}


async def test_a_zone_is_the_same_feature_as_in_the_list(client: httpx.AsyncClient) -> None:
    listed = (await client.get("/v1/zones")).json()["features"]

    for feature in listed:
        answer = await client.get(f"/v1/zones/{feature['id']}")
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/geo+json"
        assert answer.json() == feature


async def test_an_unknown_zone_is_a_problem_that_names_it_and_says_where_the_zones_are(
    client: httpx.AsyncClient,
) -> None:
    for path in ("/v1/zones/atlantis", "/v1/zones/atlantis/occupancy", "/v1/zones/atlantis/occupancy/history?kind=car"):
        problem = assert_problem(await client.get(path), 404)

        assert problem["type"] == "/docs#unknown-zone"
        assert "'atlantis'" in str(problem["detail"])
        assert "/v1/zones" in str(problem["detail"])
        assert problem["instance"] == path.partition("?")[0]


async def test_a_client_that_has_the_zones_gets_a_304_without_a_body(client: httpx.AsyncClient) -> None:
    for path in ("/v1/zones", "/v1/zones/kemmy"):
        first = await client.get(path)
        etag = first.headers["etag"]
        assert first.headers["cache-control"] == "public, no-cache"
        for known in (etag, f"W/{etag}", f'"other", {etag}', "*"):
            answer = await client.get(path, headers={"If-None-Match": known})
            assert answer.status_code == 304
            assert answer.content == b""
            assert answer.headers["etag"] == etag
            assert answer.headers["cache-control"] == first.headers["cache-control"]


@pytest.mark.parametrize("other", ['"other"', "", '"', "970fd18c17ce27cc", ",,,"])
async def test_a_client_that_has_other_zones_gets_them_all(client: httpx.AsyncClient, other: str) -> None:
    answer = await client.get("/v1/zones", headers={"If-None-Match": other})

    assert answer.status_code == 200
    assert len(answer.json()["features"]) == 23


async def test_zones_say_whose_map_they_were_drawn_from_and_a_change_of_one_keeps_it(parts: Parts) -> None:
    drawn = dataclasses.replace(load_campus(None), attribution="© Mappers")
    of_map = dataclasses.replace(parts, followed=FollowedCampus(client=parts.redis, file=drawn))
    async with client_over(of_map) as client:
        client.headers.update(await key_for(parts.redis, "admin"))
        before = (await client.get("/v1/zones")).json()
        page = (await client.get("/v1/zones?limit=2")).json()
        etag = (await client.get("/v1/zones/kemmy")).headers["etag"]
        changed = await client.patch(
            "/v1/zones/kemmy",
            content=json.dumps({"properties": {"name": "Books"}}),
            headers={"If-Match": etag, "Content-Type": "application/merge-patch+json"},
        )
        after = (await client.get("/v1/zones")).json()

    assert changed.status_code == 200
    assert (before["attribution"], page["attribution"], after["attribution"]) == ("© Mappers",) * 3


async def test_another_campus_has_another_etag(parts: Parts, client: httpx.AsyncClient, tmp_path: Path) -> None:
    file = tmp_path / "campus.geojson"
    square = [[[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]]
    feature = {
        "type": "Feature",
        "id": "c",
        "geometry": {"type": "Polygon", "coordinates": square},
        # More than 64 bits: JSON has no limit, and neither have a campus's own properties.
        "properties": {"role": "boundary", "population": 10**30},
    }
    file.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    async with client_over(
        dataclasses.replace(parts, followed=FollowedCampus(client=parts.redis, file=load_campus(file)))
    ) as of_other:
        answer = await of_other.get("/v1/zones")

    assert answer.json()["features"][0]["properties"]["population"] == 10**30
    assert answer.headers["etag"] != (await client.get("/v1/zones")).headers["etag"]
