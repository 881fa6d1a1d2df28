"""Which containers of the project are instances of applications, where they are, and whether they are healthy."""

import json
from collections.abc import Mapping
from typing import Any

from autoscaler.containers import ONE_OFF, PROJECT
from autoscaler.gate_engine import EngineSocket
from core.errors import UnavailableError
from core.versions import APP_LABEL, PORT_LABEL, VERSION_LABEL

LABELS = (APP_LABEL, VERSION_LABEL, PORT_LABEL)
NETWORK = "front"
"""The network in which HAProxy reaches it."""
MAX_LABEL = 64
MAX_INSTANCES = 200
_WELL = ["healthy", "none"]
"""Health of a container that is well; none: its image has no health check."""


async def running_apps(engine: EngineSocket, project: str) -> list[dict[str, object]]:
    """Those that run, as `state.apps.Instance` has them. Raises UnavailableError.

    They are listed twice, all of them and those that are well, for a list says of the health in words alone. Nobody is
    inspected: that would show environments.
    """
    labels = [f"{PROJECT}={project}", *LABELS]
    running = await _listed(engine, {"label": labels, "status": ["running"]})
    well = {each.get("Id") for each in await _listed(engine, {"label": labels, "status": ["running"], "health": _WELL})}
    found = [_instance(each, project, healthy=each.get("Id") in well) for each in running]
    return [each for each in found if each is not None][:MAX_INSTANCES]


async def _listed(engine: EngineSocket, filters: Mapping[str, list[str]]) -> list[dict[str, Any]]:
    answer = await engine.call("GET", "/containers/json", parameters={"filters": json.dumps(filters)})
    found = answer.json()
    if not isinstance(found, list):
        raise UnavailableError("the Engine answers no list")
    return [each for each in found if isinstance(each, dict)]


def _instance(listed: Mapping[str, Any], project: str, *, healthy: bool) -> dict[str, object] | None:
    """None for one that HAProxy cannot reach, or whose labels are none that can be used."""
    labels = listed.get("Labels") or {}
    networks = (listed.get("NetworkSettings") or {}).get("Networks") or {}
    address = (networks.get(f"{project}_{NETWORK}") or {}).get("IPAddress")
    port = str(labels.get(PORT_LABEL, ""))
    names = listed.get("Names") or []
    if labels.get(PROJECT) != project or labels.get(ONE_OFF, "False") != "False" or not address or not names:
        return None
    if not port.isdecimal() or any(
        len(str(labels[label])) > MAX_LABEL for label in (APP_LABEL, VERSION_LABEL, PORT_LABEL)
    ):
        return None
    return {
        "app": str(labels[APP_LABEL]),
        "version": str(labels[VERSION_LABEL]),
        "name": str(names[0]).removeprefix("/"),
        "address": str(address),
        "port": int(port),
        "healthy": healthy,
        # When it was made: a list does not say when it was started last.
        "since": int(listed.get("Created") or 0) * 1000,
    }
