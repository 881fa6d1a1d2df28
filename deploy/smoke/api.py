"""The API as any client sees it, with nothing but the standard library."""

import http.client
import json
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlencode

from deploy.smoke.addresses import Address
from deploy.smoke.failed import CheckFailedError
from deploy.smoke.reasons import why

MAX_BODY = 16 * 1024 * 1024
"""Bytes of an answer, or of one line of an event stream: far more than a campus needs."""
_SHOWN = 300
"""Characters of a server's own words that are repeated."""


class Api:
    """Asks an API, one connection a question."""

    def __init__(
        self,
        address: Address,
        *,
        tls: ssl.SSLContext,
        key: str | None,
        limit: float,
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        """`key` is an API key, if it needs one; `limit` is in seconds, for each answer."""
        self._address = address
        self._tls = tls
        self._headers = {"User-Agent": "campus-smoke", **({"Authorization": f"Bearer {key}"} if key else {})}
        self._limit = limit
        self._elapsed = elapsed

    def get(self, path: str, **query: str) -> Any:  # noqa: ANN401 - JSON; what must be in it the caller looks at
        """The body of a 200. Raises Failed for all else."""
        with self._answer(path, query) as (response, _), self._explained(path):
            body = response.read(MAX_BODY + 1)
        if len(body) > MAX_BODY:
            raise self._failed(path, f"answers with more than {MAX_BODY} bytes")
        try:
            return json.loads(body)
        except ValueError as error:
            raise self._failed(path, "does not answer in JSON: is it this system that answers there?") from error

    @contextmanager
    def events(self, zone: str) -> Iterator[Iterator[tuple[str, Any]]]:
        """The server-sent events about a zone: their names and bodies, the snapshot first.

        Raises Failed once no event has come for the limit, counted anew from each one that has.
        """
        path = "/v1/events"
        with self._answer(path, {"zone": zone}) as (response, connected):
            yield self._events(path, response, connected)

    def _events(
        self, path: str, response: http.client.HTTPResponse, connected: socket.socket
    ) -> Iterator[tuple[str, Any]]:
        name = ""
        until = self._elapsed() + self._limit
        while True:
            # Heartbeats are answers, too: the time that is left is what a read may take.
            connected.settimeout(max(0.01, until - self._elapsed()))
            with self._explained(path):
                line = response.readline(MAX_BODY)
            field, _, value = line.decode(errors="replace").strip().partition(": ")
            if not line:
                raise self._failed(path, "ended the stream of events: does something in between cut long answers off?")
            if field == "event":
                name = value
            elif field == "data":
                yield name, json.loads(value)
                until = self._elapsed() + self._limit
            elif self._elapsed() > until:
                raise self._failed(path, f"sent no event for {self._limit:g} s")

    @contextmanager
    def _answer(self, path: str, query: dict[str, str]) -> Iterator[tuple[http.client.HTTPResponse, socket.socket]]:
        address = self._address
        connection = (
            http.client.HTTPSConnection(address.host, address.port, timeout=self._limit, context=self._tls)
            if address.tls
            else http.client.HTTPConnection(address.host, address.port, timeout=self._limit)
        )
        try:
            with self._explained(path):
                connection.connect()
                connected: socket.socket = connection.sock
                question = f"?{urlencode(query)}" if query else ""
                connection.request("GET", f"{address.path}{quote(path)}{question}", headers=self._headers)
                response = connection.getresponse()
                if response.status != HTTPStatus.OK:
                    raise self._failed(path, _refusal(response))
            with response:
                yield response, connected
        finally:
            connection.close()

    @contextmanager
    def _explained(self, path: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self._failed(path, f"no answer: {why(error)}") from error
        except http.client.HTTPException as error:
            raise self._failed(path, f"does not speak HTTP ({type(error).__name__})") from error

    def _failed(self, path: str, what: str) -> CheckFailedError:
        return CheckFailedError(f"GET {path} at {self._address}: {what}")


def _refusal(response: http.client.HTTPResponse) -> str:
    body = response.read(MAX_BODY)
    if response.status == HTTPStatus.UNAUTHORIZED:
        return "it wants an API key, in API_KEY (401)"
    try:
        said = json.loads(body)["detail"]
    except (ValueError, KeyError, TypeError):
        said = response.getheader("Location") or body.decode(errors="replace")
    return f"answers {response.status} {' '.join(str(said).split())[:_SHOWN]}"
