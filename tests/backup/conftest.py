"""Where backups of a test go: a folder, and a bucket of a server that speaks S3."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from moto.server import ThreadedMotoServer

from backup.catalogue import Catalogue
from backup.place import open_place
from backup.settings import BackupPlaceSettings

KEY = "ab" * 32


@contextmanager
def bucket(name: str) -> Iterator[dict[str, str]]:
    """The settings that lead to an empty bucket, on a server of its own in this process (moto, in memory)."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    try:
        httpx.put(f"{url}/{name}").raise_for_status()
        yield {
            "BACKUP_URL": f"s3://{name}/main",
            "S3_ENDPOINT": url,
            "S3_ACCESS_KEY_ID": "an-id",
            "S3_SECRET_ACCESS_KEY": "a-secret",
        }
    finally:
        server.stop()


@pytest.fixture(scope="session")
def s3() -> Iterator[dict[str, str]]:
    """One bucket for all tests of a worker: a test takes a prefix of its own."""
    with bucket("campus-backups") as settings:
        yield settings


@pytest.fixture(params=["folder", "bucket"])
def place_settings(request: pytest.FixtureRequest, tmp_path: Path) -> BackupPlaceSettings:
    """Where this test's backups go."""
    if request.param == "folder":
        return BackupPlaceSettings(backup_url=f"file://{tmp_path}/backups", backup_key=KEY)
    s3 = request.getfixturevalue("s3")
    return BackupPlaceSettings(
        backup_url=f"s3://campus-backups/{tmp_path.name}",
        backup_key=KEY,
        s3_endpoint=s3["S3_ENDPOINT"],
        s3_access_key_id=s3["S3_ACCESS_KEY_ID"],
        s3_secret_access_key=s3["S3_SECRET_ACCESS_KEY"],
    )


@pytest.fixture
def catalogue(place_settings: BackupPlaceSettings) -> Catalogue:
    """The backups of this test."""
    return Catalogue(open_place(place_settings, retry_seconds=1), bytes.fromhex(KEY))
