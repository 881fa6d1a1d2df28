"""The gate's own way to the Engine: a Unix socket, one version of the API, bounded answers."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aiohttp

from core.errors import UnavailableError
from runtime.bounded import TooLongError, read_bounded

OLDEST_VERSION = (1, 41)
"""Docker 20.10. What is sent and compared is of this version, or of the oldest that the Engine still speaks."""
MAX_ANSWER_BYTES = 4 * 1024 * 1024
TIMEOUT_SECONDS = 90.0
"""Longer than the longest stop."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the Engine has said."""

    status: int
    body: bytes
    content_type: str

    def json(self) -> Any:  # noqa: ANN401 - the Engine's own structures
        """The body, parsed. Raises UnavailableError where it is no JSON."""
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise UnavailableError("the Engine answers something that is no JSON") from error


class EngineSocket:
    """The Engine behind a Unix socket."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self._version: str | None = None

    async def version(self) -> str:
        """The version of the API that is spoken with it. Raises UnavailableError."""
        if self._version is None:
            told = (await self.call("GET", "/version", versioned=False)).json()
            try:
                oldest = tuple(int(part) for part in told["MinAPIVersion"].split("."))
                newest = tuple(int(part) for part in told["ApiVersion"].split("."))
            except (KeyError, ValueError, TypeError, AttributeError) as error:
                raise UnavailableError("the Engine does not tell which versions it speaks") from error
            chosen = max(OLDEST_VERSION, oldest)
            if newest < chosen:
                raise UnavailableError(f"the Engine is too old: API {told['ApiVersion']}, not {chosen[0]}.{chosen[1]}")
            self._version = f"{chosen[0]}.{chosen[1]}"
        return self._version

    async def call(
        self,
        method: str,
        path: str,
        *,
        parameters: Mapping[str, str] | None = None,
        body: object = None,
        versioned: bool = True,
    ) -> Answer:
        """Ask it. Raises UnavailableError where it does not answer, or answers more than MAX_ANSWER_BYTES."""
        prefix = f"/v{await self.version()}" if versioned else ""
        try:
            async with self._session.request(
                method,
                f"http://engine{prefix}{path}",
                params=parameters,
                json=body,
                timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS),
                allow_redirects=False,
            ) as answer:
                body = await read_bounded(answer.content, MAX_ANSWER_BYTES)
                return Answer(answer.status, body, answer.content_type)
        except TooLongError as error:
            raise UnavailableError(f"the Engine's answer is {error}") from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise UnavailableError(f"the Docker Engine does not answer: {error}") from error

    async def inspect(self, container_id: str) -> dict[str, Any] | None:
        """What it says of a container; None where there is none with exactly this id. Raises UnavailableError."""
        answer = await self.call("GET", f"/containers/{container_id}/json")
        if answer.status == HTTPStatus.NOT_FOUND:
            return None
        found = answer.json()
        if answer.status != HTTPStatus.OK or not isinstance(found, dict):
            raise UnavailableError(f"the Engine answers {answer.status} when asked for a container")
        # The Engine would also find one by the beginning of its id, or by its name.
        return found if found.get("Id") == container_id else None


@asynccontextmanager
async def open_engine(socket: Path) -> AsyncIterator[EngineSocket]:
    """Opening waits for nothing."""
    async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(path=str(socket), limit=20)) as session:
        yield EngineSocket(session)
