import subprocess

import pytest

from tests.haproxy.conftest import Certificates
from tests.haproxy.running import CONFIG, haproxy_executable

DISCOVERY = {"BROKER_FQDN": "broker", "API_FQDN": "api"}
SOCKET = {"HAPROXY_SOCKET": "/run/haproxy/admin.sock", "HAPROXY_SOCKET_MODE": "660"}
SHARES = {"HAPROXY_MAXCONN": "3000", "MQTT_MAXCONN": "2000", "HTTP_MAXCONN": "800", "HAPROXY_THREADS": "2"}


def check(environment: dict[str, str]) -> tuple[int, str]:
    # -dW: a warning is an error, as what is only warned of is gone some versions later.
    checked = subprocess.run(
        [haproxy_executable(), "-dW", "-c", "-f", CONFIG],
        env={"PATH": "/usr/sbin:/usr/bin"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return checked.returncode, checked.stderr


@pytest.mark.parametrize(
    "environment",
    [
        {},
        DISCOVERY | SOCKET | SHARES,
        DISCOVERY | {"DNS_ADDR": "127.0.0.1:5353"},
        DISCOVERY | {"BROKER_SEND_PROXY": "1"},
    ],
    ids=["laptop", "container", "container, DNS given", "container, PROXY protocol"],
)
def test_the_configuration_is_valid(environment: dict[str, str]) -> None:
    assert check(environment) == (0, "")


@pytest.mark.parametrize("verify", ["", "optional", "required"])
@pytest.mark.parametrize("more", [{}, DISCOVERY], ids=["laptop", "container"])
def test_the_configuration_is_valid_with_tls(certificates: Certificates, verify: str, more: dict[str, str]) -> None:
    environment = certificates.clients(verify) if verify else certificates.server
    assert check(environment | more) == (0, "")


def test_a_variable_that_is_set_to_nothing_is_as_one_that_is_not_set() -> None:
    given = ("TLS_CERTIFICATE", "TLS_CLIENT_CA", "BROKER_FQDN", "API_FQDN", "DNS_ADDR", "BROKER_SEND_PROXY")
    more = ("HAPROXY_SOCKET", "HAPROXY_THREADS", "MQTT_MAXCONN", "HTTP_MAXCONN")
    assert check(dict.fromkeys(given + more, "")) == (0, "")


def test_a_certificate_that_is_not_there_is_said() -> None:
    code, said = check({"TLS_CERTIFICATE": "/nowhere/server.pem"})
    assert code == 1
    assert "/nowhere/server.pem" in said
