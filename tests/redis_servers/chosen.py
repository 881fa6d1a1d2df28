"""A Redis of a test's own, of the kind that CAMPUS_TEST_REDIS names."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.redis_servers.cluster import redis_cluster
from tests.redis_servers.executables import redis_executable
from tests.redis_servers.sentinel import sentinel_set
from tests.redis_servers.single import single_redis

CHOSEN = "CAMPUS_TEST_REDIS"


def chosen() -> str:
    """single, cluster or sentinel; fails the test for anything else."""
    name = os.environ.get(CHOSEN, "single")
    if name not in {"single", "cluster", "sentinel"}:
        pytest.fail(f"{CHOSEN}={name}: single, cluster or sentinel")
    return name


@contextmanager
def chosen_redis() -> Iterator[str]:
    """A running one that nobody else uses; its address."""
    match chosen():
        case "cluster":
            with redis_cluster(redis_executable()) as cluster:
                yield cluster.url
        case "sentinel":
            with sentinel_set(redis_executable()) as servers:
                yield servers.url
        case _:
            with single_redis(redis_executable()) as url:
                yield url
