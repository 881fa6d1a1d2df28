"""The document store for who is no administrator of CouchDB: users that `python -m documents setup` makes."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from core.errors import UnavailableError
from documents import Retention, document_id
from documents.__main__ import app
from documents.answers import NotAllowedError
from documents.cloudant import CloudantStore
from documents.months import month_after, month_of, month_start
from documents.rights import Right
from documents.setting_up import keep_set_up
from documents.settings import SetupSettings
from runtime.service import Stop
from tests.conftest import NOON, eventually, missing
from tests.couchdb.double import CouchDouble, is_there
from tests.documents.positions import position

PASSWORDS = {name: f"password-of-{name}" for name in ("writer", "reader", "eraser")}
MONTH = month_of(NOON)
DAY = 86_400_000


@pytest.fixture
def double(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[CouchDouble]:
    if not is_there():
        missing("the double of CouchDB", "install Node.js, then: npm ci --prefix tests/node")
    with CouchDouble() as server:
        server.configure("chttpd", "admin_only_all_dbs", "false")
        for name, value in {**server.environment, "DOCUMENT_STORE": "cloudant", "DATA_DIR": str(tmp_path)}.items():
            monkeypatch.setenv(name, value)
        for name, password in PASSWORDS.items():
            monkeypatch.setenv(f"COUCHDB_{name.upper()}_PASSWORD", password)
        yield server


@asynccontextmanager
async def store_of(
    double: CouchDouble, monkeypatch: pytest.MonkeyPatch, name: str = "", *, now: int = NOON
) -> AsyncIterator[CloudantStore]:
    """The store as one of the users enters it, or as the administrator."""
    with monkeypatch.context() as patch:
        if name:
            patch.setenv("CLOUDANT_USERNAME", name)
            patch.setenv("CLOUDANT_PASSWORD", PASSWORDS[name])
        store = CloudantStore(url=double.url, database="positions", clock=lambda: now)
        try:
            yield store
        finally:
            store.close()


async def set_up(double: CouchDouble, monkeypatch: pytest.MonkeyPatch, *, now: int = NOON) -> None:
    """As an administrator does, whoever else is asking at the moment."""
    with monkeypatch.context() as patch:
        for name, value in double.environment.items():
            patch.setenv(name, value)
        async with store_of(double, monkeypatch, now=now) as store:
            await store.give_rights({Right(name): password for name, password in SetupSettings().passwords.items()})


def status(double: CouchDouble, path: str, name: str, password: str) -> int:
    return httpx.get(f"{double.url}{path}", auth=(name, password), timeout=60).status_code


async def test_a_writer_stores_and_reads_and_deletes_nothing(
    double: CouchDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    await set_up(double, monkeypatch)
    async with store_of(double, monkeypatch, "writer") as store:
        await store.setup()
        assert await store.put([position(0), position(1)]) == 2
        # As after a message that is delivered twice.
        assert await store.put([position(1), position(2)]) == 1
        assert await store.count() == 3
        with pytest.raises(NotAllowedError, match="only an eraser deletes positions"):
            await store.erase(position(0).device)
        assert await store.count() == 3


async def test_a_reader_reads_and_an_eraser_deletes_and_neither_stores(
    double: CouchDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    await set_up(double, monkeypatch)
    async with store_of(double, monkeypatch, "writer") as store:
        await store.put([position(0)])
    for name in ("reader", "eraser"):
        async with store_of(double, monkeypatch, name) as store:
            assert [each async for each in store.scan()]
            # Nothing is given up because of a login that is the wrong one.
            with pytest.raises(UnavailableError, match="refuses every document: forbidden: only a writer stores"):
                await store.put([position(1)])
    async with store_of(double, monkeypatch, "reader") as store:
        with pytest.raises(NotAllowedError, match="only an eraser deletes positions"):
            await store.erase(position(0).device)
    async with store_of(double, monkeypatch, "eraser") as store:
        assert await store.erase(position(0).device) == 1
        assert await store.count() == 0


async def test_a_month_that_is_missing_is_waited_for_and_one_that_is_over_has_its_documents_among_the_others(
    double: CouchDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    await set_up(double, monkeypatch)
    later = month_start(month_after(MONTH, 2))
    async with store_of(double, monkeypatch, "writer", now=later) as store:
        with pytest.raises(NotAllowedError, match="python -m documents setup makes what is missing"):
            await store.setup()
        with pytest.raises(NotAllowedError):
            await store.put([position(0, observed_at=later)])
        old = month_start(month_after(MONTH, -5))
        assert await store.put([position(0, observed_at=old)]) == 1
        assert await store.months() == {"other": 1}
        # Made by an administrator meanwhile, it is found by who was refused before.
        await set_up(double, monkeypatch, now=later)
        assert await store.put([position(0, observed_at=later)]) == 1


async def test_who_was_there_before_a_month_was_made_writes_to_it(
    double: CouchDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    await set_up(double, monkeypatch)
    later = month_start(month_after(MONTH, 1))
    now = NOON

    def clock() -> int:
        return now

    with monkeypatch.context() as patch:
        patch.setenv("CLOUDANT_USERNAME", "writer")
        patch.setenv("CLOUDANT_PASSWORD", PASSWORDS["writer"])
        store = CloudantStore(url=double.url, database="positions", clock=clock)
        await store.setup()
        await set_up(double, monkeypatch, now=later)
        now = later
        assert await store.put([position(0, observed_at=month_start(month_after(MONTH, 2)))]) == 1
        store.close()


async def test_setting_up_again_changes_nothing_and_another_password_is_the_one_that_counts(
    double: CouchDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin = (double.environment["CLOUDANT_USERNAME"], double.environment["CLOUDANT_PASSWORD"])

    def revisions() -> list[str]:
        with httpx.Client(base_url=double.url, auth=admin, timeout=60) as client:
            paths = [*(f"/_users/org.couchdb.user:{name}" for name in PASSWORDS), f"/positions-{MONTH}/_design/rights"]
            return [client.get(path).json()["_rev"] for path in paths]

    await set_up(double, monkeypatch)
    first = revisions()
    await set_up(double, monkeypatch)
    assert revisions() == first
    monkeypatch.setenv("COUCHDB_READER_PASSWORD", "another")
    await set_up(double, monkeypatch)
    assert [old == new for old, new in zip(first, revisions(), strict=True)] == [True, False, True, True]
    assert status(double, f"/positions-{MONTH}", "reader", "another") == 200
    assert status(double, f"/positions-{MONTH}", "reader", PASSWORDS["reader"]) == 401


async def test_several_that_set_up_at_once_all_come_through(
    double: CouchDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    await asyncio.gather(*(set_up(double, monkeypatch) for _ in range(4)))
    assert status(double, f"/positions-{MONTH}", "reader", PASSWORDS["reader"]) == 200


async def test_what_is_over_is_dropped_by_who_sets_up_and_a_writer_leaves_it(
    double: CouchDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    await set_up(double, monkeypatch)
    async with store_of(double, monkeypatch, "writer") as store:
        await store.put([position(0)])
        retention = Retention(store=store, keep_ms=DAY, clock=lambda: NOON + 3 * DAY)
        assert await retention.step() == []
        assert await store.count() == 1
    monkeypatch.setenv("DOCUMENTS_KEEP", "1d")
    done, stop = Path(SetupSettings().data_dir) / "done", Stop()
    daily = asyncio.create_task(keep_set_up(SetupSettings(), stop, done, clock=lambda: NOON + 3 * DAY))

    async def is_gone() -> bool:
        path = f"/positions-{MONTH}/{document_id(position(0))}"
        return status(double, path, "reader", PASSWORDS["reader"]) == 404

    await eventually(is_gone)
    stop.set()
    await daily
    assert await asyncio.to_thread(done.exists)


async def test_users_are_let_into_what_a_restore_has_made_while_it_goes_on(
    double: CouchDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    done, stop = Path(SetupSettings().data_dir) / "done", Stop()
    going = asyncio.create_task(keep_set_up(SetupSettings(), stop, done, clock=lambda: NOON, again_seconds=0.1))
    await eventually(lambda: asyncio.to_thread(done.exists))
    async with store_of(double, monkeypatch) as administrator:
        assert await administrator.put([position(0, observed_at=NOON - 90 * DAY)]) == 1
    before = month_of(NOON - 90 * DAY)

    async def is_let_in() -> bool:
        return status(double, f"/positions-{before}", "writer", PASSWORDS["writer"]) == 200

    await eventually(is_let_in)
    stop.set()
    await going


def test_the_command_makes_the_users_and_says_what_is_missing(
    double: CouchDouble, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    done = tmp_path / "done"
    result = CliRunner().invoke(app, ["setup", "--done", str(done)])
    assert (result.exit_code, done.exists()) == (0, True), result.output
    assert status(double, "/_all_dbs", "writer", PASSWORDS["writer"]) == 200
    monkeypatch.delenv("COUCHDB_ERASER_PASSWORD")
    result = CliRunner().invoke(app, ["setup"])
    assert (result.exit_code, "COUCHDB_ERASER_PASSWORD: not set" in result.output) == (2, True)
