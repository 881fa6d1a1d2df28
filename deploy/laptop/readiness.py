"""When the whole system can work, seen from outside."""

import http.client
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from threading import Event

from deploy.laptop.ports import LOOPBACK, reachable, shown
from deploy.laptop.settings import LaptopSettings

LIMIT_SECONDS = 60.0
"""After which the log says what is not ready yet."""
_PAUSE_SECONDS = 0.1
_TIMEOUT_SECONDS = 2.0
_MAX_REASON = 200

# MQTT 3.1.1: a clean session, ten seconds of keepalive, no client id; whatever the CONNACK says, MQTT is there.
_CONNECT = b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x0a\x00\x00"
_CONNACK_TYPE = b"\x20"
_DISCONNECT = b"\xe0\x00"


@dataclass(frozen=True, slots=True)
class Part:
    """A service that must say that it is ready, or alive where it is reached as clients reach it."""

    name: str
    host: str
    port: int
    path: str = "/readyz"

    def problem(self) -> str | None:
        """None if it is ready, or what it says about why not."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=_TIMEOUT_SECONDS)
        try:
            connection.request("GET", self.path)
            response = connection.getresponse()
            text = response.read(_MAX_REASON).decode(errors="replace")
        except (OSError, http.client.HTTPException) as error:
            return f"{self.name} does not answer at {shown(self.host, self.port)} ({error})"
        finally:
            connection.close()
        if response.status == http.client.OK:
            return None
        return f"{self.name}: {' '.join(text.split()) or response.status}"


@dataclass(frozen=True, slots=True)
class Door:
    """Where MQTT clients come in."""

    host: str
    port: int

    def problem(self) -> str | None:
        """None if a CONNECT is answered."""
        where = f"MQTT at {shown(self.host, self.port)}"
        try:
            with socket.create_connection((self.host, self.port), timeout=_TIMEOUT_SECONDS) as connection:
                connection.sendall(_CONNECT)
                answer = connection.recv(1)
                if answer == _CONNACK_TYPE:
                    connection.sendall(_DISCONNECT)
                    return None
        except OSError as error:
            return f"{where} does not answer ({error})"
        return f"{where} does not accept connections"


def services(settings: LaptopSettings, ports: Mapping[str, int]) -> list[Part]:
    """The services that must be ready, and the public port of HTTP: HAProxy has to have seen that the API is there."""
    return [
        Part("broker-1", LOOPBACK, ports["broker_1_ops_port"]),
        Part("broker-2", LOOPBACK, ports["broker_2_ops_port"]),
        Part("decoder", LOOPBACK, ports["decoder_ops_port"]),
        Part("api", LOOPBACK, ports["api_ops_port"]),
        Part("HTTP", reachable(settings.bind_address), ports["http_port"], "/healthz"),
    ]


def door(settings: LaptopSettings, ports: Mapping[str, int]) -> Door:
    """The public MQTT port."""
    return Door(reachable(settings.bind_address), ports["mqtt_port"])


def welcome(settings: LaptopSettings, ports: Mapping[str, int]) -> str:
    """The line that says where everything is."""
    mqtt = shown(reachable(settings.bind_address), ports["mqtt_port"])
    web = f"http://{shown(reachable(settings.bind_address), ports['http_port'])}"
    return f"ready: MQTT mqtt://{mqtt} | API {web}/v1/occupancy (docs: {web}/docs) | live map {web}/ | Ctrl-C stops"


def anonymous_note(settings: LaptopSettings) -> list[str]:
    """What to know where clients need no user."""
    if not settings.mqtt_allow_anonymous:
        return []
    how = "MQTT_ALLOW_ANONYMOUS=false make run"
    return [f"MQTT clients may come in without a user, as this is a laptop; to let in users alone: {how}"]


def announce(
    parts: list[Part],
    door: Door,
    *,
    say: Callable[[str], None],
    welcome: Callable[[], Iterable[str]],
    made: Event,
    stop: Event,
    ready: Event | None = None,
    limit: float = LIMIT_SECONDS,
    elapsed: Callable[[], float] = time.monotonic,
) -> None:
    """Say the lines of `welcome` as soon as everything is ready; after `limit` seconds say once what is not, and why.

    Nothing is ready before what a first start makes is `made`. Sets `ready`, and returns, when it is said; returns when
    `stop` is set, too.
    """
    started = elapsed()
    told = False
    while not stop.wait(_PAUSE_SECONDS):
        # The door is tried last: a node has nothing to say to a CONNECT before it is ready.
        problems = [problem for part in parts if (problem := part.problem())]
        if not problems and (problem := door.problem()):
            problems = [problem]
        if not problems and not made.is_set():
            problems = ["the demo users are not made yet"]
        if not problems:
            for line in welcome():
                say(line)
            if ready is not None:
                ready.set()
            return
        if not told and elapsed() - started > limit:
            told = True
            say(f"not ready after {limit:.0f} s, still trying: {'; '.join(problems)}")


def release_when(ready: Event, release: Callable[[], None], *, stop: Event) -> None:
    """Call `release` as soon as `ready` is set; returns then, or when `stop` is set."""
    while not ready.wait(_PAUSE_SECONDS):
        if stop.is_set():
            return
    release()
