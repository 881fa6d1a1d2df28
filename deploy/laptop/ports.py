"""Which ports a run uses, found out before anything starts."""

import errno
import os
import socket
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address

from core.errors import BadSettingsError
from deploy.laptop.settings import LaptopSettings

LOOPBACK = "127.0.0.1"
PUBLIC = ("mqtt_port", "http_port")
INTERNAL = ("broker_1_ops_port", "broker_2_ops_port", "decoder_ops_port", "api_ops_port")
BEHIND_HAPROXY = (
    "broker_1_port",
    "broker_2_port",
    "broker_1_ws_port",
    "broker_2_ws_port",
    "api_port",
    "haproxy_ops_port",
)

# Below the ports that the operating system gives to outgoing connections: HAProxy's health checks would take them.
_FREE = range(20_000, 30_000)
_PORTS_OF_ONE_RUN = 16


def choose_ports(settings: LaptopSettings, *, haproxy: bool) -> dict[str, int]:
    """The port for each setting that this run uses, by its name; those that are unset become free ports of 127.0.0.1.

    Raises BadSettingsError with a line for each port that cannot be used.
    """
    internal = [*INTERNAL, *(BEHIND_HAPROXY if haproxy else ())]
    given: dict[str, int] = {
        name: port for name in [*PUBLIC, *internal] if (port := getattr(settings, name)) is not None
    }
    public = str(settings.bind_address)
    problems = list(_same_twice(given))
    for name, port in given.items():
        problem = _why_not(name, public if name in PUBLIC else LOOPBACK, port)
        if problem and problem not in problems:
            problems.append(problem)
    if problems:
        raise BadSettingsError("\n".join(problems))
    free = _free_ports(set(given.values()))
    return given | {name: next(free) for name in internal if name not in given}


def reachable(address: IPv4Address | IPv6Address) -> str:
    """The address at which this machine reaches a server that listens on `address`."""
    # One that listens on all addresses of the machine is reached at the loopback one.
    if address.is_unspecified:
        return LOOPBACK if address.version == 4 else "::1"  # noqa: PLR2004 - IPv4
    return str(address)


def shown(host: str, port: int) -> str:
    """An address as people and URLs write it."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _same_twice(given: dict[str, int]) -> Iterator[str]:
    names: dict[int, list[str]] = {}
    for name, port in given.items():
        names.setdefault(port, []).append(name.upper())
    for port, same in names.items():
        if len(same) > 1:
            yield f"{', '.join(same)}: the same port, {port}; each needs one of its own"


def _why_not(name: str, host: str, port: int) -> str | None:
    setting = name.upper()
    with _listener(host) as probe:
        try:
            probe.bind((host, port))
        except PermissionError:
            return f"{setting}: this user may not listen on port {port}; set {setting} to a port from 1024 on"
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return (
                    f"{setting}: {shown(host, port)} is taken by another program; "
                    f"stop it, or set {setting} to a free port"
                )
            if error.errno == errno.EADDRNOTAVAIL:
                return f"BIND_ADDRESS: {host} is no address of this machine; 127.0.0.1 always is"
            return f"{setting}: cannot listen on {shown(host, port)}: {error.strerror}"
    return None


def _listener(host: str) -> socket.socket:
    probe = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    # As the servers do: connections that are still winding down do not hold a port.
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return probe


def _free_ports(taken: set[int]) -> Iterator[int]:
    # Two runs that start at the same moment look in different places.
    start = os.getpid() * _PORTS_OF_ONE_RUN
    for offset in range(len(_FREE)):
        port = _FREE[(start + offset) % len(_FREE)]
        if port not in taken and _why_not("", LOOPBACK, port) is None:
            yield port
    raise BadSettingsError(
        f"no free port from {_FREE.start} to {_FREE.stop - 1}: set {', '.join(INTERNAL).upper()}, ..."
    )
