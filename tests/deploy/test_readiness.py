import threading
from collections.abc import Iterator
from ipaddress import ip_address

import pytest

from deploy.laptop.readiness import Door, Part, announce, anonymous_note, door, release_when, services, welcome
from deploy.laptop.settings import LaptopSettings
from tests.conftest import free_port
from tests.deploy.conftest import wait_until
from tests.deploy.web_server import WebServer, web_server
from tests.simulator.mqtt_server import mqtt_server

PORTS = {
    "mqtt_port": 1883,
    "http_port": 8080,
    "broker_1_ops_port": 20001,
    "broker_2_ops_port": 20002,
    "decoder_ops_port": 20003,
    "api_ops_port": 20004,
}


@pytest.fixture
def service() -> Iterator[WebServer]:
    with web_server() as server:
        yield server


def part(server: WebServer) -> Part:
    return Part("decoder", "127.0.0.1", server.server_port)


def test_a_part_is_ready_when_it_says_so(service: WebServer) -> None:
    assert part(service).problem() is None
    assert [path for path, _ in service.asked] == ["/readyz"]


def test_a_part_that_is_not_ready_is_quoted(service: WebServer) -> None:
    service.status, service.text = 503, "Redis does not\nanswer\n"

    assert part(service).problem() == "decoder: Redis does not answer"


def test_a_part_that_is_not_there_is_named_with_its_address() -> None:
    port = free_port()

    assert f"decoder does not answer at 127.0.0.1:{port}" in str(Part("decoder", "127.0.0.1", port).problem())


@pytest.mark.parametrize("connack", [0, 5])
def test_mqtt_is_ready_when_it_answers_a_connect(connack: int) -> None:
    with mqtt_server(connack=connack) as server:
        assert Door("127.0.0.1", server.port).problem() is None


def test_mqtt_is_not_ready_where_something_else_answers(service: WebServer) -> None:
    assert "does not accept connections" in str(Door("127.0.0.1", service.server_port).problem())


def test_mqtt_is_not_ready_where_nobody_answers() -> None:
    assert "does not answer" in str(Door("127.0.0.1", free_port()).problem())


def test_the_welcome_is_said_once_everything_is_ready(service: WebServer) -> None:
    said: list[str] = []
    made = threading.Event()
    service.status, service.text = 503, "waiting for Redis\n"
    with mqtt_server() as mqtt:
        thread = threading.Thread(
            target=announce,
            args=([part(service)], Door("127.0.0.1", mqtt.port)),
            kwargs={
                "say": said.append,
                "welcome": lambda: ["note", "ready"],
                "made": made,
                "stop": threading.Event(),
                "limit": 0,
            },
        )
        thread.start()
        wait_until(lambda: len(said) == 1)
        assert said == ["not ready after 0 s, still trying: decoder: waiting for Redis"]
        assert mqtt.connects == []

        service.status = 200
        wait_until(lambda: len(mqtt.connects) >= 2)
        assert len(said) == 1  # the users are still to be made
        made.set()
        thread.join()

    assert said[1:] == ["note", "ready"]


def test_nothing_is_said_when_the_run_ends_first() -> None:
    said: list[str] = []
    stop = threading.Event()
    stop.set()

    announce([], Door("127.0.0.1", free_port()), say=said.append, welcome=lambda: ["ready"], made=stop, stop=stop)

    assert said == []


@pytest.mark.parametrize(
    ("address", "reached", "written"),
    [
        ("127.0.0.1", "127.0.0.1", "127.0.0.1"),
        ("0.0.0.0", "127.0.0.1", "127.0.0.1"),  # noqa: S104 - that is what the test is about
        ("::", "::1", "[::1]"),
        ("192.0.2.7", "192.0.2.7", "192.0.2.7"),
    ],
)
def test_clients_are_told_an_address_that_they_can_reach(address: str, reached: str, written: str) -> None:
    settings = LaptopSettings(bind_address=ip_address(address))

    assert welcome(settings, PORTS) == (
        f"ready: MQTT mqtt://{written}:1883 | API http://{written}:8080/v1/occupancy "
        f"(docs: http://{written}:8080/docs) | live map http://{written}:8080/ | Ctrl-C stops"
    )
    assert door(settings, PORTS) == Door(reached, 1883)
    assert services(settings, PORTS)[-2:] == [
        Part("api", "127.0.0.1", 20004, "/readyz"),
        Part("HTTP", reached, 8080, "/healthz"),
    ]


def test_where_clients_need_no_user_it_says_so_and_how_to_end_that() -> None:
    (note,) = anonymous_note(LaptopSettings())
    assert "MQTT_ALLOW_ANONYMOUS=false" in note
    assert anonymous_note(LaptopSettings(mqtt_allow_anonymous=False)) == []


def test_who_waits_for_the_system_is_told_when_it_is_ready(service: WebServer) -> None:
    said: list[str] = []
    made, ready = threading.Event(), threading.Event()
    made.set()
    with mqtt_server() as mqtt:
        announce(
            [part(service)],
            Door("127.0.0.1", mqtt.port),
            say=said.append,
            welcome=lambda: ["ready"],
            made=made,
            ready=ready,
            stop=threading.Event(),
        )
    assert ready.is_set()
    release_when(ready, lambda: said.append("released"), stop=threading.Event())
    assert said == ["ready", "released"]


def test_nobody_is_released_where_the_run_ends_first() -> None:
    stop = threading.Event()
    stop.set()
    said: list[str] = []

    release_when(threading.Event(), lambda: said.append("released"), stop=stop)

    assert said == []
