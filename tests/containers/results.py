"""What the running system has come to, asked as users and operators ask it."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

import httpx

from core.clock import format_rfc3339
from core.kinds import DEFAULT_KINDS
from tests.containers.stack import until
from tests.oracle.naive import Content, Truth, Window, load_shapes

DAY_MS = 86_400_000
DONE_SECONDS = 300.0


class Process(Protocol):
    """A container of a service, wherever it runs."""

    @property
    def running(self) -> bool:
        """Whether a command can be run in it."""

    def run(self, *command: str) -> str:
        """What a command prints that runs in it."""


class System(Protocol):
    """What is asked: a compose project, or a namespace of Kubernetes."""

    @property
    def url(self) -> str:
        """HTTP through HAProxy."""

    def secret(self, service: str, name: str) -> str:
        """One of the secrets that a service was given."""

    def containers(self, service: str) -> Sequence[Process]:
        """Those of a service."""


class Reader(Protocol):
    """Who may ask."""

    @property
    def api_key(self) -> str:
        """A key of the API."""


SPANS = {"1m": DAY_MS, "5m": DAY_MS, "1h": DAY_MS, "1d": 2 * DAY_MS}


def status(stack: System) -> dict[str, Any]:
    """What `python -m state status --json` says, in a decoder."""
    answer: dict[str, Any] = json.loads(_decoder(stack, "state", "status", "--json"))
    return answer


def wait_until_done(stack: System, limit: float = DONE_SECONDS) -> None:
    """Wait until every stage has worked off its backlog."""

    def backlogs() -> dict[str, int]:
        try:
            waiting: dict[str, int] = status(stack)["backlogs"]
        except AssertionError as error:
            return {str(error): 1}
        return {stream: count for stream, count in waiting.items() if count}

    until(lambda: not backlogs(), "all stages have worked off their backlogs", limit, told=backlogs)


def documents(stack: System, *, start: int, end: int) -> dict[str, Content]:
    """Those of a span of event time (milliseconds, the end excluded), by id; `received_at` is left empty."""
    first, last = format_rfc3339(start), format_rfc3339(end)
    found = {}
    for line in _decoder(stack, "documents", "export", "-").splitlines():
        document = json.loads(line)
        properties = document["properties"]
        if first <= properties["observed_at"] < last:
            found[document["id"]] = Content(
                properties["kind"],
                properties["device"],
                tuple(document["geometry"]["coordinates"]),
                tuple(properties["zones"]),
                properties["observed_at"],
                "",
                properties.get("accuracy"),
                properties.get("speed"),
                properties.get("heading"),
                properties.get("inaccurate", False),
            )
    return found


def windows(stack: System, people: Reader, day: str) -> dict[Window, int]:
    """Every window of a day (UTC) in which there was somebody, by REST."""
    start = int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()) * 1000
    found: dict[Window, int] = {}
    with httpx.Client(base_url=stack.url, headers={"Authorization": f"Bearer {people.api_key}"}) as client:
        for zone in load_shapes():
            for kind in DEFAULT_KINDS.ids:
                for width, span in SPANS.items():
                    answer = client.get(
                        f"/v1/zones/{zone}/occupancy/history",
                        params={
                            "kind": kind,
                            "window": width,
                            "start": format_rfc3339(start),
                            "end": format_rfc3339(start + span),
                        },
                    )
                    assert answer.status_code == httpx.codes.OK, answer.text
                    found |= {
                        (width, _milliseconds(point["start"]), zone, kind): point["devices"]
                        for point in answer.json()["points"]
                        if point["devices"]
                    }
    return found


def differences(stack: System, people: Reader, truth: Truth, day: str) -> list[str]:
    """What the system has other than the oracle, of one day (UTC); a sentence each, nothing where all is well."""
    start = int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()) * 1000
    kept = documents(stack, start=start, end=start + DAY_MS)
    expected = {name: {content._replace(received_at="") for content in may} for name, may in truth.documents.items()}
    wrong = [f"no document {name}" for name in expected.keys() - kept.keys()]
    wrong += [f"a document of nothing: {name}" for name in kept.keys() - expected.keys()]
    wrong += [
        f"document {name} says {kept[name]}, not one of {expected[name]}"
        for name in expected.keys() & kept.keys()
        if kept[name] not in expected[name]
    ]
    counts = {window: len(devices) for window, devices in truth.windows.items()}
    seen = windows(stack, people, day)
    return wrong + [
        f"window {window} has {seen.get(window, 0)} devices, not {counts.get(window, 0)}"
        for window in counts.keys() | seen.keys()
        if seen.get(window, 0) != counts.get(window, 0)
    ]


def device_key(stack: System) -> bytes:
    """The key of the device hashes."""
    return bytes.fromhex(stack.secret("decoder", "DEVICE_KEY"))


def _decoder(stack: System, *command: str) -> str:
    decoder = next(container for container in stack.containers("decoder") if container.running)
    return decoder.run("python", "-m", *command)


def _milliseconds(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)
