"""A container of the project, as the Engine describes it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from core.clock import to_milliseconds

SERVICES = ("broker", "decoder")
"""What is scaled; everything else of the project is left alone."""
PROJECT = "com.docker.compose.project"
SERVICE = "com.docker.compose.service"
NUMBER = "com.docker.compose.container-number"
ONE_OFF = "com.docker.compose.oneoff"
CLONE = "campus.autoscaler"
"""Label of the containers that the autoscaler has made."""


@dataclass(frozen=True, slots=True)
class Container:
    """One broker or decoder."""

    id: str
    """64 hexadecimal digits."""
    name: str
    service: str
    number: int
    """Compose's: 1 and up."""
    created: int
    """Milliseconds since the epoch, UTC."""
    state: str
    """created, running, restarting, paused, exited, dead, removing."""
    health: str | None
    """starting, healthy, unhealthy; None where the image has no health check."""
    is_clone: bool
    """Whether the autoscaler has made it."""
    exit_code: int = 0
    """Of one that has ended."""
    addresses: tuple[str, ...] = ()
    """Its IP addresses, by the name of the network."""
    inspected: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    """All that the Engine says."""

    @property
    def runs(self) -> bool:
        """Whether there is a process in it, or soon will be again."""
        return self.state in ("running", "restarting", "paused")

    @property
    def is_healthy(self) -> bool:
        """Whether it runs and its health check, if it has one, agrees."""
        return self.state == "running" and self.health in (None, "healthy")


def belongs(labels: Mapping[str, Any], project: str) -> bool:
    """Whether a container with these labels is a broker or a decoder of the project.

    One-off containers are not: they are commands that somebody runs by hand (`docker compose run broker users`).
    """
    return (
        labels.get(PROJECT) == project
        and labels.get(SERVICE) in SERVICES
        and labels.get(ONE_OFF, "False") == "False"
        and str(labels.get(NUMBER, "")).isdecimal()
    )


def labels_of(inspected: Mapping[str, Any]) -> Mapping[str, Any]:
    """The labels of a container; none where the answer is odd."""
    labels = (inspected.get("Config") or {}).get("Labels")
    return labels if isinstance(labels, dict) else {}


def read_container(inspected: Mapping[str, Any]) -> Container:
    """What the Engine's answer to "inspect" says of a container that `belongs`."""
    labels, state = labels_of(inspected), inspected["State"]
    networks = inspected["NetworkSettings"]["Networks"] or {}
    found = [networks[name].get("IPAddress") for name in sorted(networks)]
    health = (state.get("Health") or {}).get("Status")
    return Container(
        id=inspected["Id"],
        name=inspected["Name"].removeprefix("/"),
        service=labels[SERVICE],
        number=int(labels[NUMBER]),
        created=to_milliseconds(datetime.fromisoformat(inspected["Created"])),
        state=state["Status"],
        health=None if health in (None, "", "none") else health,
        is_clone=CLONE in labels,
        exit_code=state.get("ExitCode") or 0,
        addresses=tuple(address for address in found if address),
        inspected=inspected,
    )


def next_number(containers: list[Container]) -> int:
    """The number of one more container beside all those of its service, running or not."""
    return max((container.number for container in containers), default=0) + 1
