"""Containers with the labels of an application, of which its gate to the Docker Engine tells (`autoscaler.gate`)."""

import aiohttp
import msgspec

from controller.asking import ask
from controller.registry import usable
from core.errors import UnavailableError
from core.unreadable import UNREADABLE
from state.apps import Instance

PATH = "/campus/apps"
MAX_ANSWER_BYTES = 256 * 1024


class DockerRegistry:
    """The gate at `url`, without a path."""

    def __init__(self, *, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url.rstrip("/")

    async def instances(self) -> list[Instance]:
        """The containers that run. Raises UnavailableError."""
        body = await ask(self._session, f"{self._url}{PATH}", limit=MAX_ANSWER_BYTES)
        try:
            return usable(msgspec.json.decode(body, type=list[Instance]))
        except UNREADABLE as error:
            raise UnavailableError(f"the gate at {self._url} answers no list of instances: {error}") from error
