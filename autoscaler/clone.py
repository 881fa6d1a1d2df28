"""One more container like another one. The autoscaler asks for it, and the gate works it out again: both by this."""

from collections.abc import Mapping
from typing import Any

from autoscaler.containers import CLONE, NUMBER, PROJECT, SERVICE, labels_of

SHORT_ID = 12
_OF_ONE_CONTAINER = ("Hostname", "Domainname", "MacAddress", "OnBuild")
"""What belongs to the original alone, or means nothing for a container."""
_LABELS_OF_ONE_CONTAINER = ("com.docker.compose.replace",)
_NOT_FOR_HOST = ("ContainerIDFile", "Links", "PortBindings", "VolumesFrom")


class CloneRefusedError(Exception):
    """A container of which there must not be two; the message says why."""


def clone_name(original: Mapping[str, Any], number: int) -> str:
    """The name that compose would give it."""
    labels = labels_of(original)
    return f"{labels[PROJECT]}-{labels[SERVICE]}-{number}"


def clone_body(original: Mapping[str, Any], number: int) -> dict[str, Any]:
    """The body of "create" for one more container like the inspected `original`: image, configuration, limits, mounts.

    It is attached to one network, as Engines before version 25 allow no more; `clone_networks` has the others. Raises
    CloneRefusedError.
    """
    host, labels = original["HostConfig"], dict(labels_of(original))
    if host.get("Privileged"):
        raise CloneRefusedError("it is privileged")
    if any(host.get("PortBindings") or ()):
        raise CloneRefusedError("it publishes a port of the host, which only one container can have")
    for name in _LABELS_OF_ONE_CONTAINER:
        labels.pop(name, None)
    labels |= {NUMBER: str(number), CLONE: "true"}
    config = {name: value for name, value in original["Config"].items() if name not in _OF_ONE_CONTAINER}
    # By its digest: the tag may mean another image by now.
    config |= {"Labels": labels, "Image": original["Image"]}
    config["HostConfig"] = {name: value for name, value in host.items() if name not in _NOT_FOR_HOST}
    first = _first_network(original)
    if first is not None:
        endpoint = _endpoint(original, first, number)
        config["NetworkingConfig"] = {"EndpointsConfig": {first: endpoint}}
    return {name: value for name, value in config.items() if value is not None}


def clone_networks(original: Mapping[str, Any], number: int) -> dict[str, dict[str, Any]]:
    """The networks that the clone has to be connected to before it starts: what it is in them, by network id."""
    networks, first = _networks(original), _first_network(original)
    return {
        networks[name]["NetworkID"]: _endpoint(original, name, number) for name in sorted(networks) if name != first
    }


def _networks(original: Mapping[str, Any]) -> dict[str, Any]:
    return original["NetworkSettings"]["Networks"] or {}


def _first_network(original: Mapping[str, Any]) -> str | None:
    networks, mode = _networks(original), original["HostConfig"].get("NetworkMode")
    return mode if mode in networks else min(networks, default=None)


def _endpoint(original: Mapping[str, Any], network: str, number: int) -> dict[str, Any]:
    """The same aliases, the service's name among them: that is what HAProxy asks the DNS for."""
    own = (original["Name"].removeprefix("/"), original["Id"][:SHORT_ID])
    given = _networks(original)[network].get("Aliases") or ()
    return {"Aliases": sorted({alias for alias in given if alias not in own} | {clone_name(original, number)})}
