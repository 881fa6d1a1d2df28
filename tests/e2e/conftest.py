"""The Redis of the systems of a worker, where CAMPUS_TEST_REDIS names another kind than that of `make run`."""

from collections.abc import Iterator

import pytest

from tests.e2e.system import CHOSEN


@pytest.fixture(scope="session", autouse=True)
def _chosen_redis() -> Iterator[None]:
    with CHOSEN:
        yield
