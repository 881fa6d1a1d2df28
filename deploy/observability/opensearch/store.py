"""Requests to the store of logs: OpenSearch, Elasticsearch, or their web interface. The standard library alone."""

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any

TIMEOUT_SECONDS = 30.0

Ask = Callable[[str, str, object], Any]
"""Method, path and body of a request, which is JSON if there is one; the JSON of the answer."""


class StoreError(Exception):
    """What the store did not do, and why."""


class StoreAwayError(StoreError):
    """It does not answer, or not yet: to be tried again."""


def store_at(url: str) -> Ask:
    """How to ask the store at `url`. Each request raises StoreError."""
    if not url.startswith(("http://", "https://")):
        raise StoreError(f"LOG_STORE_URL is no address of HTTP: {url!r}")

    def ask(method: str, path: str, body: object = None) -> Any:  # noqa: ANN401 - JSON
        return send(url, method, path, None if body is None else json.dumps(body).encode(), {})

    return ask


def send(url: str, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Any:  # noqa: ANN401 - JSON
    """One request, with headers beside that of JSON; the JSON of the answer. Raises StoreError."""
    request = urllib.request.Request(  # noqa: S310 - see store_at
        f"{url.rstrip('/')}{path}", method=method, data=body, headers={"Content-Type": "application/json", **headers}
    )
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310 - see store_at
            return json.loads(answer.read() or "null")
    except urllib.error.HTTPError as error:
        said = f"{method} {path}: {error.code} {error.read(1000).decode(errors='replace')}"
        raise (StoreAwayError if error.code in {429, 502, 503, 504} else StoreError)(said) from error
    except (OSError, ValueError) as error:
        raise StoreAwayError(f"{method} {path}: {error}") from error
