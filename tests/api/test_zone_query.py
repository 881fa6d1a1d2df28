import httpx
import pytest

from tests.api.conftest import Parts, assert_problem

MAX_FEATURES = 10_000


async def ids(client: httpx.AsyncClient, **query: object) -> list[str]:
    answer = await client.get("/v1/zones", params={name: str(value) for name, value in query.items()})
    assert answer.status_code == 200, answer.text
    return [feature["id"] for feature in answer.json()["features"]]


async def test_without_a_query_all_zones_are_on_one_page(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/zones")

    body = answer.json()
    assert (body["numberMatched"], body["numberReturned"], body["links"]) == (23, 23, [])
    assert "link" not in answer.headers


@pytest.mark.parametrize("limit", [1, 5, 22, 23, 24])
async def test_pages_follow_each_other_by_next_until_all_zones_were_there(
    client: httpx.AsyncClient, limit: int
) -> None:
    everything = await ids(client)
    address, found, pages = f"/v1/zones?limit={limit}", [], 0
    while True:
        answer = await client.get(address)
        body = answer.json()
        pages += 1
        assert body["numberReturned"] == len(body["features"]) <= limit
        assert body["numberMatched"] == 23
        found += [feature["id"] for feature in body["features"]]
        if not body["links"]:
            assert "link" not in answer.headers
            break
        [link] = body["links"]
        assert (link["rel"], link["type"]) == ("next", "application/geo+json")
        assert answer.headers["link"] == f'<{link["href"]}>; rel="next"'
        address = link["href"]
    assert found == everything
    assert pages == -(-23 // limit)


async def test_a_box_gives_what_it_meets_and_pages_keep_it(client: httpx.AsyncClient, parts: Parts) -> None:
    west, south, east, north = parts.campus.by_id["kemmy"].geometry.bounds
    box = f"{west},{south},{east},{north}"

    met = await ids(client, bbox=box)

    assert met[0] == "campus"
    assert "kemmy" in met
    assert len(met) < 23
    assert await ids(client, bbox=f"{west},{south},-100,{east},{north},100") == met
    first = (await client.get("/v1/zones", params={"bbox": box, "limit": "1"})).json()
    second = (await client.get(first["links"][0]["href"])).json()
    assert [first["features"][0]["id"], second["features"][0]["id"]] == met[:2]
    assert second["numberMatched"] == len(met)


async def test_a_point_is_a_box_too_and_one_far_away_meets_nothing(client: httpx.AsyncClient, parts: Parts) -> None:
    point = parts.campus.by_id["kemmy"].geometry.representative_point()

    assert "kemmy" in await ids(client, bbox=f"{point.x},{point.y},{point.x},{point.y}")
    assert await ids(client, bbox="0,0,1,1") == []


async def test_a_box_may_span_the_antimeridian(client: httpx.AsyncClient) -> None:
    assert await ids(client, bbox="170,50,-170,55") == []
    assert len(await ids(client, bbox="170,50,-8,55")) == 23


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("bbox=", "bbox"),
        ("bbox=1,2,3", "bbox"),
        ("bbox=1,2,3,4,5", "bbox"),
        ("bbox=a,b,c,d", "bbox"),
        ("bbox=nan,0,1,1", "bbox"),
        ("bbox=0,0,inf,1", "bbox"),
        ("bbox=0,2,1,1", "bbox"),
        ("bbox=0,-91,1,1", "bbox"),
        ("bbox=0,0,181,1", "bbox"),
        ("bbox=" + "1" * 300, "bbox"),
        ("limit=0", "limit"),
        (f"limit={MAX_FEATURES + 1}", "limit"),
        ("limit=x", "limit"),
        ("cursor=", "cursor"),
        ("cursor=%ff", "cursor"),
        ("cursor=é", "cursor"),
        ("cursor=YWJj", "cursor"),
        ("cursor=b3RoZXI6NQ", "cursor"),
        ("cursor=" + "A" * 300, "cursor"),
        ("offset=1", "offset"),
    ],
)
async def test_a_query_that_cannot_be_used_is_named(client: httpx.AsyncClient, query: str, parameter: str) -> None:
    problem = assert_problem(await client.get(f"/v1/zones?{query}"), 422)

    assert [error["parameter"] for error in problem["errors"]] == [parameter]


async def test_a_page_is_asked_for_again_by_its_etag(client: httpx.AsyncClient) -> None:
    first = await client.get("/v1/zones?limit=3")
    again = await client.get("/v1/zones?limit=3", headers={"If-None-Match": first.headers["etag"]})
    other = await client.get("/v1/zones?limit=4", headers={"If-None-Match": first.headers["etag"]})

    assert (again.status_code, other.status_code) == (304, 200)
