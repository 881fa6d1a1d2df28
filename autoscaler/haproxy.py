"""HAProxy's runtime API: which servers there are, how many sessions each has, and taking one out of rotation.

Management guide, section 9.3: `show stat`, `show servers state`, `set server`.
"""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from core.errors import UnavailableError
from runtime.haproxy_socket import HaproxySocket

BACKENDS = ("brokers", "websockets")
_FORCED_DRAIN = 0x08
"""SRV_ADMF_FDRAIN in srv_admin_state: somebody has said "drain"."""
_SERVERS_ONLY = "-1 4 -1"
_ADDRESSED_COLUMNS = 7
"""Those of `show servers state` that are needed: the others may differ from version to version."""


@dataclass(frozen=True, slots=True)
class Server:
    """One slot of a backend."""

    backend: str
    name: str
    address: str
    """IP address of what is in it at present; empty where nothing is."""
    sessions: int
    draining: bool
    """Whether it was told to drain."""
    up: bool


class Proxy(Protocol):
    """What the autoscaler needs of HAProxy."""

    async def servers(self) -> list[Server]:
        """The slots of both backends. Raises UnavailableError."""
        ...

    async def set_state(self, server: Server, state: Literal["drain", "ready"]) -> None:
        """Take a slot out of rotation, or back into it. Raises UnavailableError."""
        ...


class RuntimeSocket:
    """HAProxy's own socket, which has to have level admin."""

    def __init__(self, path: Path) -> None:
        self._socket = HaproxySocket(path)

    async def servers(self) -> list[Server]:
        """The slots of both backends. Raises UnavailableError."""
        sessions: dict[tuple[str, str], tuple[int, bool]] = {}
        for row in csv.DictReader(
            (await self._socket.ask(f"show stat {_SERVERS_ONLY}")).removeprefix("# ").splitlines()
        ):
            up = row.get("status", "").startswith(("UP", "DRAIN", "no check"))
            sessions[row.get("pxname", ""), row.get("svname", "")] = int(row.get("scur") or 0), up
        servers = []
        for row in _states(await self._socket.ask("show servers state")):
            backend, name, address = row["be_name"], row["srv_name"], row["srv_addr"]
            if backend in BACKENDS:
                count, up = sessions.get((backend, name), (0, False))
                draining = bool(int(row["srv_admin_state"]) & _FORCED_DRAIN)
                servers.append(Server(backend, name, "" if address == "-" else address, count, draining, up))
        return servers

    async def set_state(self, server: Server, state: Literal["drain", "ready"]) -> None:
        """Take a slot out of rotation, or back into it. Raises UnavailableError."""
        answer = await self._socket.ask(f"set server {server.backend}/{server.name} state {state}")
        if answer.strip():
            raise UnavailableError(f"HAProxy does not set {server.backend}/{server.name} to {state}: {answer.strip()}")


def _states(answer: str) -> list[dict[str, str]]:
    lines = answer.splitlines()
    header = next((line for line in lines if line.startswith("# be_id ")), None)
    if header is None:
        raise UnavailableError(f"HAProxy does not tell the state of its servers: {answer[:200]}")
    columns = header.removeprefix("# ").split()[:_ADDRESSED_COLUMNS]
    rows = [line.split()[:_ADDRESSED_COLUMNS] for line in lines[lines.index(header) + 1 :] if line.strip()]
    return [dict(zip(columns, row, strict=True)) for row in rows]
