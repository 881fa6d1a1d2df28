"""Opening a port, with an error that names the setting where it cannot be had."""

import socket

from core.errors import BadSettingsError

BACKLOG = 1024
"""Connections that may wait to be accepted."""


def listening_socket(host: str, port: int, *, setting: str, reuse_port: bool = False) -> socket.socket:
    """A TCP socket that listens on `host`, IPv4 or IPv6.

    With `reuse_port` other processes of this machine may listen there, too (SO_REUSEPORT). Raises BadSettingsError,
    which names `setting`, for a port that is taken and for an address that is not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG, reuse_port=reuse_port)
    # UnicodeError is what a name that cannot be one fails with.
    except (OSError, UnicodeError) as error:
        raise BadSettingsError(
            f"{setting}: cannot listen on {host}:{port}: {error}. Choose another port or another address"
        ) from error
