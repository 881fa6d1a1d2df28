"""The Redis of all systems of a worker, where CAMPUS_TEST_REDIS names another kind than that of `make run`."""

import os
from collections.abc import Iterator

import pytest

from tests.e2e.system import CHOSEN_URL
from tests.redis_servers.chosen import chosen, chosen_redis


@pytest.fixture(scope="session", autouse=True)
def _chosen_redis() -> Iterator[None]:
    if chosen() == "single":
        yield
        return
    with chosen_redis() as url:
        os.environ[CHOSEN_URL] = url
        yield
        del os.environ[CHOSEN_URL]
