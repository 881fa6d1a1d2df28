"""Files of a lake, in a folder and in a bucket: the same of both."""

from collections.abc import Callable
from pathlib import Path

import pytest

from core.errors import BadSettingsError, UnavailableError
from lake.settings import LakeSettings
from lake.store import Lake, open_lake
from runtime.settings import load


def test_what_was_put_is_there_for_others_too(opened: Callable[[], Lake]) -> None:
    opened().put("positions/date=2026-11-23/hour=14/a.parquet", b"text")
    assert opened().get("positions/date=2026-11-23/hour=14/a.parquet") == b"text"


def test_a_file_takes_the_place_of_one_of_its_name(lake: Lake) -> None:
    lake.put("dim/zones.parquet", b"old")
    lake.put("dim/zones.parquet", b"new")
    assert lake.get("dim/zones.parquet") == b"new"
    assert [(stored.path, stored.size) for stored in lake.list("dim")] == [("dim/zones.parquet", 3)]


def test_files_are_listed_by_folder_and_in_order(lake: Lake) -> None:
    for path in ("a/date=2026-11-24/2", "a/date=2026-11-23/9", "ab/date=2026-11-23/1", "a/date=2026-11-23/hour=01/1"):
        lake.put(path, b"1")
    assert [stored.path for stored in lake.list("a")] == [
        "a/date=2026-11-23/9",
        "a/date=2026-11-23/hour=01/1",
        "a/date=2026-11-24/2",
    ]
    assert [stored.path for stored in lake.list("a/date=2026-11-24")] == ["a/date=2026-11-24/2"]
    assert lake.list("b") == []


def test_what_is_deleted_is_gone_and_may_be_gone_already(lake: Lake) -> None:
    lake.put("a/1", b"1")
    lake.put("a/2", b"2")
    lake.delete(["a/1", "a/none", "none/1"])
    assert [stored.path for stored in lake.list("a")] == ["a/2"]
    with pytest.raises(FileNotFoundError):
        lake.get("a/1")


def test_one_of_two_creates_a_file(opened: Callable[[], Lake]) -> None:
    assert opened().create("_lock", b"mine")
    assert not opened().create("_lock", b"yours")
    assert opened().get("_lock") == b"mine"


def test_a_path_has_an_address_for_others_and_that_leads_back(lake: Lake, tmp_path: Path) -> None:
    address = lake.address("positions/date=2026-11-23/a.parquet")
    assert address in {
        f"{tmp_path}/lake/positions/date=2026-11-23/a.parquet",
        f"s3://campus-lake/{tmp_path.name}/positions/date=2026-11-23/a.parquet",
    }
    assert lake.path(address) == "positions/date=2026-11-23/a.parquet"


def test_a_folder_has_nothing_of_whoever_was_killed_while_storing_after_it_was_tidied(tmp_path: Path) -> None:
    lake = open_lake(LakeSettings(), tmp_path)
    lake.put("positions/date=2026-11-23/hour=14/a.parquet", b"text")
    left = tmp_path / "lake" / "positions" / "date=2026-11-23" / "hour=14" / "b.parquet#1"
    left.write_bytes(b"half")
    assert [stored.path for stored in lake.list("positions")] == ["positions/date=2026-11-23/hour=14/a.parquet"]
    assert lake.delete_unfinished("positions") == 1
    assert not left.exists()
    assert lake.get("positions/date=2026-11-23/hour=14/a.parquet") == b"text"
    assert lake.delete_unfinished("occupancy") == 0


def test_a_bucket_that_is_not_there_can_be_made_later(bucket_settings: LakeSettings, tmp_path: Path) -> None:
    settings = bucket_settings.model_copy(update={"lake_url": "s3://nobody-made-it"})
    lake = open_lake(settings, tmp_path, retry_seconds=1)
    with pytest.raises(UnavailableError, match="the bucket nobody-made-it has no such object or bucket"):
        lake.put("a/1", b"1")
    with pytest.raises(UnavailableError, match="the bucket nobody-made-it has no such object or bucket"):
        lake.list("a")


def test_a_folder_that_cannot_be_made_is_said_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadSettingsError, match=f"LAKE_URL: {tmp_path}/file/lake cannot be used"):
        open_lake(LakeSettings(lake_url=f"file://{tmp_path}/file/lake"), tmp_path)


def test_an_address_that_is_no_place_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKE_URL", "s3://bucket/prefix")
    with pytest.raises(BadSettingsError, match="LAKE_URL: s3:// also needs S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY"):
        load(LakeSettings)
    monkeypatch.setenv("LAKE_URL", "lake")
    with pytest.raises(BadSettingsError, match="LAKE_URL: not an address such as s3://bucket/prefix"):
        load(LakeSettings)
