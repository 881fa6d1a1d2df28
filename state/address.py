"""REDIS_URL in each of its forms: one Redis, one that Sentinel watches, a Redis Cluster; each with TLS or without.

    redis://[user:password@]host[:port][/db]            rediss://...
    unix://[user:password@]/path/of/the.sock[?db=0]
    redis+sentinel://[user:password@]host[:port][,host[:port]...]/service[/db]         rediss+sentinel://...
    redis+cluster://[user:password@]host[:port][,host[:port]...]                       rediss+cluster://...

Options of a connection may follow, such as `?socket_timeout=5`; Sentinel's own user is `sentinel_username` and
`sentinel_password`. User and password are percent-encoded; nothing that is said about an address repeats them.
"""

import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from redis.asyncio.connection import Connection, SSLConnection, UnixDomainSocketConnection, parse_url

from core.errors import BadSettingsError

REDIS_PORT = 6379
SENTINEL_PORT = 26379
MAX_PORT = 65_535
FORMS = "redis://, rediss://, unix://, redis+sentinel://, redis+cluster://, rediss+sentinel:// or rediss+cluster://"
_SENTINELS_OWN = "sentinel_"
_OF_OURS = {"connection_class", "parser_class", "encoder_class", "retry", "decode_responses", "encoding"}
"""What a connection is made with, and an address may not choose."""


class Form(Enum):
    """What an address leads to."""

    SINGLE = "one Redis"
    SENTINEL = "the primary that Sentinel names"
    CLUSTER = "the masters of a Redis Cluster"


Host = tuple[str, int]
"""Name or address of a machine, and a port."""


@dataclass(frozen=True, slots=True)
class Address:
    """A REDIS_URL that was understood."""

    form: Form
    hosts: tuple[Host, ...]
    """Where to ask first; none for a socket."""
    encrypted: bool = False
    service: str = ""
    """What Sentinel calls the Redis; empty for other forms."""
    options: dict[str, Any] = field(default_factory=dict, repr=False)
    """What a connection to Redis is made with: user, password, database and others, in redis-py's words."""
    sentinel_options: dict[str, Any] = field(default_factory=dict, repr=False)
    """The same of a connection to Sentinel."""


class _WrongError(ValueError):
    """A sentence of ours about an address."""


def parse_address(url: str, authority: Path | None = None) -> Address:
    """What REDIS_URL says; `authority` (REDIS_CA) is the file of the authorities that encrypted connections trust.

    Raises BadSettingsError, in a sentence that has no password in it.
    """
    try:
        parts = urlsplit(url)
        parts.username, parts.password  # noqa: B018 - they may not be readable
    except ValueError:
        # Its words may repeat the password.
        raise BadSettingsError("REDIS_URL: it cannot be read") from None
    scheme, _, form = parts.scheme.partition("+")
    try:
        if parts.scheme == "unix":
            return _checked(_socket(url))
        if scheme not in {"redis", "rediss"} or form not in _PARSERS:
            raise _WrongError(f"it has to begin with {FORMS}")
        found = _PARSERS[form](parts, encrypted=scheme == "rediss")
    except ValueError as error:
        words = str(error) if isinstance(error, _WrongError) else "the value of one of its options is wrong"
        raise BadSettingsError(f"REDIS_URL: {words}") from None
    if authority is not None and not found.encrypted:
        raise BadSettingsError("REDIS_CA is for encrypted connections alone: let REDIS_URL begin with rediss")
    if authority is not None:
        for options in (found.options, found.sentinel_options):
            options.setdefault("ssl_ca_certs", str(authority))
    return _checked(found)


def _socket(url: str) -> Address:
    options = dict(parse_url(url))
    if not options.get("path"):
        raise _WrongError("the path of the socket is missing, as in unix:///run/redis.sock")
    return Address(Form.SINGLE, (), options=_ours(options))


def _single(parts: SplitResult, *, encrypted: bool) -> Address:
    hosts = _hosts(parts.netloc, REDIS_PORT)
    if len(hosts) > 1:
        raise _WrongError("several hosts are for redis+sentinel:// and redis+cluster:// alone")
    return Address(Form.SINGLE, hosts, encrypted=encrypted, options=_options(parts, _database(parts.path)))


def _sentinel(parts: SplitResult, *, encrypted: bool) -> Address:
    service, _, database = parts.path.removeprefix("/").partition("/")
    if not service:
        raise _WrongError("the service of Sentinel is missing, as in redis+sentinel://host:26379/service")
    options = _options(parts, _database(database))
    sentinels = {
        name.removeprefix(_SENTINELS_OWN): options.pop(name)
        for name in list(options)
        if name.startswith(_SENTINELS_OWN)
    }
    # What it trusts, and how long it waits, holds for both.
    shared = {name: value for name, value in options.items() if name.startswith(("ssl_", "socket_"))}
    return Address(
        Form.SENTINEL,
        _hosts(parts.netloc, SENTINEL_PORT),
        encrypted=encrypted,
        service=unquote(service),
        options=options,
        sentinel_options=shared | sentinels,
    )


def _cluster(parts: SplitResult, *, encrypted: bool) -> Address:
    options = _options(parts, _database(parts.path))
    if options.pop("db", 0):
        raise _WrongError("a Redis Cluster has one database alone, 0")
    return Address(Form.CLUSTER, _hosts(parts.netloc, REDIS_PORT), encrypted=encrypted, options=options)


_PARSERS: dict[str, Callable[..., Address]] = {"": _single, "sentinel": _sentinel, "cluster": _cluster}


def _hosts(netloc: str, default: int) -> tuple[Host, ...]:
    hosts = []
    for number, text in enumerate(netloc.rpartition("@")[2].split(","), 1):
        if text.startswith("["):
            name, bracket, port = text[1:].partition("]")
            if not bracket or (port and not port.startswith(":")):
                raise _WrongError(f"host {number} is none; an IPv6 address is in brackets, as in [::1]:{default}")
            port = port[1:]
        else:
            name, colon, port = text.partition(":")
            if colon and not port:
                raise _WrongError(f"the port of host {number} is missing")
        if not name or ":" in port:
            raise _WrongError(f"host {number} is none; say host:{default}, and [::1]:{default} for an IPv6 address")
        if port and not (port.isascii() and port.isdecimal() and 1 <= int(port) <= MAX_PORT):
            raise _WrongError(f"the port of host {number} is none: 1 to {MAX_PORT}")
        hosts.append((unquote(name), int(port or default)))
    return tuple(hosts)


def _database(path: str) -> int | None:
    text = path.strip("/")
    if not text:
        return None
    if not (text.isascii() and text.isdecimal()):
        raise _WrongError("what follows the host is the number of a database, such as /0")
    return int(text)


def _options(parts: SplitResult, database: int | None) -> dict[str, Any]:
    """What redis-py makes of the rest of an address, whose host and port it does not see."""
    user = parts.netloc.rpartition("@")[0]
    rest = f"redis://{user}{'@' if user else ''}host/{'?' + parts.query if parts.query else ''}"
    options = _ours(dict(parse_url(rest)))
    options.pop("host", None)
    if database is not None:
        options.setdefault("db", database)
    return options


def _ours(options: dict[str, Any]) -> dict[str, Any]:
    options.pop("connection_class", None)
    if forbidden := _OF_OURS & options.keys():
        raise _WrongError(f"{min(forbidden)} cannot be chosen")
    return options


def _checked(address: Address) -> Address:
    """Raises BadSettingsError for options that no connection has, and for files that cannot be used."""
    cls = SSLConnection if address.encrypted else Connection if address.hosts else UnixDomainSocketConnection
    for options in (address.options, address.sentinel_options):
        known = {name: value for name, value in options.items() if name not in {"max_connections", "timeout"}}
        try:
            cls(**known)
        except TypeError as error:
            name = next((name for name in known if f"'{name}'" in str(error)), "one of its options")
            raise BadSettingsError(f"REDIS_URL: {name} is no option of a connection") from error
        except Exception as error:  # redis-py checks each option in a way of its own
            raise BadSettingsError("REDIS_URL: the value of one of its options is wrong") from error
        _check_files(known)
    return address


def _check_files(options: dict[str, Any]) -> None:
    try:
        if authority := options.get("ssl_ca_certs"):
            ssl.create_default_context(cafile=authority)
    except (OSError, ValueError) as error:
        raise BadSettingsError(f"REDIS_CA: {authority} is no file of certificates that can be read") from error
