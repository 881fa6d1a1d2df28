"""The smoke test's own parts, where no system is needed."""

import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import shapely
from typer.testing import CliRunner

from core.kinds import DEFAULT_KINDS
from deploy.smoke.__main__ import app
from deploy.smoke.addresses import api_address, mqtt_address
from deploy.smoke.api import Api
from deploy.smoke.device import Device, Login
from deploy.smoke.failed import CheckFailedError
from deploy.smoke.place import quietest
from tests.conftest import free_port
from tests.deploy.web_server import WebServer, web_server
from tests.kinds_of_tests import MOBILE

LIMIT = 2.0


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("mqtt://host", "mqtt://host:1883"),
        ("mqtts://host", "mqtts://host:8883"),
        ("mqtts://host:2000/", "mqtts://host:2000"),
        ("ws://host", "ws://host:80/mqtt"),
        ("wss://host/here", "wss://host:443/here"),
        ("mqtt://[::1]:1", "mqtt://[::1]:1"),
    ],
)
def test_the_address_of_the_broker_has_the_port_and_the_path_that_its_kind_has(text: str, shown: str) -> None:
    assert str(mqtt_address(text)) == shown


@pytest.mark.parametrize(
    "text", ["host", "http://host", "mqtt://", "mqtt://host/path", "mqtt://host:0", "mqtt://host:70000", "ws://host?a"]
)
def test_what_is_no_address_of_a_broker_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        mqtt_address(text)


def test_a_password_in_an_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(ValueError, match="no password") as refused:
        api_address("https://me:secret@host")
    assert "secret" not in str(refused.value)


def zone(name: str, corner: float, *, role: str = "zone") -> dict[str, Any]:
    ring = [[corner, 0], [corner + 2, 0], [corner + 2, 2], [corner, 2], [corner, 0]]
    return {
        "id": name,
        "properties": {"role": role},
        "geometry": {"type": "Polygon", "coordinates": [ring]},
    }


def occupancy(**counts: int | None) -> dict[str, Any]:
    return {"zones": [{"zone": name, "car": 7, "mobile": count} for name, count in counts.items()]}


PHONE = DEFAULT_KINDS[MOBILE]
CAMPUS = zone("campus", 0, role="boundary")


def test_the_place_is_in_the_zone_with_the_fewest_and_inside_the_outline() -> None:
    # `edge` lies half outside.
    zones = {"features": [CAMPUS, zone("full", 0), zone("edge", 1)]}
    place = quietest(zones, occupancy(campus=3, full=3, edge=0), PHONE)
    assert place.zone == "edge"
    point = shapely.Point(place.longitude, place.latitude)
    assert all(shapely.geometry.shape(each["geometry"]).contains(point) for each in (CAMPUS, zone("edge", 1)))


def test_a_zone_whose_phones_are_withheld_is_not_looked_at() -> None:
    zones = {"features": [CAMPUS, zone("quiet", 0), zone("open", 0)]}
    assert quietest(zones, occupancy(campus=9, quiet=None, open=9), PHONE).zone == "open"
    with pytest.raises(CheckFailedError, match="another --kind"):
        quietest({"features": [CAMPUS, zone("quiet", 0)]}, occupancy(campus=9, quiet=None), PHONE)


@pytest.fixture
def server() -> Iterator[WebServer]:
    with web_server() as running:
        yield running


def asking(port: int, *, scheme: str = "http", key: str | None = None) -> Api:
    return Api(api_address(f"{scheme}://127.0.0.1:{port}"), tls=ssl.create_default_context(), key=key, limit=LIMIT)


def test_a_key_goes_with_each_question(server: WebServer) -> None:
    server.text = "{}"
    assert asking(server.server_port, key="ck").get("/v1/zones", kind="car") == {}
    [(path, headers)] = server.asked
    assert path == "/v1/zones?kind=car"
    assert headers["Authorization"] == "Bearer ck"


@pytest.mark.parametrize(
    ("status", "text", "said"),
    [
        (401, "{}", "wants an API key"),
        (503, json.dumps({"detail": "A store is away."}), "503 A store is away."),
        (502, "<html>Bad\n gateway</html>", "502 <html>Bad gateway</html>"),
        (200, "<html>", "not answer in JSON"),
    ],
)
def test_an_answer_that_is_none_is_told_in_its_own_words(server: WebServer, status: int, text: str, said: str) -> None:
    server.status, server.text = status, text
    with pytest.raises(CheckFailedError, match=said):
        asking(server.server_port).get("/v1/zones")


def test_a_stream_of_events_that_ends_is_told(server: WebServer) -> None:
    server.text = 'retry: 1\n\nevent: snapshot\nid: 1\ndata: {"zones": []}\n\n'
    with asking(server.server_port).events("kemmy") as events:
        assert next(events) == ("snapshot", {"zones": []})
        with pytest.raises(CheckFailedError, match="ended the stream"):
            next(events)


@contextmanager
def answering(data: bytes) -> Iterator[int]:
    """A port that reads what comes first, answers it with `data`, and stays open until the client goes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(data)
                while connection.recv(4096):
                    pass

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            thread.join(10)


def test_heartbeats_alone_are_no_events() -> None:
    head = b"HTTP/1.1 200 OK\r\n\r\n"
    with answering(head + b": heartbeat\n\n") as port:
        address = api_address(f"http://127.0.0.1:{port}")
        with (
            Api(address, tls=ssl.create_default_context(), key=None, limit=0.2).events("kemmy") as events,
            pytest.raises(CheckFailedError, match=r"no answer|no event"),
        ):
            next(events)


def device(port: int, *, scheme: str = "mqtt", limit: float = LIMIT) -> Device:
    return Device(mqtt_address(f"{scheme}://127.0.0.1:{port}"), Login(), tls=ssl.create_default_context(), limit=limit)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (3, "cannot work now"),
        (4, "refused the password"),
        (5, "--username"),
        (2, "refused the connection: client identifier not valid"),
    ],
)
def test_a_refusal_of_the_broker_is_told_with_what_to_do(code: int, said: str) -> None:
    with answering(bytes([0x20, 2, 0, code])) as port, pytest.raises(CheckFailedError, match=said):
        device(port).publish("car-iotp", b"x")


def test_a_message_that_is_not_acknowledged_is_told() -> None:
    with answering(bytes([0x20, 2, 0, 0])) as port, pytest.raises(CheckFailedError, match="does not acknowledge"):
        device(port, limit=0.3).publish("car-iotp", b"x")


def test_a_broker_that_says_nothing_is_told() -> None:
    with answering(b"") as port, pytest.raises(CheckFailedError, match="does not answer a CONNECT"):
        device(port, limit=0.3).publish("car-iotp", b"x")


@pytest.mark.parametrize("scheme", ["mqtt", "mqtts", "ws"])
def test_a_port_where_nobody_listens_is_told(scheme: str) -> None:
    with pytest.raises(CheckFailedError, match="nobody listens there"):
        device(free_port(), scheme=scheme).publish("car-iotp", b"x")


# paho leaves the socket of a WebSocket that was refused to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_web_server_is_no_broker(server: WebServer) -> None:
    server.status = 404
    with pytest.raises(CheckFailedError, match="not as MQTT over WebSocket at /mqtt"):
        device(server.server_port, scheme="ws").publish("car-iotp", b"x")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--mqtt", "nowhere", "--api", "http://host"], "begins with"),
        (["--mqtt", "mqtt://host", "--api", "http://host", "--username", "me"], "MQTT_PASSWORD"),
        (["--mqtt", "mqtt://host", "--api", "http://host", "--password-file", "/nonexistent"], "cannot be read"),
        (["--mqtt", "mqtt://host", "--api", "http://host", "--ca", "/nonexistent"], "no certificates"),
    ],
)
def test_options_that_cannot_work_end_it_before_anything_is_sent(
    arguments: list[str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MQTT_PASSWORD", raising=False)
    ended = CliRunner().invoke(app, arguments)
    assert ended.exit_code == 2
    assert said in " ".join(ended.output.split())


def test_an_api_of_another_shape_ends_it_without_a_traceback(server: WebServer) -> None:
    server.text = "{}"
    arguments = ["--mqtt", f"mqtt://127.0.0.1:{free_port()}", "--api", f"http://127.0.0.1:{server.server_port}"]
    ended = CliRunner().invoke(app, arguments)
    assert ended.exit_code == 1
    assert "of the same version" in ended.output
