"""The service that the conformance tests speak to.

By default two nodes of ours, once per worker; a test's connections go to them in turn, so that each test is one of
the cluster too. With MQTT_CONFORMANCE_ADDRESS=host:port it is the server there. Where that is Mosquitto, say so with
MQTT_CONFORMANCE_SERVER=mosquitto: the tests that it is known to fail are then expected to fail.
"""

import os
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.mqtt.client import Service
from tests.mqtt.servers import Servers, given_servers, two_nodes


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "clause(*identifiers): the normative statements that a test is about")
    config.addinivalue_line("markers", "mosquitto_deviates(how): what Mosquitto 2.0.11 does instead")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.environ.get("MQTT_CONFORMANCE_SERVER") == "mosquitto":
        for item in items:
            for deviation in item.iter_markers("mosquitto_deviates"):
                item.add_marker(pytest.mark.xfail(reason=deviation.args[0], strict=True))


@pytest.fixture(scope="session")
def mqtt_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    given = given_servers()
    if given:
        yield given
    else:
        with two_nodes(tmp_path_factory.mktemp("nodes")) as nodes:
            yield nodes


@pytest.fixture
async def service(mqtt_servers: Servers) -> AsyncIterator[Service]:
    service = Service(mqtt_servers.mqtt)
    yield service
    service.drop_all()
