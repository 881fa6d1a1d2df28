"""Connections that look the name of their server up by themselves, and then go to an address.

uvloop's `create_connection` looks a name up as well, but where it is given up meanwhile, as after
`socket_connect_timeout`, its look-up goes on with nobody to hear how it ends: a DNS that answers late, and with an
error, is then "Future exception was never retrieved" in the log, for each try.
"""

import asyncio
import socket
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any

from redis.asyncio.connection import AbstractConnection, Connection, SSLConnection


def looking_up(connection: type[AbstractConnection]) -> type[AbstractConnection]:
    """The same kind of connection, and a look-up that is given up has ended."""
    return type(connection.__name__, (_LookingUp, connection), {})


class _LookingUp(Connection):
    _address = ""
    """Of the server, as numbers: the one that is tried."""

    def _connection_arguments(self) -> Mapping[str, Any]:
        arguments = {**super()._connection_arguments(), "host": self._address}
        if isinstance(self, SSLConnection):
            # What its certificate has to be for.
            arguments["server_hostname"] = self.host
        return arguments

    async def _connect(self) -> None:
        # All of it within the time that connecting may take, however many addresses there are.
        async with asyncio.timeout(self.socket_connect_timeout):
            for address in await self._addresses():
                self._address = address
                try:
                    return await super()._connect()  # type: ignore[no-untyped-call, no-any-return]  # redis-py's own
                except OSError as error:
                    refused = error
        raise refused

    async def _addresses(self) -> list[str]:
        """Those of the name, at least one. Raises OSError where there is none, or no answer."""
        if _is_address(self.host):
            return [self.host]
        # Cancelled with who waits for it: uvloop and asyncio do that for a future that is awaited itself.
        found = await asyncio.get_running_loop().getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        return list(dict.fromkeys(_as_host(address) for *_, address in found))


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _as_host(address: tuple[Any, ...]) -> str:
    """An address of a socket without its port; one of IPv6 may be of one network card alone."""
    scope = address[3] if len(address) > 3 else 0  # noqa: PLR2004 - address, port, flow, scope
    return f"{address[0]}%{scope}" if scope else str(address[0])
