"""A Kafka of a worker's own, and one that a test may kill."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from decoder.metrics import DecoderMetrics
from tests.kafka.server import KafkaServer, kafka_jars
from tests.missing import missing


@contextmanager
def running_kafka(folder: Path) -> Iterator[KafkaServer]:
    """A Kafka with its data in `folder`."""
    jars = kafka_jars()
    if jars is None:
        missing("Kafka", "make kafka fetches it (Maven, Java 17)")
    server = KafkaServer(jars, folder)
    try:
        server.start()
        yield server
    finally:
        server.kill()


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    """One for all tests of a worker: a test takes a KAFKA_TOPIC_PREFIX of its own."""
    with running_kafka(tmp_path_factory.mktemp("kafka")) as server:
        yield server


@pytest.fixture
def new_kafka(tmp_path: Path) -> Iterator[KafkaServer]:
    """One of this test's own, which it may kill."""
    folder = tmp_path / "kafka"
    folder.mkdir()
    with running_kafka(folder) as server:
        yield server


@pytest.fixture
def metrics() -> DecoderMetrics:
    return DecoderMetrics(targets=["kafka"])


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path
