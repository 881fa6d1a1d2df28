"""What every store of position documents does, whatever is behind it."""

import asyncio
import os
import random
import socket
import sys
import uuid
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, suppress
from pathlib import Path
from typing import Any, TypeVar
from unittest.mock import Mock

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as settings_of_hypothesis
from hypothesis import strategies as st
from ibmcloudant.cloudant_v1 import (
    CloudantV1,
    DesignDocument,
    DesignDocumentViewsMapReduce,
    IndexDefinition,
    IndexField,
)

from core.clock import parse_rfc3339
from core.errors import UnavailableError
from core.messages import Position
from documents import (
    DocumentSettings,
    DocumentStore,
    Dropped,
    PositionQuery,
    document_id,
    from_document,
    open_store,
    sample_id,
    to_document,
)
from documents.document import format_time
from documents.indexes import mango_query, time_query
from documents.query import Mark
from geofence import cell
from tests.conftest import NOON
from tests.documents.positions import position

EARLIEST_MS = 0
LATEST_MS = 253_402_300_799_999

REPOSITORY = Path(__file__).parents[2]
DAY = 86_400_000
MONTHS_AGO = [NOON - 31 * DAY * months for months in range(20)]
"""Instants in different months, the oldest of them older than those that have a database of their own."""
SOME_MONTHS = [MONTHS_AGO[index] for index in (0, 1, 2, 14, 16)]
Answer = TypeVar("Answer")
Opened = Callable[[], AbstractAsyncContextManager[DocumentStore]]


@pytest.fixture(params=["sqlite", "cloudant"])
def settings(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DocumentSettings:
    """Of a store of this test's own."""
    if request.param == "cloudant":
        for name, value in request.getfixturevalue("cloudant_server").items():
            monkeypatch.setenv(name, value)
    return DocumentSettings(
        document_store=request.param, data_dir=tmp_path / "data", cloudant_database=f"test-{uuid.uuid4()}"
    )


@pytest.fixture
def opened(settings: DocumentSettings) -> Iterator[Opened]:
    """Opens the store of this test; the same one each time."""
    yield lambda: open_store(settings, clock=lambda: NOON)
    if settings.document_store == "cloudant":
        client = client_of(settings)
        for name in databases(settings):
            client.delete_database(name)


def client_of(settings: DocumentSettings) -> Any:  # noqa: ANN401 - its answers are of many types
    client = CloudantV1.new_instance()
    client.set_service_url(settings.cloudant_url)
    return client


def databases(settings: DocumentSettings) -> list[str]:
    prefix = f"{settings.cloudant_database}-"
    return [name for name in client_of(settings).get_all_dbs().get_result() if name.startswith(prefix)]


@pytest.fixture
async def store(opened: Opened) -> AsyncIterator[DocumentStore]:
    async with opened() as store:
        await store.setup()
        yield store


@pytest.fixture(params=["sqlite", "cloudant"])
async def away(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[DocumentStore]:
    """A store that cannot be reached."""
    # A folder that is a file keeps out even root, whom no file mode stops.
    (tmp_path / "data").write_text("in the way")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        monkeypatch.setenv("CLOUDANT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.setenv("CLOUDANT_AUTH_TYPE", "NOAUTH")
        async with open_store(DocumentSettings(document_store=request.param, data_dir=tmp_path / "data")) as store:
            yield store


async def patiently(work: Callable[[], Awaitable[Answer]]) -> Answer:
    """As a stage does it: again while the store wants a pause."""
    for _ in range(50):
        with suppress(UnavailableError):
            return await work()
        await asyncio.sleep(0.1)
    return await work()


async def ids(store: DocumentStore, *, page: int = 500) -> list[str]:
    return [document["_id"] async for document in store.scan(page=page)]


async def test_what_was_put_is_found_again(store: DocumentStore) -> None:
    put = position(altitude=12.5, accuracy=4.0, speed=8.25, heading=271.0)

    assert await store.put([put]) == 1

    found = await store.get(document_id(put))
    assert found == to_document(put)
    assert from_document(found) == put


async def test_what_was_never_put_is_not_found(store: DocumentStore) -> None:
    await store.put([position(1)])

    assert await store.get(document_id(position(2))) is None
    assert await store.get("") is None
    assert await store.get("_design/x") is None
    assert await store.get("x/../y?z=%00") is None


async def test_a_new_store_is_empty(store: DocumentStore) -> None:
    assert await store.count() == 0
    assert await ids(store) == []


async def test_nothing_to_put_is_no_work(store: DocumentStore) -> None:
    assert await store.put([]) == 0
    assert await store.count() == 0


async def test_set_up_again_keeps_the_documents(store: DocumentStore) -> None:
    await store.put([position()])

    await store.setup()

    assert await store.count() == 1


async def test_a_position_put_twice_is_stored_once(store: DocumentStore) -> None:
    assert await store.put([position(1), position(2)]) == 2
    assert await store.put([position(2), position(3)]) == 1
    assert await store.put([position(1), position(2), position(3)]) == 0
    assert await store.count() == 3


async def test_a_position_twice_in_one_put_is_stored_once_and_the_first_stays(store: DocumentStore) -> None:
    first, second = position(1, latitude=52.5), position(1, latitude=52.6)

    assert await store.put([first, position(2), second]) == 2

    assert await store.get(document_id(first)) == to_document(first)


async def test_what_was_stored_first_stays(store: DocumentStore) -> None:
    first, second = position(1, received_at=1), position(1, received_at=2)
    await store.put([first])

    assert await store.put([second]) == 0

    assert await store.get(document_id(first)) == to_document(first)


async def test_two_writers_with_overlapping_positions_store_each_once(opened: Opened) -> None:
    async with opened() as one, opened() as other:
        await asyncio.gather(one.setup(), other.setup())
        batches = [[position(number) for number in range(start, start + 20)] for start in range(0, 100, 10)]

        new = await asyncio.gather(
            *(store.put(batch) for batch in batches for store in (one, other)),
        )

        assert sum(new) == 110
        assert await one.count() == await other.count() == 110


async def test_a_store_that_is_opened_again_has_its_documents(opened: Opened) -> None:
    async with opened() as store:
        await store.setup()
        await store.put([position(1), position(2)])

    async with opened() as store:
        assert await store.count() == 2
        assert await store.put([position(1)]) == 0


@pytest.mark.parametrize("page", [1, 2, 3, 7, 8, 500])
async def test_a_scan_gives_every_document_once_in_the_order_of_ids(store: DocumentStore, page: int) -> None:
    await store.put([position(number) for number in (5, 3, 1, 6, 0, 2, 4)])

    assert await ids(store, page=page) == [document_id(position(number)) for number in range(7)]


async def test_a_scan_gives_the_documents_as_they_were_put(store: DocumentStore) -> None:
    await store.put([position(1), position(2)])

    assert [document async for document in store.scan()] == [to_document(position(1)), to_document(position(2))]


async def test_documents_of_one_device_come_in_the_order_of_event_time(store: DocumentStore) -> None:
    times = [253_402_300_799_999, 0, 9, 10, 1_550_480_285_000]
    await store.put([position(1, observed_at=time) for time in times])

    found = [from_document(document).observed_at async for document in store.scan()]

    assert found == sorted(times)


async def test_a_page_without_a_document_is_an_error(store: DocumentStore) -> None:
    with pytest.raises(ValueError, match="at least one"):
        await anext(aiter(store.scan(page=0)))


async def test_more_than_one_batch_is_stored_completely(store: DocumentStore) -> None:
    positions = [position(number) for number in range(1203)]

    assert await store.put(positions) == 1203
    assert await store.put(positions[1000:]) == 0

    assert await store.count() == 1203


async def test_names_in_any_script_survive(store: DocumentStore) -> None:
    put = position(zones=("campus", "Áras na Mac Léinn", "図書館", "🅿️", 'quote"\\\n'))

    await store.put([put])

    assert await store.get(document_id(put)) == to_document(put)
    assert [from_document(document) async for document in store.scan()] == [put]


async def test_a_store_that_is_away_is_unavailable(away: DocumentStore) -> None:
    async def scan() -> None:
        await ids(away)

    for attempt in (
        away.setup(),
        away.put([position()]),
        away.get(document_id(position())),
        away.count(),
        away.erase(f"{1:032x}"),
        scan(),
    ):
        with pytest.raises(UnavailableError) as error:
            await attempt
        assert error.value.retry_after is None


# --- queries ----------------------------------------------------------------------------------------------------------


def placed(number: int, longitude: float, latitude: float, **changes: object) -> Position:
    return position(number, longitude=longitude, latitude=latitude, cell=cell(longitude, latitude), **changes)


def traffic(count: int = 200) -> list[Position]:
    """Some devices in some zones all over the campus, in many months; several of them at the same instants."""
    dice = random.Random(4)  # noqa: S311 - the same traffic every time
    found: dict[str, Position] = {}
    for _ in range(count):
        longitude, latitude = dice.uniform(-8.59, -8.55), dice.uniform(52.66, 52.69)
        each = placed(
            dice.randrange(8),
            longitude,
            latitude,
            observed_at=dice.choice(SOME_MONTHS) - dice.randrange(3),
            zones=("campus", *dice.sample(["a", "b", "c"], dice.randrange(3))),
        )
        found.setdefault(document_id(each), each)
    return list(found.values())


async def found(store: DocumentStore, query: PositionQuery, *, limit: int = 1000) -> list[str]:
    """All pages of an answer, of `limit` each."""
    answer: list[str] = []
    cursor = None
    while True:
        page = await store.find(query, limit=limit, cursor=cursor)
        assert len(page.documents) <= limit
        answer += [document["_id"] for document in page.documents]
        if page.cursor is None:
            return answer
        cursor = page.cursor


def expected(positions: list[Position], query: PositionQuery) -> list[str]:
    """The plain answer: look at everything."""
    documents = [document for document in map(to_document, positions) if query.matches(document)]
    return [document["_id"] for document in sorted(documents, key=Mark.of, reverse=True)]


def triangle(longitude: float, latitude: float) -> bool:
    return longitude + latitude > 44.1


def ever(**conditions: Any) -> PositionQuery:
    return PositionQuery(start=0, end=NOON + DAY, **conditions)


AROUND = (-8.571, 52.674, -8.57, 52.675)
"""A box around the place of `position`."""
QUERIES = [
    ever(zone="campus"),
    ever(zone="b"),
    ever(zone="nowhere"),
    ever(device=f"{3:032x}"),
    ever(device=f"{3:032x}", zone="a"),
    ever(bbox=(-8.58, 52.67, -8.57, 52.68)),
    ever(bbox=(-8.59, 52.66, -8.55, 52.69)),
    ever(bbox=(8.0, 50.0, 8.001, 50.001)),
    ever(bbox=(-8.58, 52.67, -8.56, 52.68), zone="a", device=f"{1:032x}"),
    ever(bbox=(-180.0, -90.0, 180.0, 90.0), zone="c"),
    ever(zone="a", contains=triangle),
    ever(bbox=(-8.58, 52.66, -8.56, 52.69), contains=triangle),
    PositionQuery(start=MONTHS_AGO[2] - 1, end=MONTHS_AGO[0], zone="campus"),
    PositionQuery(start=MONTHS_AGO[2] - 1, end=MONTHS_AGO[0], device=f"{1:032x}"),
    PositionQuery(start=MONTHS_AGO[14], end=MONTHS_AGO[1], bbox=(-8.59, 52.66, -8.57, 52.69)),
    PositionQuery(start=NOON, end=NOON, zone="campus"),
]


@pytest.mark.parametrize("limit", [30, 1000])
async def test_a_query_finds_what_looking_at_everything_finds_the_newest_first(
    store: DocumentStore, limit: int
) -> None:
    positions = traffic()
    await store.put(positions)

    for query in QUERIES:
        assert await found(store, query, limit=limit) == expected(positions, query), query
    # The comparison says something only if most of them find anything.
    assert sum(bool(expected(positions, query)) for query in QUERIES) > 10


async def test_pages_part_positions_of_the_same_instant(store: DocumentStore) -> None:
    positions = [position(number, observed_at=NOON) for number in range(25)]
    await store.put(positions)
    newest_first = [document_id(each) for each in reversed(positions)]

    for query in (ever(zone="campus"), ever(bbox=AROUND)):
        for limit in (3, 24, 25, 26):
            assert await found(store, query, limit=limit) == newest_first


async def test_the_end_of_a_range_does_not_belong_to_it(store: DocumentStore) -> None:
    await store.put([position(number) for number in range(5)])

    for query in (
        PositionQuery(start=NOON + 1, end=NOON + 3, zone="campus"),
        PositionQuery(start=NOON + 1, end=NOON + 3, bbox=AROUND),
    ):
        assert await found(store, query) == [document_id(position(2)), document_id(position(1))]


async def test_a_last_page_that_is_full_has_no_cursor(store: DocumentStore) -> None:
    await store.put([position(number) for number in range(4)])

    page = await store.find(ever(zone="campus"), limit=4)

    assert len(page.documents) == 4
    assert page.cursor is None


async def test_documents_that_are_found_are_those_that_were_put(store: DocumentStore) -> None:
    put = position(fence="v7", implausible=True, altitude=3.5)
    await store.put([put])

    for query in (ever(zone="campus"), ever(device=put.device)):
        (document,) = (await store.find(query, limit=1)).documents
        assert document == to_document(put)
        assert from_document(document) == put


async def test_what_is_put_between_two_pages_moves_nothing(store: DocumentStore) -> None:
    await store.put([position(number) for number in range(1, 5)])
    query = ever(zone="campus")
    page = await store.find(query, limit=2)

    await store.put([position(number) for number in (0, 9)])

    assert page.cursor
    rest = await store.find(query, limit=10, cursor=page.cursor)
    assert [document["_id"] for document in rest.documents] == [document_id(position(number)) for number in (2, 1, 0)]


@pytest.mark.parametrize("limit", [0, -1, 1001])
async def test_a_limit_that_no_page_may_have_is_an_error(store: DocumentStore, limit: int) -> None:
    with pytest.raises(ValueError, match="1 to 1000"):
        await store.find(ever(zone="campus"), limit=limit)


async def test_a_cursor_that_no_page_gave_is_an_error(store: DocumentStore) -> None:
    with pytest.raises(ValueError, match="cursor"):
        await store.find(ever(zone="campus"), limit=5, cursor="next")


names = st.from_regex(r"[0-9a-f]{1,40}-[0-9]{15}(-[0-9a-f]{8})?", fullmatch=True)


@settings_of_hypothesis(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    time=st.integers(EARLIEST_MS, LATEST_MS) | st.integers(NOON - 5, NOON + 5),
    name=st.from_regex(r"[0-9a-f]{1,40}-[0-9]{15}(-[0-9a-f]{8})?", fullmatch=True),
)
async def test_a_cursor_that_somebody_made_up_leads_to_a_place_in_the_answer(
    store: DocumentStore, time: int, name: str
) -> None:
    mark = Mark(time, name)
    positions = [position(number, observed_at=NOON) for number in range(4)]
    await store.put(positions)

    for query in (ever(zone="campus"), ever(device=position(1).device), ever(bbox=AROUND)):
        page = await store.find(query, limit=2, cursor=mark.encode())

        whole = [name for name in expected(positions, query) if Mark(NOON, name) < mark]
        assert [document["_id"] for document in page.documents] == whole[:2]


@pytest.mark.parametrize("page", [1, 9, 500])
async def test_a_scan_of_a_range_gives_what_was_observed_in_it_the_oldest_first(
    store: DocumentStore, page: int
) -> None:
    positions = traffic(100)
    await store.put(positions)

    for start, end in (
        (MONTHS_AGO[14], MONTHS_AGO[2]),
        (MONTHS_AGO[2], MONTHS_AGO[0]),
        (MONTHS_AGO[1] - 1, MONTHS_AGO[1] + 1),
        (MONTHS_AGO[1], MONTHS_AGO[1]),
        (MONTHS_AGO[0], MONTHS_AGO[1]),
        (MONTHS_AGO[1], None),
        (None, MONTHS_AGO[1]),
        (0, LATEST_MS + 1),
    ):
        seen = [document["_id"] async for document in store.scan(page=page, start=start, end=end)]

        within = [
            each for each in positions if (start or 0) <= each.observed_at < (LATEST_MS + 1 if end is None else end)
        ]
        assert seen == [
            document_id(each) for each in sorted(within, key=lambda each: (each.observed_at, document_id(each)))
        ]


async def test_a_scan_of_a_range_takes_all_that_stand_at_one_instant(store: DocumentStore) -> None:
    positions = [position(number, observed_at=NOON) for number in range(25)]
    await store.put([*positions, position(99, observed_at=NOON + 1)])

    seen = [document["_id"] async for document in store.scan(page=4, start=NOON, end=NOON + 1)]

    assert seen == [document_id(each) for each in positions]


# --- samples ----------------------------------------------------------------------------------------------------------


async def test_samples_of_one_minute_and_the_same_zones_are_stored_once(store: DocumentStore) -> None:
    def at(seconds: int, *zones: str) -> Position:
        return position(1, observed_at=NOON + 1000 * seconds, zones=("campus", *zones))

    assert await store.put([at(0), at(59), at(30, "a")], key=sample_id) == 2
    assert await store.put([at(10), at(40, "a"), at(60), at(5, "b")], key=sample_id) == 2

    assert await store.count() == 4
    assert await store.get(sample_id(at(59))) == to_document(at(0), key=sample_id)
    query = ever(device=position(1).device)
    times = [
        parse_rfc3339(document["properties"]["observed_at"]) - NOON
        for document in (await store.find(query, limit=9)).documents
    ]
    assert times == [60_000, 30_000, 5000, 0]


# --- months -----------------------------------------------------------------------------------------------------------


async def test_positions_of_many_months_are_one_store(store: DocumentStore) -> None:
    positions = [position(number, observed_at=at) for number, at in enumerate([*MONTHS_AGO, 0, NOON + 40 * DAY])]

    assert await store.put(positions) == len(positions)
    assert await store.put(positions) == 0

    assert await store.count() == len(positions)
    assert sorted(await ids(store)) == sorted(map(document_id, positions))
    for each in positions:
        assert await store.get(document_id(each)) == to_document(each)


async def test_what_was_over_is_dropped_and_nothing_else(store: DocumentStore) -> None:
    first, last, kept = (
        parse_rfc3339(text) for text in ("2026-01-01T00:00:00Z", "2026-01-31T23:59:59.999Z", "2026-02-01T00:00:00Z")
    )
    positions = [position(number, observed_at=at) for number, at in enumerate([first, last, kept, NOON])]
    await store.put(positions)
    before = parse_rfc3339("2026-02-28T12:00:00Z")

    told = await store.drop_before(before, dry_run=True)
    assert await store.count() == 4
    assert await store.drop_before(before) == told

    assert sum(each.documents for each in told) == 3
    assert (told[-1].name, told[-1].documents) == ("2026-02-01", 1)
    assert await ids(store) == [document_id(positions[3])]
    assert await found(store, ever(zone="campus")) == [document_id(positions[3])]
    assert await store.get(document_id(positions[0])) is None
    assert await store.drop_before(before) == []


async def test_a_day_is_dropped_once_it_is_over_and_not_with_its_month(store: DocumentStore) -> None:
    times = [
        "2026-02-26T23:59:59.999Z",
        "2026-02-27T00:00:00Z",
        "2026-02-27T23:59:59.999Z",
        "2026-02-28T00:00:00Z",
        "2026-03-01T11:00:00Z",
    ]
    positions = [position(number, observed_at=parse_rfc3339(at)) for number, at in enumerate(times)]
    await store.put(positions)

    before = parse_rfc3339("2026-02-28T00:00:00Z")
    assert await store.drop_before(before - 1) == [Dropped("2026-02-26", 1)]
    assert await store.drop_before(before + DAY - 1) == [Dropped("2026-02-27", 2)]
    assert await ids(store) == [document_id(each) for each in positions[3:]]
    assert await store.drop_before(before) == []


async def test_more_than_a_batch_of_a_day_is_dropped_by_several_at_once(opened: Opened) -> None:
    day = parse_rfc3339("2026-02-10T00:00:00Z")
    async with opened() as store, opened() as other:
        await store.setup()
        await store.put([position(number, observed_at=day + number) for number in range(1300)])
        await store.put([position(1, observed_at=day + DAY)])

        async def drops(each: DocumentStore) -> list[Dropped]:
            # The double of CouchDB stumbles over what is deleted while it looks: as a decoder does, both come again.
            return await patiently(lambda: each.drop_before(day + DAY))

        by_both = await asyncio.gather(drops(store), drops(other))
        assert await ids(store) == [document_id(position(1, observed_at=day + DAY))]
        assert {each.name for dropped in by_both for each in dropped} == {"2026-02-10"}


async def test_after_an_erasure_the_store_says_what_it_keeps_all_the_same(
    store: DocumentStore, settings: DocumentSettings
) -> None:
    await store.put([position(1)])
    await store.erase(position(1).device)
    told = await store.purge()
    if settings.document_store == "sqlite":
        assert told == []
        assert position(1).device.encode() not in settings.documents_file.read_bytes()
    else:
        (sentence,) = told
        assert sentence == (
            "The document store keeps the ids of deleted documents, which are the device's hash and a time, until the "
            "database of their month is dropped."
        )


async def test_what_is_very_old_is_dropped_too(store: DocumentStore) -> None:
    await store.put([position(1, observed_at=0), position(2, observed_at=5 * DAY), position(3)])

    assert sum(each.documents for each in await store.drop_before(NOON - 90 * DAY)) == 2

    assert await ids(store) == [document_id(position(3))]


async def test_a_position_of_a_month_that_was_dropped_finds_a_place(store: DocumentStore) -> None:
    late = position(1, observed_at=NOON - 100 * DAY)
    await store.put([late])
    await store.drop_before(NOON - 30 * DAY)

    # CouchDB may say for a moment, of a database that was dropped and made, that it cannot be opened.
    assert await patiently(lambda: store.put([late])) == 1
    assert await store.get(document_id(late)) == to_document(late)


async def test_a_store_that_is_away_is_not_searched_either(away: DocumentStore) -> None:
    for attempt in (away.find(ever(zone="campus"), limit=5), away.drop_before(NOON)):
        with pytest.raises(UnavailableError):
            await attempt


# --- of Cloudant alone ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", ["cloudant"], indirect=True)
async def test_this_month_and_the_next_have_a_database_before_there_is_anything_to_put(
    store: DocumentStore, settings: DocumentSettings
) -> None:
    assert await store.count() == 0
    assert databases(settings) == [f"{settings.cloudant_database}-{month}" for month in ("2026-03", "2026-04")]


@pytest.mark.parametrize("settings", ["cloudant"], indirect=True)
@pytest.mark.parametrize(
    ("last", "months"),
    [("2026-01-31T23:59:59.999Z", ("2026-01", "2026-02")), ("2026-12-31T23:59:59.999Z", ("2026-12", "2027-01"))],
)
@pytest.mark.usefixtures("opened")  # which removes what was made
async def test_at_the_end_of_a_month_the_next_has_its_database_and_its_indexes(
    settings: DocumentSettings, last: str, months: tuple[str, str]
) -> None:
    now = parse_rfc3339(last)
    async with open_store(settings, clock=lambda: now) as store:
        await store.setup()
        made = databases(settings)
        assert made == [f"{settings.cloudant_database}-{month}" for month in months]
        indexes = {row["id"] for row in client_of(settings).post_all_docs(made[1]).get_result()["rows"]}
        assert indexes == {"_design/by-time", "_design/by-device", "_design/by-tile", "_design/by-zone"}

        now += 1
        await store.put([position(1, observed_at=now - 1), position(2, observed_at=now)])

        assert databases(settings) == made
        query = PositionQuery(start=now - DAY, end=now + DAY, zone="campus")
        assert len(await found(store, query, limit=1)) == 2


@pytest.mark.parametrize("settings", ["cloudant"], indirect=True)
async def test_no_event_times_make_more_databases_than_a_plan_has(
    store: DocumentStore, settings: DocumentSettings
) -> None:
    await store.put([position(number, observed_at=number * 30 * DAY) for number in range(0, 700, 2)])

    names = databases(settings)
    assert len(names) <= settings.cloudant_months + 2
    assert f"{settings.cloudant_database}-other" in names
    assert await store.count() == 350


@pytest.mark.parametrize("settings", ["cloudant"], indirect=True)
async def test_mango_queries_use_their_index_and_a_range_of_it(
    store: DocumentStore, settings: DocumentSettings
) -> None:
    await store.put([position(number, observed_at=MONTHS_AGO[2]) for number in range(3)])
    client = client_of(settings)
    for name in databases(settings):
        for index, value, query in (
            ("by-device", ["x"], mango_query("device", "x", start=NOON - DAY, below=Mark(NOON, ""), count=10)),
            ("by-tile", ["x"], mango_query("tile", "x", start=NOON - DAY, below=Mark(NOON, ""), count=10)),
            ("by-time", [], time_query(above=Mark(NOON - DAY, ""), last=NOON, count=10)),
        ):
            plan = client.post_explain(name, **query).get_result()

            assert plan["index"]["type"] == "json"
            assert plan["index"]["ddoc"] == f"_design/{index}"
            plan_range = plan.get("range") or plan["mrargs"]
            # The part of the index between two times; CouchDB tells them the other way round where it reads it so, and
            # PouchDB a key of one part as that part.
            found = (plan_range[key] for key in ("start_key", "end_key"))
            keys = sorted(([key] if isinstance(key, str) else key)[: len(value) + 1] for key in found)
            assert keys == [[*value, format_time(NOON - DAY)], [*value, format_time(NOON)]]


DESIGNS = ("by-time", "by-device", "by-tile", "by-zone")
INDEXED = {
    "by-time": {"fields": [{"properties.observed_at": "asc"}]},
    "by-device": {"fields": [{"properties.device": "asc"}, {"properties.observed_at": "asc"}]},
    "by-tile": {"fields": [{"properties.tile": "asc"}, {"properties.observed_at": "asc"}]},
}


def indexed(settings: DocumentSettings, name: str) -> dict[str, Any]:
    """The Mango indexes of a database by name, as the server has them."""
    found = client_of(settings).get_indexes_information(name).get_result()["indexes"]
    return {each["name"]: each["def"] for each in found if each["type"] == "json"}


def remove(settings: DocumentSettings, name: str, design: str) -> None:
    client = client_of(settings)
    revision = client.get_design_document(name, design).get_result()["_rev"]
    client.delete_design_document(name, design, rev=revision)


async def asked(store: DocumentStore, design: str) -> list[str]:
    """What the index of a name leads to, in the month of noon."""
    match design:
        case "by-time":
            return [document["_id"] async for document in store.scan(start=NOON - DAY, end=NOON + DAY)]
        case "by-device":
            return await found(store, ever(device=position().device))
        case "by-tile":
            return await found(store, ever(bbox=AROUND))
        case _:
            return await found(store, ever(zone="campus"))


@pytest.mark.parametrize("settings", ["cloudant"], indirect=True)
@pytest.mark.parametrize("design", DESIGNS)
async def test_a_question_whose_index_is_missing_makes_it_and_says_so_in_the_log(
    store: DocumentStore, settings: DocumentSettings, design: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Mock()
    monkeypatch.setattr("documents.index_keeper._log", log)
    await store.put([position()])
    remove(settings, f"{settings.cloudant_database}-2026-03", design)

    assert await asked(store, design) == [document_id(position())]

    assert "indexes were missing, and are made anew" in [call.args[0] for call in log.warning.call_args_list]


@pytest.mark.parametrize("settings", ["cloudant"], indirect=True)
@pytest.mark.parametrize("design", DESIGNS)
async def test_the_regular_look_makes_an_index_that_is_missing(
    store: DocumentStore, settings: DocumentSettings, design: str
) -> None:
    name = f"{settings.cloudant_database}-2026-03"
    remove(settings, name, design)

    assert await store.being_built() == []

    assert client_of(settings).get_design_document(name, design).get_result()["_id"] == f"_design/{design}"


@pytest.mark.parametrize("settings", ["cloudant"], indirect=True)
async def test_setup_makes_the_indexes_that_a_database_of_an_earlier_version_lacks_and_those_that_are_others(
    store: DocumentStore, settings: DocumentSettings
) -> None:
    await store.put([position()])
    name = f"{settings.cloudant_database}-2026-03"
    client = client_of(settings)
    for design in DESIGNS:
        remove(settings, name, design)
    other = IndexDefinition(fields=[IndexField(**{"properties.device": "asc"})])
    client.post_index(name, index=other, ddoc="by-device", name="by-device", type="json")
    views = {"positions": DesignDocumentViewsMapReduce(map="function (doc) { emit(doc._id, null); }")}
    client.put_design_document(name, "by-zone", DesignDocument(language="javascript", views=views))

    await store.setup()

    assert indexed(settings, name) == INDEXED
    for design in DESIGNS:
        assert await asked(store, design) == [document_id(position())]


@pytest.mark.parametrize("settings", ["cloudant"], indirect=True)
async def test_a_database_that_was_begun_and_not_finished_is_finished_by_who_writes_to_it(
    store: DocumentStore, settings: DocumentSettings
) -> None:
    client = client_of(settings)
    names = [f"{settings.cloudant_database}-{month}" for month in ("2026-01", "other")]
    for name in names:
        client.put_database(name)
    first = IndexDefinition(fields=[IndexField(**{"properties.observed_at": "asc"})])
    client.post_index(names[0], index=first, ddoc="by-time", name="by-time", type="json")
    positions = [position(1, observed_at=MONTHS_AGO[1]), position(2, observed_at=0)]

    await store.put(positions)

    assert [indexed(settings, name) for name in names] == [INDEXED, INDEXED]
    assert await found(store, ever(zone="campus")) == [document_id(each) for each in positions]


PUTS = """
import asyncio, sys
from core.errors import UnavailableError
from documents import DocumentSettings, open_store
from tests.conftest import NOON
from tests.documents.positions import position

async def main():
    async with open_store(DocumentSettings(), clock=lambda: NOON) as store:
        async def put(number):
            positions = [position(number, observed_at=NOON - 31 * 86_400_000 * months) for months in (0, 1, 2, 3, 14)]
            # As a stage does it: until it is done.
            for _ in range(100):
                try:
                    return await store.put(positions)
                except UnavailableError:
                    await asyncio.sleep(0.1)
            raise AssertionError("not stored")

        print("begins", flush=True)
        sys.stdin.readline()
        await asyncio.gather(*(put(number) for number in range(int(sys.argv[1]), int(sys.argv[1]) + 8)))

asyncio.run(main())
"""


@pytest.mark.parametrize("settings", ["cloudant"], indirect=True)
async def test_many_puts_of_several_processes_into_an_empty_store_leave_every_database_with_all_its_indexes(
    opened: Opened, settings: DocumentSettings
) -> None:
    environment = {**os.environ, "DOCUMENT_STORE": "cloudant", "CLOUDANT_DATABASE": settings.cloudant_database}
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", PUTS, str(first), cwd=REPOSITORY, env=environment, stdin=PIPE, stdout=PIPE
        )
        for first in (0, 8, 16)
    ]
    # All of them at the same time, whatever it took to start them.
    for process in processes:
        assert process.stdout
        assert await process.stdout.readline() == b"begins\n"
    await asyncio.gather(*(process.communicate(b"go\n") for process in processes))
    assert [process.returncode for process in processes] == [0, 0, 0]

    names = databases(settings)
    assert len(names) == 5
    assert [indexed(settings, name) for name in names] == [INDEXED] * 5
    async with opened() as store:
        assert await store.count() == 24 * 5
        assert len(await found(store, ever(zone="campus"))) == 24 * 5


@pytest.mark.parametrize("settings", ["cloudant"], indirect=True)
async def test_indexes_are_neither_counted_nor_scanned(store: DocumentStore, settings: DocumentSettings) -> None:
    await store.put([position(1), position(2, device="f" * 32)])
    index = DesignDocument(language="javascript")
    client_of(settings).put_design_document(f"{settings.cloudant_database}-2026-03", "one-more", index)

    assert await store.count() == 2
    assert await ids(store, page=1) == [document_id(position(1)), document_id(position(2, device="f" * 32))]


# --- erasure ----------------------------------------------------------------------------------------------------------


async def test_all_months_of_a_device_are_erased_and_nothing_of_others(store: DocumentStore) -> None:
    mine = [position(1, observed_at=time - number) for time in MONTHS_AGO for number in range(2)]
    # Hashes that begin alike, and one that the first begins with.
    others = [position(device=device) for device in (f"{1:032x}0", f"{1:031x}", f"{2:032x}", "0")]
    await store.put([*mine, *others])
    await store.put(mine[:3], key=sample_id)

    assert await store.erase(f"{1:032x}", limit=1000) == len(mine) + 3

    assert sorted(await ids(store)) == sorted(document_id(each) for each in others)
    assert await store.get(document_id(mine[0])) is None
    for query in (ever(device=f"{1:032x}"), ever(zone="campus"), ever(bbox=AROUND)):
        assert set(await found(store, query)) == set(expected(others, query))


async def test_no_more_is_erased_at_a_time_than_was_asked_for_until_nothing_is_left(store: DocumentStore) -> None:
    await store.put([position(1, observed_at=time - number) for time in MONTHS_AGO[:3] for number in range(4)])

    assert [await store.erase(f"{1:032x}", limit=5) for _ in range(4)] == [5, 5, 2, 0]
    assert await store.count() == 0


async def test_more_than_one_batch_is_erased(store: DocumentStore) -> None:
    await store.put([position(1, observed_at=NOON + number) for number in range(1203)])

    assert await store.erase(f"{1:032x}", limit=5000) == 1203
    assert await store.count() == 0


async def test_erasing_what_is_not_there_is_no_error(store: DocumentStore) -> None:
    await store.put([position(1)])

    assert await store.erase(f"{2:032x}") == 0
    assert await store.count() == 1


async def test_what_was_erased_can_be_put_again(store: DocumentStore) -> None:
    await store.put([position(1)])
    await store.erase(f"{1:032x}")

    assert await store.put([position(1)]) == 1

    assert await store.get(document_id(position(1))) == to_document(position(1))
    assert await store.erase(f"{1:032x}") == 1


async def test_several_may_erase_the_same_device_at_once(opened: Opened) -> None:
    async with opened() as one, opened() as other:
        await one.setup()
        await one.put([position(1, observed_at=NOON + number) for number in range(40)])

        async def all_of_it(store: DocumentStore) -> int:
            erased = 0
            while gone := await store.erase(f"{1:032x}", limit=7):
                erased += gone
            return erased

        assert sum(await asyncio.gather(all_of_it(one), all_of_it(other))) == 40
        assert await one.count() == 0


@pytest.mark.parametrize("device", ["", "a-b", "a.b", "*", "_design/by-zone", "é"])
async def test_what_cannot_be_a_hash_erases_nothing(store: DocumentStore, device: str) -> None:
    await store.put([position(1)])

    with pytest.raises(ValueError, match="hash"):
        await store.erase(device)
    with pytest.raises(ValueError, match="at least one"):
        await store.erase(f"{1:032x}", limit=0)
    assert await store.count() == 1


async def test_documents_are_counted_and_given_by_month(opened: Opened) -> None:
    there = [position(observed_at=at, device=f"{index:032x}") for index, at in enumerate(SOME_MONTHS)]
    async with opened() as store:
        await store.setup()
        assert await store.months() == {}
        await store.put([*there, position(observed_at=NOON + 1)])
        months = await store.months()
        assert sum(months.values()) == 6
        assert months["2026-03"] == 2
        found = {month: [document async for document in store.of_month(month, page=1)] for month in months}
    assert {month: len(documents) for month, documents in found.items()} == months
    assert sorted(document["_id"] for documents in found.values() for document in documents) == sorted(
        document_id(each) for each in [*there, position(observed_at=NOON + 1)]
    )


async def test_what_is_no_month_has_no_documents(opened: Opened) -> None:
    async with opened() as store:
        await store.setup()
        for month in ("2026-13", "", "2026-03-01", "_users"):
            with pytest.raises(ValueError, match="is no month"):
                [document async for document in store.of_month(month)]
