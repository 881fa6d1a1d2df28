"""Logging in to a CouchDB that is away for a while, as the compose file has it: by a session."""

import asyncio
from collections.abc import Iterator

import pytest

from core.errors import UnavailableError
from documents.cloudant import CloudantStore
from tests.conftest import NOON, WAIT_SECONDS, missing
from tests.couchdb.double import CouchDouble, is_there


@pytest.fixture
def double(monkeypatch: pytest.MonkeyPatch) -> Iterator[CouchDouble]:
    if not is_there():
        missing("the double of CouchDB", "install Node.js, then: npm ci --prefix tests/node")
    with CouchDouble() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        yield server


async def test_a_login_that_failed_holds_nobody_up_when_the_server_is_there_again(double: CouchDouble) -> None:
    double.kill()
    store = CloudantStore(url=double.url, database="positions", clock=lambda: NOON)
    for _ in range(3):
        # The SDK would wait for a minute here, from the second time on, and then again with every thread.
        async with asyncio.timeout(WAIT_SECONDS):
            with pytest.raises(UnavailableError, match="does not answer"):
                await store.count()

    double.start()
    async with asyncio.timeout(WAIT_SECONDS):
        await store.setup()
        assert await store.count() == 0
    store.close()


async def test_a_server_that_starts_anew_with_another_secret_is_logged_in_to_again(double: CouchDouble) -> None:
    store = CloudantStore(url=double.url, database="positions", clock=lambda: NOON)
    await store.setup()
    double.kill()
    double.start()

    async with asyncio.timeout(WAIT_SECONDS):
        assert await store.count() == 0
    store.close()
