"""Pods behind Services with the labels of an application, by their EndpointSlices (discovery.k8s.io/v1).

Kubernetes copies a Service's labels to its slices. The port is that of the slice, the first one.
"""

import ssl
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import msgspec

from controller.asking import ask
from controller.registry import MAX_INSTANCES, usable
from core.clock import parse_rfc3339
from core.errors import UnavailableError
from core.unreadable import UNREADABLE
from core.versions import APP_LABEL, VERSION_LABEL
from state.apps import Instance

MAX_ANSWER_BYTES = 4 * 1024 * 1024
ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where a pod finds the token of its ServiceAccount, and whom it is to trust."""
_TOKEN, _AUTHORITY, _NAMESPACE = "token", "ca.crt", "namespace"


class _Conditions(msgspec.Struct, frozen=True):
    ready: bool | None = None
    terminating: bool | None = None


class _Target(msgspec.Struct, frozen=True):
    name: str = ""


class _Endpoint(msgspec.Struct, frozen=True, rename="camel"):
    addresses: tuple[str, ...]
    conditions: _Conditions = _Conditions()
    target_ref: _Target = _Target()


class _Port(msgspec.Struct, frozen=True):
    port: int | None = None


class _Metadata(msgspec.Struct, frozen=True, rename="camel"):
    name: str
    creation_timestamp: str
    labels: dict[str, str] = {}


class _Slice(msgspec.Struct, frozen=True):
    metadata: _Metadata
    endpoints: tuple[_Endpoint, ...] | None = ()
    ports: tuple[_Port, ...] | None = ()


class _Slices(msgspec.Struct, frozen=True):
    items: tuple[_Slice, ...]


class KubernetesRegistry:
    """The EndpointSlices of a namespace; `account` is the folder of the pod's ServiceAccount."""

    def __init__(self, *, session: aiohttp.ClientSession, url: str, namespace: str, account: Path = ACCOUNT) -> None:
        """`namespace` is the pod's own where it is empty."""
        self._session = session
        self._url = url.rstrip("/")
        self._namespace = namespace
        self._account = account

    async def instances(self) -> list[Instance]:
        """The pods that are not ending. Raises UnavailableError."""
        try:
            # Each time: Kubernetes puts another token there before the one that was read expires.
            token = (self._account / _TOKEN).read_text().strip()
            namespace = self._namespace or (self._account / _NAMESPACE).read_text().strip()
            authority = self._account / _AUTHORITY
            tls = ssl.create_default_context(cafile=str(authority)) if self._url.startswith("https:") else True
        except OSError as error:
            raise UnavailableError(f"the ServiceAccount of this pod cannot be read: {error}") from error
        body = await ask(
            self._session,
            f"{self._url}/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices",
            limit=MAX_ANSWER_BYTES,
            headers={"Authorization": f"Bearer {token}"},
            parameters={"labelSelector": f"{APP_LABEL},{VERSION_LABEL}", "limit": str(MAX_INSTANCES)},
            tls=tls,
        )
        try:
            slices = msgspec.json.decode(body, type=_Slices)
            return usable(each for part in slices.items for each in _instances(part))
        except UNREADABLE as error:
            raise UnavailableError(f"Kubernetes answers no list of EndpointSlices: {error}") from error


def _instances(part: _Slice) -> Iterator[Instance]:
    port = next((each.port for each in part.ports or () if each.port), None)
    for endpoint in part.endpoints or ():
        if port is None or not endpoint.addresses or endpoint.conditions.terminating:
            continue
        yield Instance(
            app=part.metadata.labels.get(APP_LABEL, ""),
            version=part.metadata.labels.get(VERSION_LABEL, ""),
            name=endpoint.target_ref.name or endpoint.addresses[0],
            address=endpoint.addresses[0],
            port=port,
            # Where it is not said, Kubernetes means that it is.
            healthy=endpoint.conditions.ready is not False,
            since=parse_rfc3339(part.metadata.creation_timestamp),
        )
