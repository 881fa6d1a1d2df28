"""Where a lake of a test is: a folder, and a bucket of a server that speaks S3 (moto, in memory)."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lake.settings import LakeSettings
from lake.store import Lake, open_lake
from tests.backup.conftest import bucket


@pytest.fixture(scope="session")
def s3() -> Iterator[dict[str, str]]:
    """One bucket for all tests of a worker: a test takes a prefix of its own."""
    with bucket("campus-lake") as settings:
        yield settings


@pytest.fixture
def bucket_settings(s3: dict[str, str], tmp_path: Path) -> LakeSettings:
    """A lake of this test in the bucket."""
    return LakeSettings(
        lake_url=f"s3://campus-lake/{tmp_path.name}",
        s3_endpoint=s3["S3_ENDPOINT"],
        s3_access_key_id=s3["S3_ACCESS_KEY_ID"],
        s3_secret_access_key=s3["S3_SECRET_ACCESS_KEY"],
    )


@pytest.fixture(params=["folder", "bucket"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Lake]:
    """Opens this test's lake, once more each time, as another process would."""
    if request.param == "folder":
        return lambda: open_lake(LakeSettings(), tmp_path, retry_seconds=1)
    settings = request.getfixturevalue("bucket_settings")
    return lambda: open_lake(settings, tmp_path, retry_seconds=1)


@pytest.fixture
def lake(opened: Callable[[], Lake]) -> Lake:
    """This test's lake."""
    return opened()
