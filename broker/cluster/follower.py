"""Follows what other nodes have for this one, and how the routes change."""

from typing import Any, cast

import msgspec
import structlog

from broker.cluster.identity import Identity
from broker.cluster.local import Local
from broker.cluster.routes import Routes
from broker.cluster.scripts import Scripts
from broker.message import Message
from core.errors import Unavailable
from core.runtime import Stop, pause
from state import streams
from state.client import Redis, redis_errors
from state.unreadable import bury_unreadable

BLOCK_MS = 500
"""How long a read waits for something to arrive; also how long a stop may go unnoticed."""
ENTRIES_AT_ONCE = 32
RETRY_SECONDS = 0.2

_log = structlog.stdlib.get_logger("cluster")
_messages_decoder = msgspec.msgpack.Decoder(list[Message])
_topics_decoder = msgspec.msgpack.Decoder(list[str])
_clients_decoder = msgspec.msgpack.Decoder(list[str])
_kick_decoder = msgspec.msgpack.Decoder(tuple[str, int])


class Follower:
    """Reads the inbox of a node, and cuts off what is done."""

    def __init__(self, *, client: Redis, scripts: Scripts, identity: Identity, routes: Routes, local: Local) -> None:
        self._client = client
        self._scripts = scripts
        self._identity = identity
        self._routes = routes
        self._local = local
        self._node = ""
        self._taken = 0
        self.problem: str | None = None
        """Why nothing can be read at present; None when all is well."""

    async def run(self, stop: Stop) -> None:
        """Read until `stop`."""
        away = False
        while not stop.is_set():
            try:
                if away:
                    await self._look_back()
                    away = False
                await self._read()
                self.problem = None
            except Unavailable as error:
                away = True
                if not self.problem:
                    _log.warning("nothing is heard of other nodes", reason=str(error))
                self.problem = str(error)
                await pause(RETRY_SECONDS, stop)

    async def _read(self) -> None:
        if self._node != self._identity.node:
            self._node, self._taken = self._identity.node, 0
        if not self._routes.version:
            await self._routes.update()
        inbox = streams.inbox(self._node)
        wanted = {inbox: f"{self._taken}-0", streams.ROUTES_LOG: self._routes.version}
        with redis_errors():
            answer = await self._client.xread(cast("Any", wanted), count=ENTRIES_AT_ONCE, block=BLOCK_MS)
        found = {key.decode(): entries for key, entries in cast("Any", answer)}
        if not found:
            # The counters of the inbox may have been lost, and what comes then has lower numbers.
            await self._look_back()
        changes = found.get(streams.ROUTES_LOG, ())
        if not all(self._routes.apply(*entry) for entry in changes) or len(changes) == ENTRIES_AT_ONCE:
            await self._routes.update()
        entries = found.get(inbox)
        if entries and self._node == self._identity.node:
            for where in self._hand_over(entries):
                await bury_unreadable(self._client, where)
            self._taken = int(entries[-1][0].partition(b"-")[0])
            await self._scripts.run("take", self._node, self._taken)

    async def _look_back(self) -> None:
        """Find out whether Redis has come back without its last changes: then numbers begin where it was before."""
        with redis_errors():
            counts = cast("Any", await self._client.hmget(streams.node(self._node), "sent", "taken"))
        sent, taken = (int(count) if (count or b"").isdigit() else 0 for count in counts)
        if sent < self._taken:
            self._taken = taken

    def _hand_over(self, entries: list[tuple[bytes, dict[bytes, bytes]]]) -> list[str]:
        """Give this node what others have for it; what cannot be read, by name. It goes with the rest."""
        messages: list[Message] = []
        unreadable: list[str] = []
        for _, fields in entries:
            for field, value in fields.items():
                try:
                    self._hand_over_one(field, value, messages)
                except (msgspec.DecodeError, ValueError):
                    unreadable.append("inbox")
        if messages:
            self._local.deliver(messages)
        return unreadable

    def _hand_over_one(self, field: bytes, value: bytes, messages: list[Message]) -> None:
        if field == b"m":
            messages += _messages_decoder.decode(value)
        elif field == b"w":
            for client_id in _clients_decoder.decode(value):
                self._local.wake(client_id)
        elif field == b"s":
            self._local.changed(_topics_decoder.decode(value))
        elif field == b"k":
            self._local.kick(*_kick_decoder.decode(value))
