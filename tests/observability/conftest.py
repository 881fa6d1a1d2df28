"""Servers of others, of one worker's own."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.missing import missing
from tests.observability.shipper import Shipper
from tests.opensearch.server import OpenSearchServer, opensearch_jars


@pytest.fixture(scope="session")
def opensearch_of_the_worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenSearchServer]:
    jars = opensearch_jars()
    if jars is None:
        missing("OpenSearch", "make opensearch gets it (Maven, a JDK of Java 17)")
    server = OpenSearchServer(jars, tmp_path_factory.mktemp("opensearch"))
    try:
        server.start()
        yield server
    finally:
        server.kill()


@pytest.fixture
def opensearch(opensearch_of_the_worker: OpenSearchServer) -> OpenSearchServer:
    """An OpenSearch without any logs, which a test may kill, and knows what the template says."""
    server = opensearch_of_the_worker
    server.restart_if_ended()
    server.clear()
    server.put_template()
    return server


@pytest.fixture
def new_shipper(tmp_path: Path) -> Iterator[Callable[[str, str], Shipper]]:
    """A shipper for a pattern of files and a store: started already, and ended with the test."""
    made: list[Shipper] = []

    def make(files: str, store: str) -> Shipper:
        shipper = Shipper(tmp_path / f"shipper-{len(made)}", files, store)
        shipper.start()
        made.append(shipper)
        return shipper

    yield make
    for shipper in made:
        shipper.kill()
