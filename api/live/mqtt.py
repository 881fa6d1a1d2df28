"""The connection to the broker that the mirror is on."""

import ssl
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import aiomqtt

from api.settings import ApiSettings
from core.errors import BadSettingsError, UnavailableError
from runtime.demo_users import kept_demo_users

KEEPALIVE_SECONDS = 10
ANSWER_SECONDS = 5.0
"""How long the broker may take for a CONNACK or a PUBACK."""
AT_ONCE = 50
"""Messages on the way to the broker that it has not acknowledged."""
_PORTS = {"mqtt": 1883, "mqtts": 8883}


@dataclass(frozen=True, slots=True)
class Address:
    """Where the broker is."""

    host: str
    port: int
    tls: bool


@dataclass(frozen=True, slots=True)
class Login:
    """Who the mirror is for the broker."""

    name: str
    password: str = field(repr=False)


def address_of(url: str) -> Address:
    """The broker of MIRROR_URL: mqtt://host:port, or mqtts:// for TLS. Raises BadSettingsError."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise BadSettingsError(f"MIRROR_URL: {error}") from error
    if parts.scheme not in _PORTS or not host or parts.path not in {"", "/"} or parts.username is not None:
        raise BadSettingsError("MIRROR_URL: not mqtt://host:port or mqtts://host:port; the user is MIRROR_USERNAME")
    return Address(host, port or _PORTS[parts.scheme], tls=parts.scheme == "mqtts")


def login_of(settings: ApiSettings) -> Login:
    """The user of MIRROR_USERNAME; without MIRROR_PASSWORD the demo user of that name, if `make run` has made one.

    To be asked anew for each connection: at its first start, `make run` makes the demo users when all else runs.
    Raises UnavailableError where there is no password.
    """
    if settings.mirror_password:
        return Login(settings.mirror_username, settings.mirror_password.get_secret_value())
    for user in kept_demo_users(settings.data_dir):
        if user.name == settings.mirror_username:
            return Login(user.name, user.password)
    raise UnavailableError(
        f"MIRROR_PASSWORD is not set, and DATA_DIR has no demo user {settings.mirror_username!r}; perhaps not yet"
    )


def client(address: Address, login: Login, *, client_id: str) -> aiomqtt.Client:
    """A connection to the broker, to be entered. Entering it raises aiomqtt.MqttError."""
    connection = aiomqtt.Client(
        address.host,
        address.port,
        username=login.name,
        password=login.password,
        identifier=client_id,
        clean_session=True,
        keepalive=KEEPALIVE_SECONDS,
        timeout=ANSWER_SECONDS,
        max_inflight_messages=AT_ONCE,
        tls_context=ssl.create_default_context() if address.tls else None,
    )
    # Else it warns of every eleventh message.
    connection.pending_calls_threshold = AT_ONCE
    return connection
