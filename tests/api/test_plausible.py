"""`plausible` of GET /v1/positions and POST /v1/positions/search: what marks leave out, and what they give alone."""

import json
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from api.positions.plausibility import Plausibility
from core.marks import Mark
from core.messages import Position
from documents import DocumentStore, document_id, to_document
from state.judging import HoursToJudge
from tests.api.conftest import assert_problem, key_for
from tests.conftest import NOON
from tests.documents.positions import position

HOUR = 3_600_000
POSITIONS, SEARCH = "/v1/positions", "/v1/positions/search"
SEQUENCE = {"Accept": "application/geo+json-seq"}
CAMPUS = {"type": "Polygon", "coordinates": [[[-8.6, 52.6], [-8.5, 52.6], [-8.5, 52.7], [-8.6, 52.7], [-8.6, 52.6]]]}
HONEST, SPOOFER, JUMPY = (f"{number:032x}" for number in (1, 2, 3))


async def mark(client: Redis, hour: int, marks: dict[str, frozenset[Mark]]) -> None:
    hours = HoursToJudge(client, keep_ms=24 * HOUR)
    await hours.note({hour: hour}, now=NOON)
    claim = await hours.claim(now=NOON, until=NOON + 1)
    assert claim
    assert await hours.settle(claim, marks, now=NOON)


@pytest.fixture
async def reader(client: httpx.AsyncClient, redis_client: Redis) -> httpx.AsyncClient:
    client.headers.update(await key_for(redis_client, "positions:read"))
    return client


@pytest.fixture
async def kept(documents: DocumentStore, redis_client: Redis) -> list[Position]:
    """Three devices in three hours, the newest first: one is marked in one of them, one has jumped once."""
    found = [
        position(device=device, observed_at=NOON - minute * 60_000 - number)
        for minute in range(1, 180, 2)
        for number, device in enumerate((HONEST, SPOOFER, JUMPY))
    ]
    jump = position(device=JUMPY, observed_at=NOON - 30, implausible=True)
    await documents.setup()
    await documents.put([jump, *found])
    await mark(redis_client, NOON - 2 * HOUR, {SPOOFER: frozenset({Mark.PERFECT, Mark.REPLAYED})})
    return [jump, *found]


def is_marked(each: Position) -> bool:
    return each.device == SPOOFER and NOON - 2 * HOUR <= each.observed_at < NOON - HOUR


async def all_pages(client: httpx.AsyncClient, path: str, **asked: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    answer = await client.request("POST" if "json" in asked else "GET", path, **asked)
    while True:
        assert answer.status_code == 200, answer.text
        body = answer.json()
        found += body["features"]
        if not body["links"]:
            return found
        [link] = body["links"]
        answer = await client.request(link["method"], link["href"], json=asked.get("json"))


@pytest.mark.parametrize("path", [POSITIONS, SEARCH])
@pytest.mark.parametrize("limit", [7, 1000])
async def test_plausible_leaves_out_what_is_marked_and_its_opposite_gives_that_alone(
    reader: httpx.AsyncClient, kept: list[Position], path: str, limit: int
) -> None:
    body = {"json": CAMPUS} if path == SEARCH else {}

    believed = await all_pages(reader, path, params={"plausible": "true", "limit": limit}, **body)
    doubted = await all_pages(reader, path, params={"plausible": "false", "limit": limit}, **body)
    everything = await all_pages(reader, path, params={"limit": limit}, **body)

    assert [each["id"] for each in believed] == [document_id(each) for each in kept[1:] if not is_marked(each)]
    assert [each["id"] for each in doubted] == [
        document_id(kept[0]),
        *(document_id(each) for each in kept if is_marked(each)),
    ]
    assert [each["id"] for each in everything] == [document_id(each) for each in kept]
    assert [each["properties"].get("marks") for each in doubted] == [None, *[["replayed", "perfect"]] * 30]
    assert not any("marks" in each["properties"] for each in [*believed, *everything])


async def test_a_sequence_and_a_device_are_asked_for_likewise(reader: httpx.AsyncClient, kept: list[Position]) -> None:
    query = {"plausible": "false", "device": SPOOFER}
    answer = await reader.get(POSITIONS, params=query, headers=SEQUENCE)
    found = [json.loads(record) for record in answer.content.split(b"\x1e")[1:]]
    assert [each["id"] for each in found] == [document_id(each) for each in kept if is_marked(each)]
    assert {tuple(each["properties"]["marks"]) for each in found} == {("replayed", "perfect")}


async def test_an_hour_that_is_not_judged_has_what_its_documents_say_alone(
    reader: httpx.AsyncClient, kept: list[Position], redis_client: Redis
) -> None:
    await redis_client.delete(f"marks:{{campus}}:{NOON - 2 * HOUR}")
    doubted = await all_pages(reader, POSITIONS, params={"plausible": "false"})
    assert [each["id"] for each in doubted] == [document_id(kept[0])]


async def test_an_answer_keeps_the_marks_of_three_hours_and_no_more(redis_client: Redis) -> None:
    for hour in range(11):
        await mark(redis_client, NOON - hour * HOUR, {SPOOFER: frozenset({Mark.PERFECT})})
    asked = Plausibility(redis_client, wanted=False)
    sent = [
        to_document(position(device=SPOOFER, observed_at=NOON - minute * 60_000)) for minute in range(0, 10 * 60, 20)
    ]
    found = await asked.features(sent)
    assert [each["properties"]["marks"] for each in found] == [["perfect"]] * 30
    assert len(asked._hours) == 3


async def test_what_is_neither_true_nor_false_is_refused(reader: httpx.AsyncClient) -> None:
    assert_problem(await reader.get(POSITIONS, params={"plausible": "perhaps"}), 422)
