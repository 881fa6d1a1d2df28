"""A CouchDB whose limits are set wrongly for a minute, and one document that is too large for a right one."""

import asyncio
from collections.abc import Iterator

import pytest

from core.errors import UnavailableError
from documents.cloudant import CloudantStore
from documents.document import document_id
from documents.store import RejectedDocumentError
from tests.conftest import NOON, missing
from tests.couchdb.double import CouchDouble, is_there
from tests.documents.positions import position


@pytest.fixture
def couch(monkeypatch: pytest.MonkeyPatch) -> Iterator[CouchDouble]:
    if not is_there():
        missing("the double of CouchDB", "install Node.js, then: npm ci --prefix tests/node")
    with CouchDouble() as double:
        for name, value in double.environment.items():
            monkeypatch.setenv(name, value)
        yield double


async def test_a_limit_that_no_document_keeps_to_is_waited_for_and_one_that_a_single_one_breaks_costs_that_one(
    couch: CouchDouble,
) -> None:
    store = CloudantStore(url=couch.url, database="positions", clock=lambda: NOON)
    await store.setup()
    positions = [position(number) for number in range(100)]
    large = position(100, zones=tuple(f"zone-{number}" for number in range(2000)))

    await asyncio.to_thread(couch.configure, "couchdb", "max_document_size", "100")
    with pytest.raises(UnavailableError, match="refuses every document: document_too_large"):
        await store.put(positions)
    assert await store.count() == 0

    await asyncio.to_thread(couch.configure, "couchdb", "max_document_size", "10000")
    with pytest.raises(RejectedDocumentError, match="document_too_large") as rejected:
        await store.put([*positions, large])

    assert rejected.value.reasons.keys() == {document_id(large)}
    found = [document["_id"] async for document in store.scan()]
    assert sorted(found) == sorted(map(document_id, positions))
    store.close()
