import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address
from typing import Any

import pytest

from core.errors import BadSettingsError
from deploy.laptop.ports import BEHIND_HAPROXY, INTERNAL, PUBLIC, choose_ports, shown
from deploy.laptop.settings import LaptopSettings
from runtime.settings import load
from tests.conftest import free_port

EVERYWHERE = "0.0.0.0"  # noqa: S104 - that is what these tests are about


@contextmanager
def listener(host: str = "127.0.0.1") -> Iterator[int]:
    with socket.create_server((host, 0)) as server:
        yield int(server.getsockname()[1])


def refusal(settings: LaptopSettings, *, haproxy: bool = True) -> list[str]:
    with pytest.raises(BadSettingsError) as refused:
        choose_ports(settings, haproxy=haproxy)
    return str(refused.value).splitlines()


@pytest.mark.parametrize("name", [*PUBLIC, *INTERNAL, *BEHIND_HAPROXY])
def test_a_taken_port_is_an_error_that_names_its_setting(name: str) -> None:
    with listener() as taken:
        ports: dict[str, Any] = {"mqtt_port": free_port(), "http_port": free_port(), name: taken}

        (line,) = refusal(LaptopSettings(**ports))

    address = f"127.0.0.1:{taken}"
    setting = name.upper()
    assert line == f"{setting}: {address} is taken by another program; stop it, or set {setting} to a free port"


def test_all_that_is_wrong_is_said_at_once() -> None:
    with listener() as mqtt, listener() as http:
        lines = refusal(LaptopSettings(mqtt_port=mqtt, http_port=http))

    assert [line.partition(":")[0] for line in lines] == ["MQTT_PORT", "HTTP_PORT"]


def test_a_port_that_is_taken_on_all_addresses_is_taken_on_this_one() -> None:
    with listener(EVERYWHERE) as taken:
        assert "MQTT_PORT" in refusal(LaptopSettings(mqtt_port=taken, http_port=free_port()))[0]


def test_a_port_that_is_taken_on_this_address_is_taken_on_all() -> None:
    with listener() as taken:
        settings = LaptopSettings(mqtt_port=taken, http_port=free_port(), bind_address=IPv4Address(EVERYWHERE))

        assert f"MQTT_PORT: 0.0.0.0:{taken} is taken" in refusal(settings)[0]


def test_two_settings_cannot_have_the_same_port() -> None:
    port = free_port()

    assert refusal(LaptopSettings(mqtt_port=port, http_port=free_port(), api_port=port)) == [
        f"MQTT_PORT, API_PORT: the same port, {port}; each needs one of its own"
    ]


def test_a_port_that_this_run_does_not_use_may_be_taken() -> None:
    with listener() as taken:
        settings = LaptopSettings(mqtt_port=free_port(), http_port=free_port(), broker_1_port=taken)

        assert "broker_1_port" not in choose_ports(settings, haproxy=False)


def test_an_address_that_this_machine_does_not_have_is_named() -> None:
    settings = LaptopSettings(mqtt_port=free_port(), http_port=free_port(), bind_address=IPv4Address("192.0.2.1"))

    assert refusal(settings) == ["BIND_ADDRESS: 192.0.2.1 is no address of this machine; 127.0.0.1 always is"]


def test_a_port_that_needs_more_rights_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_self: socket.socket, _address: object) -> None:
        raise PermissionError(13, "Permission denied")

    # Not by a real port: root may use them all.
    monkeypatch.setattr(socket.socket, "bind", refuse)

    assert refusal(LaptopSettings(mqtt_port=83, http_port=84)) == [
        "MQTT_PORT: this user may not listen on port 83; set MQTT_PORT to a port from 1024 on",
        "HTTP_PORT: this user may not listen on port 84; set HTTP_PORT to a port from 1024 on",
    ]


def test_unset_ports_become_free_ones_that_differ_from_each_other() -> None:
    settings = LaptopSettings(mqtt_port=free_port(), http_port=free_port(), api_port=free_port())

    ports = choose_ports(settings, haproxy=True)

    assert (ports["mqtt_port"], ports["http_port"]) == (settings.mqtt_port, settings.http_port)
    assert ports["api_port"] == settings.api_port
    assert ports.keys() == {*PUBLIC, *INTERNAL, *BEHIND_HAPROXY}
    assert len(set(ports.values())) == len(ports)
    for port in ports.values():
        with socket.create_server(("127.0.0.1", port)):
            pass


def test_a_free_port_is_not_one_that_somebody_else_listens_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getpid", lambda: 4711)
    settings = LaptopSettings(mqtt_port=free_port(), http_port=free_port())
    first = choose_ports(settings, haproxy=False)["broker_1_ops_port"]
    with socket.create_server(("127.0.0.1", first)):
        second = choose_ports(settings, haproxy=False)["broker_1_ops_port"]

    assert second != first


@pytest.mark.parametrize(
    ("variable", "value"),
    [("MQTT_PORT", "0"), ("HTTP_PORT", "65536"), ("API_PORT", "eighty"), ("BIND_ADDRESS", "everywhere")],
)
def test_a_value_that_cannot_be_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setenv(variable, value)

    with pytest.raises(BadSettingsError, match=variable):
        load(LaptopSettings)


def test_addresses_are_shown_as_urls_write_them() -> None:
    assert [shown("127.0.0.1", 1883), shown("::1", 1883)] == ["127.0.0.1:1883", "[::1]:1883"]
