from pathlib import Path

import pytest

from core.errors import BadSettingsError
from documents import DocumentSettings, open_store
from documents.sqlite import SQLiteStore
from runtime.settings import load


async def test_without_settings_the_documents_are_in_a_file_of_the_data_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DOCUMENT_STORE", raising=False)
    monkeypatch.setenv("DATA_DIR", str(tmp_path))

    async with open_store(load(DocumentSettings)) as store:
        assert isinstance(store, SQLiteStore)
        await store.setup()

    assert (tmp_path / "documents.sqlite3").exists()


async def test_cloudant_without_an_address_is_an_error_that_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CLOUDANT_URL", raising=False)
    monkeypatch.setenv("DOCUMENT_STORE", "cloudant")

    with pytest.raises(BadSettingsError, match="CLOUDANT_URL"):
        async with open_store(load(DocumentSettings)):
            pass


@pytest.mark.parametrize("name", ["Positions", "1st", "a/b", "_users", "p" * 101])
def test_a_database_name_that_couchdb_would_refuse_is_an_error_that_names_it(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLOUDANT_DATABASE", name)

    with pytest.raises(BadSettingsError, match="CLOUDANT_DATABASE"):
        load(DocumentSettings)


def test_an_unknown_store_is_an_error_that_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCUMENT_STORE", "mongodb")

    with pytest.raises(BadSettingsError, match="DOCUMENT_STORE"):
        load(DocumentSettings)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DOCUMENTS_KEEP", "soon"),
        ("CLOUDANT_MONTHS", "0"),
        ("CLOUDANT_WRITES_PER_SECOND", "0"),
    ],
)
def test_a_number_that_cannot_work_is_an_error_that_names_it(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(BadSettingsError, match=name):
        load(DocumentSettings)


def test_documents_are_kept_for_ever_unless_a_setting_says_how_long(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load(DocumentSettings).documents_keep_ms is None

    monkeypatch.setenv("DOCUMENTS_KEEP", "90d")

    assert load(DocumentSettings).documents_keep_ms == 90 * 86_400_000
