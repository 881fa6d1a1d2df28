"""What a compose run gives to people: demo users, an API key, and whom to trust."""

import ssl
from dataclasses import dataclass
from pathlib import Path

from core.kinds import DEFAULT_KINDS, Role
from tests.containers.senders import Door, User
from tests.containers.stack import Stack


@dataclass(frozen=True, slots=True)
class People:
    """The contents of the folder for people."""

    users: dict[Role, User]
    api_key: str
    authority: Path
    """The certificate that clients are to trust."""

    @property
    def gateway(self) -> User:
        """Who may publish for any device."""
        return self.users[Role.GATEWAY]

    def tls(self) -> ssl.SSLContext:
        """For clients that trust nobody else, and look at the name."""
        return ssl.create_default_context(cafile=str(self.authority))

    def doors(self, stack: Stack) -> dict[str, Door]:
        """The ways in for MQTT, by their schemes."""
        ports = stack.ports
        return {
            "mqtt": Door("tcp", ports["MQTT_PORT"]),
            "mqtts": Door("tcp", ports["MQTTS_PORT"], self.tls(), host="localhost"),
            "ws": Door("websockets", ports["HTTP_PORT"]),
            "wss": Door("websockets", ports["HTTPS_PORT"], self.tls(), host="localhost"),
        }


def people_of(secrets: Path) -> People:
    """Those of a run whose secrets are in a folder."""
    folder = secrets / "people"
    rows = [line.split(",") for line in (folder / "demo-users.csv").read_text().splitlines()]
    return People(
        users={DEFAULT_KINDS.role(role): User(name, password) for name, role, password in rows},
        api_key=(folder / "api-key").read_text().strip(),
        authority=folder / "ca.pem",
    )
