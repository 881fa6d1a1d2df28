"""The Docker Engine, as far as the autoscaler may ask it: through the gate, or directly."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from typing import Any, Literal, Protocol, TypeVar

import docker
import requests
from docker.errors import APIError, DockerException

from autoscaler.clone import CloneRefusedError, clone_body, clone_name, clone_networks
from autoscaler.containers import PROJECT, Container, belongs, labels_of, read_container
from core.errors import UnavailableError

TIMEOUT_SECONDS = 15
STOP_SECONDS = 10
"""What a container that is stopped has until SIGKILL."""
Signal = Literal["SIGUSR1", "SIGTERM"]
Answer = TypeVar("Answer")


class Engine(Protocol):
    """What the autoscaler needs of it. All raise UnavailableError; what is gone already is no error."""

    async def containers(self) -> list[Container]:
        """All brokers and decoders of the project, running or not."""
        ...

    async def clone(self, original: Container, number: int) -> str:
        """Make and start one more container like `original`; its id."""
        ...

    async def signal(self, container: Container, signal: Signal) -> None:
        """Send a signal to its process."""
        ...

    async def stop(self, container: Container) -> None:
        """SIGTERM, and SIGKILL after STOP_SECONDS; returns when it has ended."""
        ...

    async def remove(self, container: Container) -> None:
        """Remove it, with its anonymous volumes, once it has ended."""
        ...


class DockerEngine:
    """The Engine behind DOCKER_HOST, for the containers of one compose project."""

    def __init__(self, *, address: str, project: str) -> None:
        self._address = address
        self._project = project
        self._client: docker.APIClient | None = None

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await asyncio.to_thread(self._client.close)

    async def containers(self) -> list[Container]:
        """All brokers and decoders of the project, running or not. Raises UnavailableError."""

        def ask(client: docker.APIClient) -> list[Container]:
            found = []
            for listed in client.containers(all=True, filters={"label": [f"{PROJECT}={self._project}"]}):
                if belongs(listed.get("Labels") or {}, self._project):
                    # It may have gone since.
                    with suppress(docker.errors.NotFound):
                        found.append(self._look(client, listed["Id"]))
            return found

        return await self._do(ask)

    async def clone(self, original: Container, number: int) -> str:
        """Make and start one more container like `original`; its id. What cannot be started is removed.

        Raises UnavailableError.
        """

        def act(client: docker.APIClient) -> str:
            seen = self._look(client, original.id).inspected
            name = clone_name(seen, number)
            body = clone_body(seen, number)
            made = str(client.create_container_from_config(body, name)["Id"])  # type: ignore[no-untyped-call]
            try:
                for network, endpoint in clone_networks(seen, number).items():
                    client.connect_container_to_network(made, network, aliases=endpoint["Aliases"])
                client.start(made)
            except (DockerException, requests.RequestException):
                with suppress(DockerException, requests.RequestException):
                    client.remove_container(made, v=True)
                raise
            return made

        try:
            return await self._do(act)
        except CloneRefusedError as error:
            raise UnavailableError(f"{original.name} cannot be cloned: {error}") from error

    async def signal(self, container: Container, signal: Signal) -> None:
        """Send a signal to its process. Raises UnavailableError."""
        await self._to(container, lambda client: client.kill(container.id, signal))

    async def stop(self, container: Container) -> None:
        """SIGTERM, and SIGKILL after STOP_SECONDS; returns when it has ended. Raises UnavailableError."""
        await self._to(container, lambda client: client.stop(container.id, timeout=STOP_SECONDS))

    async def remove(self, container: Container) -> None:
        """Remove it, with its anonymous volumes, once it has ended. Raises UnavailableError."""
        await self._to(container, lambda client: client.remove_container(container.id, v=True))

    async def _to(self, container: Container, act: Callable[[docker.APIClient], Any]) -> None:
        def checked(client: docker.APIClient) -> None:
            try:
                self._look(client, container.id)
                act(client)
            except APIError as error:
                # Gone, or ended, meanwhile.
                if error.status_code not in (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT):
                    raise

        await self._do(checked)

    def _look(self, client: docker.APIClient, container_id: str) -> Container:
        """Raises UnavailableError for one that is not the project's: nothing is done to it."""
        inspected = client.inspect_container(container_id)
        if not belongs(labels_of(inspected), self._project):
            raise UnavailableError(f"container {container_id[:12]} is no broker or decoder of {self._project}")
        return read_container(inspected)

    async def _do(self, work: Callable[[docker.APIClient], Answer]) -> Answer:
        def connected() -> Answer:
            if self._client is None:
                # It asks for the Engine's version, so it is made when that is there.
                self._client = docker.APIClient(base_url=self._address, version="auto", timeout=TIMEOUT_SECONDS)
                self._client.trust_env = False
            return work(self._client)

        try:
            return await asyncio.to_thread(connected)
        except APIError as error:
            raise UnavailableError(f"the Docker Engine refuses: {error.explanation or error}") from error
        except (DockerException, requests.RequestException, KeyError, ValueError, TypeError) as error:
            raise UnavailableError(f"the Docker Engine does not answer at {self._address}: {error}") from error
