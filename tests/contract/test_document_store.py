"""What every store of position documents does, whatever is behind it."""

import asyncio
import socket
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from ibmcloudant.cloudant_v1 import DesignDocument

from core.errors import Unavailable
from documents import DocumentSettings, DocumentStore, document_id, from_document, open_store, to_document
from documents.cloudant import CloudantStore
from tests.documents.positions import position

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
    yield lambda: open_store(settings)
    if settings.document_store == "cloudant":
        store = CloudantStore(url=settings.cloudant_url, database=settings.cloudant_database)
        store._client.delete_database(settings.cloudant_database)
        store.close()


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

    for attempt in (away.setup(), away.put([position()]), away.get("x"), away.count(), scan()):
        with pytest.raises(Unavailable) as error:
            await attempt
        assert error.value.retry_after is None


@pytest.mark.parametrize("settings", ["cloudant"], indirect=True)
async def test_indexes_are_neither_counted_nor_scanned(store: DocumentStore) -> None:
    assert isinstance(store, CloudantStore)
    await store.put([position(1), position(2, device="f" * 32)])
    index = DesignDocument(language="javascript")
    await asyncio.to_thread(store._client.put_design_document, store._database, "by-zone", index)

    assert await store.count() == 2
    assert await ids(store, page=1) == [document_id(position(1)), document_id(position(2, device="f" * 32))]
