"""What the broker nodes say about themselves: how much comes in, and whether they are leaving."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from autoscaler.containers import Container

TIMEOUT_SECONDS = 2.0
MAX_ANSWER_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class NodeFigures:
    """One node at one moment."""

    received: float
    """Messages from clients since it started."""
    draining: bool
    """Whether it is leaving."""


class Nodes(Protocol):
    """Where the figures of nodes come from."""

    async def read(self, containers: Sequence[Container]) -> Mapping[str, NodeFigures]:
        """The figures of those that answer, by container id."""
        ...


class HttpNodes:
    """Reads /metrics of each node."""

    def __init__(self, *, session: aiohttp.ClientSession, port: int) -> None:
        self._session = session
        self._port = port

    async def read(self, containers: Sequence[Container]) -> Mapping[str, NodeFigures]:
        """The figures of those that answer, by container id."""
        found = await asyncio.gather(*[self._read_one(container) for container in containers])
        return {
            container.id: figures for container, figures in zip(containers, found, strict=True) if figures is not None
        }

    async def _read_one(self, container: Container) -> NodeFigures | None:
        for address in container.addresses:
            host = f"[{address}]" if ":" in address else address
            try:
                async with (
                    asyncio.timeout(TIMEOUT_SECONDS),
                    self._session.get(f"http://{host}:{self._port}/metrics") as answer,
                ):
                    answer.raise_for_status()
                    body = await answer.content.read(MAX_ANSWER_BYTES)
                    while not answer.content.at_eof() and len(body) < MAX_ANSWER_BYTES:
                        body += await answer.content.read(MAX_ANSWER_BYTES - len(body))
                return parse_figures(body.decode())
            except (aiohttp.ClientError, TimeoutError, ValueError):
                # It may be in another network as well, where it can be reached.
                continue
        return None


def parse_figures(text: str) -> NodeFigures:
    """What is needed of a node's metrics. Raises ValueError for what is none."""
    received, draining = None, False
    for family in text_string_to_metric_families(text):
        if family.name == "broker_received_messages":
            received = sum(sample.value for sample in family.samples if sample.name.endswith("_total"))
        elif family.name == "broker_draining":
            draining = any(sample.value for sample in family.samples)
    if received is None:
        raise ValueError("no broker_received_messages_total")
    return NodeFigures(received, draining)
