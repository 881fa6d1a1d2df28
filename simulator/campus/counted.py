"""What the system has counted, and marked: history and positions over REST."""

import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from core.clock import format_rfc3339, parse_rfc3339
from core.kinds import KindId
from core.marks import Mark
from core.unreadable import UNREADABLE
from simulator.campus.score import Series

TIMEOUT_SECONDS = 30.0
WINDOWS_AT_ONCE = 2016
"""A week of five minutes."""
_TRIES = 10
_TOO_MANY = 429
_MAX_BODY = 50_000_000
Shape = TypeVar("Shape")


class NoCountsError(Exception):
    """The API is away, or says no; the message is one sentence."""


class _Point(msgspec.Struct):
    start: str
    devices: int | None


class _Range(msgspec.Struct):
    start: str
    end: str


class _History(msgspec.Struct):
    points: list[_Point]
    unrecorded: list[_Range] = []


class _Named(msgspec.Struct):
    id: str


class _Zones(msgspec.Struct):
    features: list[_Named]


class Sighting(msgspec.Struct):
    """What is asked of a position: whose it is, by its hash, and the marks that device has in that hour."""

    device: str
    marks: list[Mark] = []


class _Feature(msgspec.Struct):
    properties: Sighting


class _Link(msgspec.Struct):
    href: str


class _Page(msgspec.Struct):
    features: list[_Feature]
    links: list[_Link] = []


class Now(msgspec.Struct):
    """Who is there now."""

    last_updated: str
    """RFC 3339."""
    zones: list[dict[str, object]]
    """Each with its id as `zone`, and a count by kind, null where it is withheld."""


class Counts:
    """Asks one API. All methods raise NoCountsError."""

    def __init__(self, url: str, *, key: str | None, sleep: Callable[[float], None] = time.sleep) -> None:
        """`key` is an API key, where reading needs one."""
        if urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).hostname:
            raise NoCountsError(f"{url}: not the address of an API, such as http://127.0.0.1:8080")
        self._url = url.rstrip("/")
        self._headers = {"Accept": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})}
        self._sleep = sleep

    def zones(self) -> list[str]:
        """The ids of all zones, the campus first."""
        return [zone.id for zone in self._asked("/v1/zones", _Zones).features]

    def now(self) -> Now:
        """Who is there now."""
        return self._asked("/v1/occupancy", Now)

    def positions(self, start_ms: int, end_ms: int, **asked: str) -> Iterator[Sighting]:
        """Positions of a range of time, the newest first, page by page; `asked` are further parameters."""
        question = {"start": format_rfc3339(start_ms), "end": format_rfc3339(end_ms), "limit": "1000", **asked}
        path = f"/v1/positions?{urlencode(question)}"
        while path:
            page = self._asked(path, _Page)
            for feature in page.features:
                yield feature.properties
            path = next((link.href for link in page.links), "")

    def counted(
        self, zones: Iterable[str], kinds: Iterable[KindId], windows: range, width: str
    ) -> dict[Series, list[int | None]]:
        """The count of each window, None where it is withheld, or where nothing was recorded (law 10, known or not)."""
        chosen = list(kinds)
        return {Series(zone, kind): self._series(zone, kind, windows, width) for zone in zones for kind in chosen}

    def _series(self, zone: str, kind: KindId, windows: range, width: str) -> list[int | None]:
        found: dict[int, int | None] = {}
        for first in range(0, len(windows), WINDOWS_AT_ONCE):
            part = windows[first : first + WINDOWS_AT_ONCE]
            question = urlencode(
                {
                    "kind": kind,
                    "window": width,
                    "start": format_rfc3339(part.start),
                    "end": format_rfc3339(part.stop),
                }
            )
            history = self._asked(f"/v1/zones/{quote(zone)}/occupancy/history?{question}", _History)
            try:
                found |= {parse_rfc3339(point.start): point.devices for point in history.points}
                for gap in history.unrecorded:
                    since, until = parse_rfc3339(gap.start), parse_rfc3339(gap.end)
                    found |= dict.fromkeys(start for start in part if since <= start < until)
            except ValueError as error:
                raise NoCountsError(f"{self._url} gives a window without a time: {error}") from error
        if missing := [start for start in windows if start not in found]:
            raise NoCountsError(f"{self._url} has no window of {zone} at {format_rfc3339(missing[0])}")
        return [found[start] for start in windows]

    def _asked(self, path: str, shape: type[Shape]) -> Shape:
        for _ in range(_TRIES):
            try:
                return msgspec.json.decode(self._body(path), type=shape)
            except urllib.error.HTTPError as error:
                with error:
                    if error.code != _TOO_MANY:
                        raise NoCountsError(f"{self._url}{path.partition('?')[0]}: {_said(error)}") from error
                    wait = _seconds(error.headers.get("Retry-After"))
                self._sleep(wait)
            except UNREADABLE as error:
                raise NoCountsError(f"{self._url} answers something else: {error}") from error
            except (OSError, http.client.HTTPException) as error:
                raise NoCountsError(f"{self._url}: {getattr(error, 'reason', error)}") from error
        raise NoCountsError(f"{self._url} lets nobody ask so often: API_RATE_LIMIT")

    def _body(self, path: str) -> bytes:
        request = urllib.request.Request(self._url + path, headers=self._headers)  # noqa: S310 - http or https
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310
            body: bytes = answer.read(_MAX_BODY)
        return body


def _said(error: urllib.error.HTTPError) -> str:
    """What a problem says (RFC 9457), or its status."""
    try:
        return f"{error.code}: {json.loads(error.read(_MAX_BODY))['detail']}"
    except (ValueError, KeyError, TypeError, OSError):
        return f"{error.code} {error.reason}"


def _seconds(retry_after: str | None) -> float:
    return min(float(retry_after), TIMEOUT_SECONDS) if retry_after and retry_after.isdigit() else 1.0
