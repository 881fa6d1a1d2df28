"""Positions where PRIVACY is not open: cells for some, pseudonyms for others, and all of it written down."""

import base64
import dataclasses
import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter
from redis.asyncio import Redis

from api.positions.cells import Cells
from api.positions.dependencies import Guarded
from api.positions.pseudonyms import Pseudonyms
from api.positions.query import PlaceQuery
from api.positions.types import cell_collection, position_collection
from core.clock import format_rfc3339
from core.kinds import DEFAULT_KINDS
from core.marks import Mark
from disclosure.policy import Privacy
from documents import DocumentStore
from geofence import box_of, cell
from runtime.devices import DeviceHasher
from state.audit import AUDIT, Question, note_question, questions
from tests.api.conftest import Parts, assert_problem, client_over, key_for
from tests.api.test_plausible import mark
from tests.conftest import NOON
from tests.documents.positions import position

POSITIONS = "/v1/positions"
SEARCH = "/v1/positions/search"
SEQUENCE = {"Accept": "application/geo+json-seq"}
MINUTE = 60_000
QUARTER = 15 * MINUTE
HOUR = 60 * MINUTE
DAY = 24 * HOUR
DUBLIN = ZoneInfo("Europe/Dublin")
HERE = (-8.5701, 52.6741)
THERE = (-8.5751, 52.6771)
PURPOSE = "a study of queues"


@pytest.fixture
def protected(parts: Parts) -> Parts:
    return dataclasses.replace(
        parts, settings=parts.settings.model_copy(update={"privacy": Privacy.PROTECTED, "privacy_width": 30})
    )


@pytest.fixture
async def client(protected: Parts, documents: DocumentStore) -> AsyncIterator[httpx.AsyncClient]:
    await documents.setup()
    async with client_over(protected) as opened:
        yield opened


@pytest.fixture
async def exact(redis_client: Redis) -> dict[str, str]:
    return await key_for(redis_client, "positions:exact", purpose=PURPOSE)


@pytest.fixture
async def read(redis_client: Redis) -> dict[str, str]:
    return await key_for(redis_client, "positions:read", purpose=PURPOSE)


def names_of(protected: Parts, headers: dict[str, str]) -> Pseudonyms:
    return Pseudonyms(protected.hasher, key_id(headers), DUBLIN)


def key_id(headers: dict[str, str]) -> str:
    return headers["Authorization"].split("_")[1]


async def put(
    documents: DocumentStore, count: int, *, at: int, place: tuple[float, float] = HERE, first: int = 0
) -> None:
    """Let so many devices be there, each with a position of its own."""
    longitude, latitude = place
    await documents.put(
        [
            position(
                first + number,
                longitude=longitude,
                latitude=latitude,
                cell=cell(longitude, latitude),
                observed_at=at + number,
                zones=("campus",),
            )
            for number in range(count)
        ]
    )


async def audited(redis: Redis) -> list[Question]:
    return [each async for each in questions(redis)]


async def test_an_exact_position_names_its_device_by_a_pseudonym_of_the_key_and_the_day(
    client: httpx.AsyncClient, documents: DocumentStore, protected: Parts, redis_client: Redis, exact: dict[str, str]
) -> None:
    other = await key_for(redis_client, "positions:exact", purpose=PURPOSE)
    yesterday = NOON - DAY + HOUR
    put_there = [position(1, observed_at=at) for at in (NOON - 1000, NOON - 5000, yesterday)]
    await documents.put(put_there)

    answer = await client.get(POSITIONS, headers=exact, params={"start": format_rfc3339(NOON - 2 * DAY)})

    TypeAdapter(position_collection(DEFAULT_KINDS)).validate_json(answer.content)
    found = answer.json()["features"]
    names = [each["properties"]["device"] for each in found]
    assert names[0] == names[1] != names[2]
    assert all(re.fullmatch("[0-9a-f]{32}", name) for name in names)
    assert [each["id"] for each in found] == [
        f"{name}-{each.observed_at:015d}" for name, each in zip(names, put_there, strict=True)
    ]
    assert put_there[0].device not in answer.text
    seen_by_another = (await client.get(POSITIONS, headers=other)).json()["features"]
    assert not {each["properties"]["device"] for each in seen_by_another} & set(names)
    assert names_of(protected, exact).hash_of(names[2], yesterday) == put_there[2].device


async def test_a_device_is_found_by_its_pseudonym_on_its_day_alone(
    client: httpx.AsyncClient, documents: DocumentStore, protected: Parts, exact: dict[str, str]
) -> None:
    await documents.put([position(number, observed_at=NOON - 1000 * number) for number in (1, 2)])
    await documents.put([position(1, observed_at=NOON - DAY)])
    today = names_of(protected, exact).of(position(1).device, NOON)

    async def found(**asked: str) -> list[str]:
        answer = await client.get(POSITIONS, headers=exact, params={"device": today, **asked})
        assert answer.status_code == 200, answer.text
        return [each["properties"]["observed_at"] for each in answer.json()["features"]]

    assert await found() == ["2026-03-01T11:59:59.000Z"]
    assert await found(start="2026-03-01T00:00:00Z") == ["2026-03-01T11:59:59.000Z"]
    assert await found(end="2026-03-02T00:00:00Z") == ["2026-03-01T11:59:59.000Z"]
    # Yesterday nobody had that name.
    assert await found(start="2026-02-28T00:00:00Z", end="2026-03-01T00:00:00Z") == []
    assert await found(end="2026-03-01T00:00:00Z") == []


@pytest.mark.parametrize(
    ("start", "end"),
    [("2026-02-28T23:59:59Z", "2026-03-01T00:00:01Z"), ("2026-02-28T00:00:00Z", "2026-03-01T00:00:00.001Z")],
)
async def test_a_search_for_a_device_lies_in_one_day_of_the_campus(
    client: httpx.AsyncClient, exact: dict[str, str], start: str, end: str
) -> None:
    asked = {"device": "0" * 32, "start": start, "end": end}
    problem = assert_problem(await client.get(POSITIONS, headers=exact, params=asked), 422)

    [error] = problem["errors"]
    assert error["parameter"] == "device"
    assert "2026-02-28T00:00:00Z and 2026-03-01T00:00:00Z" in error["detail"]


async def test_a_hash_that_somebody_knows_leads_nowhere(
    client: httpx.AsyncClient, documents: DocumentStore, exact: dict[str, str]
) -> None:
    await documents.put([position(1, observed_at=NOON - 1000)])

    answer = await client.get(POSITIONS, headers=exact, params={"device": position(1).device})

    assert answer.json()["features"] == []


@pytest.mark.parametrize("headers", [{}, SEQUENCE])
async def test_pages_and_sequences_have_pseudonyms_and_no_cursor_names_a_document(
    client: httpx.AsyncClient, documents: DocumentStore, exact: dict[str, str], headers: dict[str, str]
) -> None:
    await documents.put([position(number, observed_at=NOON - 1000 * number) for number in range(7)])
    texts, found = [], list[str]()
    address: str | None = f"{POSITIONS}?limit=3" if not headers else POSITIONS
    while address:
        answer = await client.get(address, headers=exact | headers)
        assert answer.status_code == 200, answer.text
        texts.append(answer.text)
        if headers:
            found = [json.loads(each)["id"] for each in answer.content.split(b"\x1e")[1:]]
            break
        body = answer.json()
        found += [each["id"] for each in body["features"]]
        address = body["links"][0]["href"] if body["links"] else None

    assert [int(each.split("-")[1]) for each in found] == [NOON - 1000 * number for number in range(7)]
    cursors = [each for text in texts for each in re.findall(r"cursor=([\w-]+)", text)]
    assert len(cursors) == (0 if headers else 2)
    for text in (*texts, *(base64.urlsafe_b64decode(each + "==").decode("latin-1") for each in cursors)):
        assert not [number for number in range(7) if position(number).device in text]


async def test_a_cursor_is_that_of_one_key_and_nobody_can_make_one_up(
    client: httpx.AsyncClient, documents: DocumentStore, redis_client: Redis, exact: dict[str, str]
) -> None:
    other = await key_for(redis_client, "positions:exact", purpose=PURPOSE)
    await documents.put([position(number, observed_at=NOON - 1000 * number) for number in range(3)])
    [link] = (await client.get(POSITIONS, headers=exact, params={"limit": 1})).json()["links"]
    cursor = httpx.URL(link["href"]).params["cursor"]
    stores_own = base64.urlsafe_b64encode(json.dumps([NOON, f"{position(1).device}-{NOON:015d}"]).encode()).decode()

    assert (await client.get(POSITIONS, headers=exact, params={"cursor": cursor})).status_code == 200
    for headers, wrong in (
        (other, cursor),
        (exact, cursor[:-2]),
        (exact, stores_own.rstrip("=")),
        (exact, "AA"),
        (exact, "ä"),
    ):
        problem = assert_problem(await client.get(POSITIONS, headers=headers, params={"cursor": wrong}), 422)
        assert problem["errors"][0]["parameter"] == "cursor"


async def test_marks_are_those_of_the_device_behind_a_pseudonym(
    client: httpx.AsyncClient,
    documents: DocumentStore,
    protected: Parts,
    service_redis: Redis,
    exact: dict[str, str],
) -> None:
    at = NOON - HOUR
    await documents.put([position(number, observed_at=at + number) for number in (1, 2)])
    await mark(service_redis, at, {position(1).device: frozenset({Mark.REPLAYED})})

    [feature] = (await client.get(POSITIONS, headers=exact, params={"plausible": "false"})).json()["features"]

    assert feature["properties"]["device"] == names_of(protected, exact).of(position(1).device, at)
    assert feature["properties"]["marks"] == ["replayed"]


# Cells.


async def test_who_may_read_no_single_positions_is_told_cells_of_quarters_that_are_over(
    client: httpx.AsyncClient, documents: DocumentStore, read: dict[str, str]
) -> None:
    # Of 5 + 20 more than one step of 30 is told for certain from 55 on.
    await put(documents, 60, at=NOON - QUARTER)
    await put(documents, 60, at=NOON - 2 * QUARTER, place=THERE)
    await put(documents, 24, at=NOON - 2 * QUARTER, first=100)
    await put(documents, 60, at=NOON, first=200)
    await put(documents, 60, at=NOON - 5 * QUARTER, first=300)

    answer = await client.get(POSITIONS, headers=read)

    assert answer.headers["cache-control"] == "private, no-store"
    TypeAdapter(cell_collection(DEFAULT_KINDS)).validate_json(answer.content)
    body = answer.json()
    assert (body["numberReturned"], body["links"], body["protected"]) == (2, [], True)
    newest, oldest = body["features"]
    assert newest["id"] == f"{cell(*HERE)[:7]}-{NOON - QUARTER:015d}-car"
    assert newest["properties"]["start"] == "2026-03-01T11:45:00Z"
    assert newest["properties"]["end"] == "2026-03-01T12:00:00Z"
    assert newest["properties"]["devices"] in {30, 60}
    assert oldest["properties"]["cell"] == cell(*THERE)[:7]
    west, south = newest["geometry"]["coordinates"][0][0]
    east, north = newest["geometry"]["coordinates"][0][2]
    assert west <= HERE[0] <= east
    assert south <= HERE[1] <= north
    assert 'device"' not in answer.text
    assert not [number for number in range(60) if position(number).device in answer.text]


async def test_cells_are_told_whole_wherever_is_asked_for_them(
    client: httpx.AsyncClient, documents: DocumentStore, read: dict[str, str]
) -> None:
    await put(documents, 60, at=NOON - QUARTER)
    await put(documents, 60, at=NOON - QUARTER, place=THERE, first=100)
    longitude, latitude = HERE
    ring = [(longitude + east, latitude + north) for east, north in ((0, 0), (1e-6, 0), (1e-6, 1e-6), (0, 0))]

    async def devices(**asked: Any) -> dict[str, int]:
        path, method = (SEARCH, "POST") if "json" in asked else (POSITIONS, "GET")
        answer = await client.request(method, path, headers=read, **asked)
        assert answer.status_code == 200, answer.text
        return {each["properties"]["cell"]: each["properties"]["devices"] for each in answer.json()["features"]}

    everything = await devices()
    here = {name: count for name, count in everything.items() if name == cell(*HERE)[:7]}
    assert len(everything) == 2
    assert len(here) == 1
    # A box, a circle and a triangle that are a tiny part of the cell.
    assert await devices(params={"bbox": f"{longitude},{latitude},{longitude + 1e-6},{latitude + 1e-6}"}) == here
    assert await devices(params={"near": f"{longitude + 2e-5},{latitude}", "distance": "0.5"}) == here
    assert await devices(json={"type": "Polygon", "coordinates": [ring]}) == here
    # All of the earth, and where none of them is.
    assert await devices(params={"bbox": "-180,-90,180,90"}) == everything
    assert await devices(params={"bbox": "10,10,11,11"}) == {}
    assert (
        await devices(
            params={"bbox": f"{longitude},{latitude},{longitude},{latitude}", "near": "10,10", "distance": "1"}
        )
        == {}
    )
    assert await devices(params={"zone": "nowhere"}) == {}
    assert (await devices(params={"zone": "kemmy"})).items() <= everything.items()
    assert await devices(params={"zone": "campus"}) == everything


async def test_cells_come_as_a_sequence_too(
    client: httpx.AsyncClient, documents: DocumentStore, read: dict[str, str]
) -> None:
    await put(documents, 60, at=NOON - QUARTER)

    answer = await client.get(POSITIONS, headers=read | SEQUENCE)

    assert answer.headers["content-type"] == "application/geo+json-seq"
    [record] = answer.content.split(b"\x1e")[1:]
    assert json.loads(record)["properties"]["cell"] == cell(*HERE)[:7]


@pytest.mark.parametrize(
    ("asked", "status", "named"),
    [
        ({"device": "0" * 32}, 403, "positions:exact"),
        ({"plausible": "true"}, 403, "positions:exact"),
        ({"limit": "10"}, 422, "limit"),
        ({"cursor": "x"}, 422, "cursor"),
        ({"near": "1,1"}, 422, "distance"),
        ({"start": "2026-03-01T07:00:00Z", "end": "2026-03-01T11:15:00Z"}, 422, "4 hours"),
        ({"start": "2026-03-01T09:00:00Z", "end": "2026-03-01T09:00:00Z"}, 422, "start"),
    ],
)
async def test_what_cells_cannot_say_is_refused_in_words(
    client: httpx.AsyncClient, read: dict[str, str], asked: dict[str, str], status: int, named: str
) -> None:
    problem = assert_problem(await client.get(POSITIONS, headers=read, params=asked), status)

    assert named in json.dumps(problem)


async def test_only_whole_quarters_are_told_whatever_the_range_is(
    client: httpx.AsyncClient, documents: DocumentStore, read: dict[str, str]
) -> None:
    await put(documents, 60, at=NOON - QUARTER)

    async def found(start: int, end: int) -> int:
        asked = {"start": format_rfc3339(start), "end": format_rfc3339(end)}
        answer = await client.get(POSITIONS, headers=read, params=asked)
        assert answer.status_code == 200, answer.text
        return int(answer.json()["numberReturned"])

    assert await found(NOON - QUARTER, NOON) == 1
    assert await found(NOON - QUARTER, NOON + HOUR) == 1
    assert await found(NOON - QUARTER + 1, NOON) == 0
    assert await found(NOON - QUARTER, NOON - 1) == 0


def cells(parts: Parts, key: bytes = b"k" * 32) -> Cells:
    guarded = parts.rooms.positions.guarded
    assert isinstance(guarded, Guarded)
    return dataclasses.replace(guarded.cells, hasher=DeviceHasher(key))


async def test_fewer_than_the_least_and_twenty_more_are_never_told(protected: Parts) -> None:
    told = {
        devices: {cells(protected).told(devices, cell="gc3gsvp", kind="car", quarter=number) for number in range(300)}
        for devices in (0, 1, 5, 24, 25, 26, 54)
    }

    assert [told[devices] for devices in (0, 1, 5, 24, 25)] == [{0}] * 5
    assert told[26] == told[54] == {0, 30}


async def test_one_device_more_makes_a_step_likelier_by_one_in_the_width_however_many_there_are(
    protected: Parts,
) -> None:
    """Counted out over draws: of each 30 one shows one device more, at 30 of whatever others send."""
    of_draws = [cells(protected, key.to_bytes(32)) for key in range(600)]
    for devices in (25, 26, 40, 54, 55, 100):
        moved = Counter(
            each.told(devices + 1, cell="gc3gsvp", kind="car", quarter=0)
            - each.told(devices, cell="gc3gsvp", kind="car", quarter=0)
            for each in of_draws
        )
        assert moved.keys() == {0, 30}
        # 600 / 30 = 20, by lot; the bound is five standard errors.
        assert abs(moved[30] - 20) < 22


# The audit log.


async def test_who_asks_is_written_down_before_they_are_answered(
    client: httpx.AsyncClient,
    documents: DocumentStore,
    protected: Parts,
    redis_client: Redis,
    exact: dict[str, str],
    read: dict[str, str],
    capfd: pytest.CaptureFixture[str],
) -> None:
    await documents.put([position(number, observed_at=NOON - 1000 * number) for number in range(3)])
    day = {"start": "2026-03-01T00:00:00Z", "end": "2026-03-02T00:00:00Z"}
    pseudonym = names_of(protected, exact).of(position(1).device, NOON)
    area = {"type": "Polygon", "coordinates": [[[-8.58, 52.67], [-8.56, 52.67], [-8.57, 52.68], [-8.58, 52.67]]]}

    await client.get(POSITIONS, headers=exact, params={**day, "device": pseudonym})
    await client.get(POSITIONS, headers=read)
    await client.post(SEARCH, headers=exact, params={**day, "limit": "2"}, json=area)
    await client.get(POSITIONS, headers=exact | SEQUENCE, params=day)

    lines = capfd.readouterr().out.splitlines()
    assert [pseudonym in line for line in lines if "positions are given" in line] == [False] * 4
    assert "device=one&start" in lines[0]
    kept = await audited(redis_client)
    of_exact = {"key": key_id(exact), "name": "a test", "purpose": PURPOSE, "at": NOON}
    assert [{name: getattr(each, name) for name in of_exact} for each in kept if each.shown == "exact"] == [
        of_exact
    ] * 3
    whole_day = "start=2026-03-01T00:00:00Z&end=2026-03-02T00:00:00Z"
    assert [(each.route, each.asked, each.shown, each.given) for each in kept] == [
        ("GET /v1/positions", f"device={pseudonym}&{whole_day}", "exact", 1),
        ("GET /v1/positions", "start=2026-03-01T11:00:00Z&end=2026-03-01T12:00:00Z", "cells", 0),
        (
            "POST /v1/positions/search",
            f"limit=2&{whole_day}&area=-8.580000,52.670000,-8.560000,52.680000",
            "exact",
            2,
        ),
        ("GET /v1/positions", whole_day, "exact", 3),
    ]


async def test_a_page_at_a_time_of_a_sequence_is_written_down_and_one_that_is_empty_as_well(
    client: httpx.AsyncClient, documents: DocumentStore, redis_client: Redis, exact: dict[str, str]
) -> None:
    assert (await client.get(POSITIONS, headers=exact | SEQUENCE)).content == b""
    await put(documents, 501, at=NOON - QUARTER)
    assert (await client.get(POSITIONS, headers=exact | SEQUENCE)).content.count(b"\x1e") == 501

    assert [each.given for each in await audited(redis_client)] == [0, 500, 1]


@pytest.mark.parametrize("scope", ["positions:read", "positions:exact", "admin"])
async def test_a_key_without_a_purpose_reads_no_positions_in_any_way(
    client: httpx.AsyncClient, redis_client: Redis, scope: str
) -> None:
    headers = await key_for(redis_client, scope)
    area = {"type": "Polygon", "coordinates": [[[-8.6, 52.6], [-8.5, 52.6], [-8.5, 52.7], [-8.6, 52.6]]]}
    for answer in (
        await client.get(POSITIONS, headers=headers),
        await client.get(POSITIONS, headers=headers | SEQUENCE),
        await client.post(f"{POSITIONS}/search", headers=headers, json=area),
    ):
        assert assert_problem(answer, 403)["type"] == "/docs#purpose-needed"


async def test_what_cannot_be_written_down_is_not_answered(
    protected: Parts, documents: DocumentStore, redis_client: Redis, exact: dict[str, str], read: dict[str, str]
) -> None:
    await documents.setup()
    await documents.put([position(1, observed_at=NOON - 1000)])
    async with client_over(protected) as client:
        await client.get(POSITIONS, headers=exact)
        before = await redis_client.xlen(AUDIT)
        await redis_client.config_set("maxmemory", 1)
        try:
            for headers in (exact, read, exact | SEQUENCE):
                problem = assert_problem(await client.get(POSITIONS, headers=headers), 503)
                assert "features" not in problem
        finally:
            await redis_client.config_set("maxmemory", 0)
    assert await redis_client.xlen(AUDIT) == before


async def test_who_has_a_device_forgotten_is_written_down_and_the_device_is_not(
    client: httpx.AsyncClient, redis_client: Redis
) -> None:
    admin = await key_for(redis_client, "admin", name="operations")

    answer = await client.delete("/v1/devices/bus-304/positions", headers=admin, params={"kind": "car"})

    assert answer.status_code == 200, answer.text
    [kept] = await audited(redis_client)
    assert (kept.name, kept.route, kept.asked, kept.shown, kept.given) == (
        "operations",
        "DELETE /v1/devices/{device_id}/positions",
        "kind=car",
        "nothing",
        0,
    )
    assert "bus-304" not in repr(kept)


async def test_where_all_is_open_positions_are_as_they_are_and_nothing_is_written_down(
    parts: Parts, documents: DocumentStore, redis_client: Redis
) -> None:
    await documents.setup()
    await documents.put([position(1, observed_at=NOON - 1000)])
    async with client_over(parts) as client:
        for scope in ("positions:read", "positions:exact"):
            [feature] = (await client.get(POSITIONS, headers=await key_for(redis_client, scope))).json()["features"]
            assert feature["properties"]["device"] == position(1).device

    assert not await redis_client.exists(AUDIT)


def test_the_document_says_which_answers_there_are(protected: Parts) -> None:
    document = protected.app().openapi()

    answer = document["paths"][POSITIONS]["get"]["responses"]["200"]["content"]["application/geo+json"]["schema"]
    assert [each["$ref"].rpartition("/")[2] for each in answer["anyOf"]] == ["PositionCollection", "CellCollection"]


# Pseudonyms by themselves.

AT = st.integers(0, 4_000_000_000_000)


@settings(max_examples=60, deadline=None)
@given(device=st.binary(min_size=16, max_size=16), at=AT, other=AT)
def test_a_pseudonym_turns_back_on_its_day_and_on_no_other(device: bytes, at: int, other: int) -> None:
    names = Pseudonyms(DeviceHasher(b"k" * 32), "0123456789abcdef", DUBLIN)
    pseudonym = names.of(device.hex(), at)

    assert re.fullmatch("[0-9a-f]{32}", pseudonym)
    assert pseudonym != device.hex()
    assert (names.hash_of(pseudonym, other) == device.hex()) is (names.day_of(at) == names.day_of(other))


def test_a_pseudonym_changes_at_midnight_of_the_campus_also_when_clocks_change() -> None:
    names = Pseudonyms(DeviceHasher(b"k" * 32), "0123456789abcdef", DUBLIN)
    device = "ab" * 16
    # Midnight in Dublin, in the night before the clocks went forward and in the one after it.
    for midnight in (1_774_742_400_000, 1_774_825_200_000):
        assert names.of(device, midnight - 1) != names.of(device, midnight)
        assert names.of(device, midnight) == names.of(device, midnight + 22 * HOUR)


def test_what_is_no_hash_of_ours_has_a_pseudonym_too() -> None:
    names = Pseudonyms(DeviceHasher(b"k" * 32), "0123456789abcdef", DUBLIN)
    feature = {"id": "someone-001", "properties": {"device": "someone", "observed_at": "2026-03-01T12:00:00Z"}}

    [named] = names.named([feature])

    assert re.fullmatch("[0-9a-f]{32}-001", named["id"])


# The command.


def command(redis_server: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "api", "audit", *arguments],
        env={**os.environ, "REDIS_URL": redis_server, "COLUMNS": "400"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


async def test_the_command_lists_who_has_read_the_oldest_first(redis_server: str, service_redis: Redis) -> None:
    for number, key in enumerate("aba"):
        question = Question(NOON, key * 16, "[red]ann", PURPOSE, "GET /v1/positions", "", "exact", number, "of nobody")
        await note_question(service_redis, question)
    await service_redis.xadd(AUDIT, {"at": "somebody else's"})

    of_one = command(redis_server, "--key", "a" * 16, "--json")
    assert [json.loads(line)["given"] for line in of_one.stdout.splitlines()] == [0, 2]
    assert json.loads(of_one.stdout.splitlines()[0])["at"] == "2026-03-01T12:00:00Z"
    table = command(redis_server).stdout
    assert "[red]ann" in table
    assert "3 questions" in table
    assert command(redis_server, "--since", "2100-01-01T00:00:00Z", "--json").stdout == ""
    assert command(redis_server, "--since", "yesterday").returncode == 2


# Which cells an area chooses.

LONGITUDES = st.one_of(st.floats(-180, 180), st.sampled_from([-180.0, 180.0, 0.0, -8.5701, -8.5695]))
LATITUDES = st.one_of(st.floats(-90, 90), st.sampled_from([-90.0, 90.0, 0.0, 52.6741, 52.6745]))
NEARBY = st.floats(-0.01, 0.01)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    longitude=LONGITUDES,
    latitude=LATITUDES,
    corner=st.tuples(NEARBY, NEARBY),
    wide=st.tuples(st.floats(0, 0.01), st.floats(0, 0.01)),
    around=st.none() | st.tuples(NEARBY, NEARBY, st.floats(0.1, 2000)),
)
def test_a_cell_that_an_area_touches_lies_whole_in_what_is_looked_through(
    protected: Parts,
    longitude: float,
    latitude: float,
    corner: tuple[float, float],
    wide: tuple[float, float],
    around: tuple[float, float, float] | None,
) -> None:
    def inside(east: float, north: float) -> tuple[float, float]:
        return min(max(longitude + east, -180.0), 180.0), min(max(latitude + north, -90.0), 90.0)

    (west, south), (east, north) = inside(*corner), inside(corner[0] + wide[0], corner[1] + wide[1])
    near = {"near": ",".join(map(str, inside(*around[:2]))), "distance": around[2]} if around else {}
    query = PlaceQuery(bbox=f"{west},{south},{east},{north}", **near)
    box, touches = cells(protected)._where(query, None)

    # Of the cells around the area, those that it touches: each of their places is found.
    for place in ((longitude, latitude), (west, south), (east, north), (west, north), (east, south)):
        outline = box_of(cell(*place)[:7])
        if touches(outline) and box is not None:
            assert box[0] <= outline[0] <= outline[2] <= box[2]
            assert box[1] <= outline[1] <= outline[3] <= box[3]
        if not around:
            meets = outline[0] <= east and west <= outline[2] and outline[1] <= north and south <= outline[3]
            assert touches(outline) is meets
