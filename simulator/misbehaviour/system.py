"""The system as it is seen from outside, before and after."""

import http.client
import json
import re
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from core.errors import UnavailableError
from core.kinds import Kind, Kinds, Role
from geofence import Campus
from runtime.demo_users import demo_name
from simulator.login import Login
from simulator.misbehaviour.wire import NO_ANSWER, Wire

TIMEOUT_SECONDS = 10.0
DONE_SECONDS = 30.0
"""How long the decoder is waited for."""
_LOOK_SECONDS = 0.1
SHOWN = {
    "broker_refused": "refused by the broker",
    "broker_dropped": "dropped by the broker",
    "decoder_dead_letters": "dead letters",
    "decoder_ignored": "ignored",
    "decoder_implausible_positions": "marked as implausible",
    "decoder_outside_positions": "outside of the campus, no trace",
    "decoder_positions": "positions on the campus",
}
"""Counters that say what became of something, and in which words."""
_SAMPLE = re.compile(r'^(\w+?)(?:_total)?(?:\{(?:\w+="([^"]*)",?)*\})? ([0-9.e+-]+)$', re.MULTILINE)
Figures = Mapping[tuple[str, str], float]
"""Counters by their name and their last label."""


@dataclass(frozen=True, slots=True)
class System:
    """Where everything is."""

    host: str
    port: int
    """Of MQTT."""
    api: str
    """Address of the API."""
    metrics: tuple[str, ...]
    """Addresses of /metrics of brokers and decoders; without any, only the wire and REST answer."""
    users: Mapping[str, Login]
    """By name of their role; there may be none."""
    kinds: Kinds
    campus: Campus

    def wire(self, *, receive_bytes: int | None = None) -> Wire:
        """A new connection. Raises UnavailableError."""
        try:
            return Wire(self.host, self.port, receive_bytes=receive_bytes)
        except OSError as error:
            raise UnavailableError(f"MQTT at {self.host}:{self.port} does not answer: {error}") from error

    def check(self) -> None:
        """Raise UnavailableError where nobody could tell an answer from silence."""
        with self.wire() as wire:
            code = wire.connect("misbehaves-later", self.gateway)
        if code:
            said = "says nothing" if code == NO_ANSWER else f"refuses the login ({code})"
            raise UnavailableError(f"MQTT at {self.host}:{self.port} {said}")
        self.figures()

    @property
    def kind(self) -> Kind:
        """The kind that misbehaves: the first of the table."""
        return next(iter(self.kinds))

    @property
    def gateway(self) -> Login:
        """Who may speak for any device: the demo's gateway, or nobody in particular."""
        return self.users.get(Role.GATEWAY.name, Login())

    def device(self, kind: Kind) -> Login | None:
        """A user who is one device of a kind; None where nobody is known."""
        return self.users.get(kind.id)

    def devices(self, zone: str, kind: Kind) -> int:
        """How many REST counts in a zone now. Raises UnavailableError."""
        body = json.loads(_get(f"{self.api}/v1/zones/{zone}/occupancy"))
        return int(body[kind.id])

    def figures(self) -> Figures:
        """The counters of all, added up. Raises UnavailableError."""
        found: dict[tuple[str, str], float] = defaultdict(float)
        for address in self.metrics:
            for name, label, value in _SAMPLE.findall(_get(address).decode()):
                if name in SHOWN or name == "decoder_messages":
                    found[name, label] += float(value)
        return found

    def changes(self, before: Figures, *, messages: int) -> list[str]:
        """What has become more since, once the decoder has decoded so many messages more, in words."""
        if not self.metrics:
            return []
        until = time.monotonic() + DONE_SECONDS
        decoded = "decoder_messages", ""
        now = self.figures()
        while now.get(decoded, 0) - before.get(decoded, 0) < messages and time.monotonic() < until:
            time.sleep(_LOOK_SECONDS)
            now = self.figures()
        return [
            f"{SHOWN[key[0]]}{f' ({key[1]})' if key[1] else ''}: {int(now[key] - before.get(key, 0)):,}"
            for key in sorted(now)
            if key[0] in SHOWN and now[key] > before.get(key, 0)
        ]


def users_of(rows: Mapping[str, Login], kinds: Kinds) -> dict[str, Login]:
    """The demo users among users by name, by the role that each has."""
    return {role.name: rows[name] for role in kinds.user_roles if (name := demo_name(role.name)) in rows}


def _get(address: str) -> bytes:
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port or 80, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", parts.path or "/")
        answer = connection.getresponse()
        body = answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise UnavailableError(f"{address} does not answer: {error}") from error
    finally:
        connection.close()
    if answer.status != http.client.OK:
        raise UnavailableError(f"{address} answers {answer.status}")
    return body
