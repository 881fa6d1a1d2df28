"""The outline of the campus as `GET /v1/zones` says it: asked by one device, or once for many."""

import json
import ssl
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, NamedTuple
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from simulator.outline import Rings, outline_of

ANSWER_SECONDS = 10.0
"""How long the API may take."""
SHARED_SECONDS = 20.0
"""Between two questions for many devices: less than a device without an outline waits (`Policy`)."""


class Outline(NamedTuple):
    """An answer."""

    rings: Rings | None
    """None where the campus has no boundary."""
    etag: str | None


Ask = Callable[[str | None], Outline | None]
"""Asks with an ETag, or without one; None where there is no news. Raises NoOutlineError."""


class NoOutlineError(Exception):
    """There was no answer: the last one holds. The text says why."""


class ClosedError(NoOutlineError):
    """Nobody may know the campus."""


class ZonesApi:
    """Asks an API. `url` is where `GET /v1/zones` is; raises ValueError if it is none of HTTP."""

    def __init__(self, url: str, tls: ssl.SSLContext) -> None:
        if urlsplit(url).scheme not in ("http", "https"):
            raise ValueError(f"{url} is no address of the API: it begins with http:// or https://")
        self._url = url
        self._tls = tls

    def __call__(self, etag: str | None) -> Outline | None:
        """Ask, with `If-None-Match` where there is an ETag."""
        asked = Request(self._url, headers={} if etag is None else {"If-None-Match": etag})  # noqa: S310 - HTTP, as checked
        try:
            with urlopen(asked, timeout=ANSWER_SECONDS, context=self._tls) as answer:  # noqa: S310 - the same
                zones: dict[str, Any] = json.load(answer)
                tag = answer.headers["ETag"]
        except HTTPError as error:
            if error.code == HTTPStatus.NOT_MODIFIED:
                return None
            if error.code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
                raise ClosedError(f"{self._url} is not open to the public ({error.code}): nothing is sent") from error
            raise NoOutlineError(f"{self._url} answered {error.code}") from error
        except (OSError, ValueError) as error:
            raise NoOutlineError(f"{self._url}: {error}") from error
        rings = outline_of(zones)
        return Outline(rings, tag if rings is not None else None)


class SharedZones:
    """Asks once for all devices of a process, and gives each the last answer. From any thread."""

    def __init__(self, ask: Ask, elapsed: Callable[[], float] = time.monotonic) -> None:
        self._ask = ask
        self._elapsed = elapsed
        self._lock = threading.Lock()
        self._again_at: float | None = None
        self._last: Outline | None = None
        self._problem = NoOutlineError("nobody has asked yet")

    def __call__(self, etag: str | None) -> Outline | None:
        """The last answer, or that of now if the last is old."""
        with self._lock:
            if self._again_at is None or self._elapsed() >= self._again_at:
                self._renew()
                self._again_at = self._elapsed() + SHARED_SECONDS
            if self._last is None:
                raise type(self._problem)(*self._problem.args)
            return None if etag is not None and etag == self._last.etag else self._last

    def _renew(self) -> None:
        try:
            self._last = self._ask(self._last.etag if self._last is not None else None) or self._last
        except ClosedError as error:
            self._last, self._problem = None, error
        except NoOutlineError as error:
            self._problem = error
