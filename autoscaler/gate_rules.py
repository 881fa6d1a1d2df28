"""Which requests the gate knows, word for word. Nothing of a request that is let through is handed on as it came."""

import json
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

MAX_BODY_BYTES = 256 * 1024
MAX_TARGET_BYTES = 2048
_ID = r"(?P<id>[0-9a-f]{64})"
"""A whole container or network id: neither a name nor the beginning of an id, which could mean another one."""
_VERSION = r"(?:/v(?P<version>[0-9]\.[0-9]{2}))?"
_LIST_KEYS = frozenset({"all", "limit", "size", "trunc_cmd", "filters"})
STOP_SECONDS_MAX = 60
SIGNALS = ("SIGUSR1", "SIGTERM")


class NotAllowedError(Exception):
    """A request that is not let through; the message says why, to the log and to whoever asked."""


@dataclass(frozen=True, slots=True)
class Call:
    """A request of a known kind, with its parameters checked."""

    action: str
    id: str = ""
    parameters: tuple[tuple[str, str], ...] = ()
    """As they go to the Engine."""
    name: str = ""
    """Of a container to be created."""
    body: Any = None


_ROUTES = tuple(
    (method, re.compile(_VERSION + path), action)
    for method, path, action in (
        ("GET", r"/_ping", "ping"),
        ("GET", r"/version", "version"),
        ("GET", r"/containers/json", "list"),
        ("POST", r"/containers/create", "create"),
        ("GET", rf"/containers/{_ID}/json", "inspect"),
        ("POST", rf"/containers/{_ID}/start", "start"),
        ("POST", rf"/containers/{_ID}/stop", "stop"),
        ("POST", rf"/containers/{_ID}/kill", "kill"),
        ("DELETE", rf"/containers/{_ID}", "remove"),
        ("POST", rf"/networks/{_ID}/connect", "connect"),
        # The gate's own, of which the Engine knows nothing.
        ("GET", r"/campus/apps", "apps"),
    )
)
ASKED = frozenset(action for _, _, action in _ROUTES)
"""All that anybody may ask for, by name."""
_WITH_BODY = ("create", "connect")


def parse_call(method: str, target: str, body: bytes, *, version: str) -> Call:
    """What a request asks for. `target` is its path and query as they came, `version` the only one that is spoken.

    Raises NotAllowedError.
    """
    if len(target) > MAX_TARGET_BYTES:
        raise NotAllowedError("a target that is too long")
    path, _, query = target.partition("?")
    action, found = _route(method, path)
    asked = found.group("version")
    if asked is not None and asked != version:
        raise NotAllowedError(f"version {asked} of the API; it is {version} here")
    parameters = _parameters(query)
    if action not in _WITH_BODY:
        # Of old versions "start" took a whole host configuration.
        if body.strip() not in (b"", b"{}", b"null"):
            raise NotAllowedError(f"a body for {action}")
        checked = _CHECKS.get(action, _nothing)(parameters)
        return Call(action, found.groupdict().get("id") or "", checked)
    name = ""
    if action == "create":
        name = parameters.pop("name", "")
    _nothing(parameters)
    return Call(action, found.groupdict().get("id") or "", (), name, _json(body))


def _route(method: str, path: str) -> tuple[str, re.Match[str]]:
    for allowed, pattern, action in _ROUTES:
        found = pattern.fullmatch(path)
        if found is not None and method == allowed:
            return action, found
    raise NotAllowedError("no such request is let through")


def _parameters(query: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True, max_num_fields=10) if query else []
    except ValueError as error:
        raise NotAllowedError("a query that cannot be read") from error
    parameters = dict(pairs)
    if len(parameters) != len(pairs):
        raise NotAllowedError("a parameter given twice")
    return parameters


def _json(body: bytes) -> Any:  # noqa: ANN401 - whatever it is, it is compared as a whole
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise NotAllowedError("a body that is no JSON") from error


def _nothing(parameters: dict[str, str]) -> tuple[tuple[str, str], ...]:
    if parameters:
        raise NotAllowedError(f"the parameter {min(parameters)!r}")
    return ()


def _list(parameters: dict[str, str]) -> tuple[tuple[str, str], ...]:
    if unknown := parameters.keys() - _LIST_KEYS:
        raise NotAllowedError(f"the parameter {min(unknown)!r}")
    # The filters are the gate's own; what was asked for is no more than that.
    return (("all", "1" if parameters.get("all") in ("1", "true", "True") else "0"),)


def _stop(parameters: dict[str, str]) -> tuple[tuple[str, str], ...]:
    seconds = parameters.pop("t", "10")
    _nothing(parameters)
    if not re.fullmatch(r"[0-9]{1,2}", seconds) or int(seconds) > STOP_SECONDS_MAX:
        raise NotAllowedError(f"t is to be from 0 to {STOP_SECONDS_MAX} seconds")
    return (("t", str(int(seconds))),)


def _kill(parameters: dict[str, str]) -> tuple[tuple[str, str], ...]:
    signal = parameters.pop("signal", "SIGKILL")
    _nothing(parameters)
    if signal not in SIGNALS:
        raise NotAllowedError(f"a signal other than {' and '.join(SIGNALS)}")
    return (("signal", signal),)


def _remove(parameters: dict[str, str]) -> tuple[tuple[str, str], ...]:
    volumes = parameters.pop("v", "False")
    if any(parameters.pop(name, "False") not in ("False", "false", "0", "") for name in ("force", "link")):
        raise NotAllowedError("force and link")
    _nothing(parameters)
    return (("v", "1" if volumes in ("True", "true", "1") else "0"),)


_CHECKS = {"list": _list, "stop": _stop, "kill": _kill, "remove": _remove}
