"""What the tests of the gate have in common."""

import json
from typing import Any

from autoscaler.clone import clone_body
from autoscaler.containers import Container
from tests.autoscaler.conftest import RunningGate

CREATE = "/v1.41/containers/create?name=campus-broker-3"


async def broker(gate: RunningGate, name: str = "campus-broker-2") -> Container:
    return next(each for each in await gate.engine().containers() if each.name == name)


async def right_body(gate: RunningGate) -> dict[str, Any]:
    """What the gate would let through."""
    return clone_body((await broker(gate)).inspected, 3)


def dump(body: object) -> bytes:
    return json.dumps(body).encode()


async def refused(gate: RunningGate, method: str, target: str, body: bytes = b"") -> str:
    """Fails where the request is let through; answers why it is not."""
    before = len(gate.docker.changes)
    status, answer = await gate.send(method, target, body)
    assert status == 403, answer
    assert len(gate.docker.changes) == before
    return str(json.loads(answer)["message"]) if answer else ""
