"""Sessions in Redis: who is connected where, subscriptions, and the queues of those who may be away.

All methods raise UnavailableError while Redis is away, and while this node is not one of the cluster. They may have
been done then or not; to call them again does no harm. Calls of one turn of the event loop are sent together.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from itertools import count as counting
from typing import Any

from broker.cluster.identity import Identity
from broker.cluster.limits import Dropped, Limits
from broker.cluster.routes import Routes
from broker.protocol.message import Message
from core.clock import Clock
from runtime.log_throttle import LogThrottle
from runtime.retry import until_available
from state.routes import SubscriptionOptions
from state.sessions import ALL_VERSIONS, AT_ONCE, Change, Choice, Losses, Opened, Queued, SessionStore

_PACKET_IDS = 65_535
_CHANGES_AT_ONCE = 500
ANYBODY = "a:"
"""The owner of the sessions of clients of whom neither a user nor an address is known."""

__all__ = [
    "ALL_VERSIONS",
    "ANYBODY",
    "Choice",
    "ForeignSessionError",
    "NoRoomError",
    "Opened",
    "Queued",
    "Sessions",
    "SupersededError",
    "packet_id",
]


class SupersededError(Exception):
    """Another connection of this client has taken over, or others have taken this node for dead."""


class ForeignSessionError(Exception):
    """The client identifier is in use by another owner, who is connected or has left a persistent session."""


class NoRoomError(Exception):
    """There are as many persistent sessions as may be; the message names the setting."""


def packet_id(sequence: int) -> int:
    """The packet id that a queued message has, always."""
    return sequence % _PACKET_IDS + 1


class Sessions:
    """The sessions of the clients of one node; connections are numbers that the node gives, each one once."""

    def __init__(
        self,
        *,
        store: SessionStore,
        routes: Routes,
        identity: Identity,
        limits: Limits,
        dropped: Dropped,
        clock: Clock,
    ) -> None:
        self._store = store
        self._routes = routes
        self._identity = identity
        self._limits = limits
        self._dropped = dropped
        self._clock = clock
        self._log_throttle = LogThrottle(time.monotonic)
        self._numbers = counting(1)
        self._acknowledged = _ByClient(store.acknowledge)
        self._received = _ByClient(store.received)
        self._completed = _ByClient(store.complete)

    async def open(
        self, client_id: str, connection: int, *, owner: str = ANYBODY, clean: bool, will: Message | None
    ) -> Opened:
        """Begin a connection: from now on it is the only one of this client, and only its calls have an effect.

        `owner` is as `broker.auth.owner` has it. The `will` is published by whoever ends the connection, be it this
        node or another that finds this one dead. Raises ForeignSessionError or NoRoomError, and nothing has changed
        then.
        """
        opened = await self._store.open(
            self._identity.node,
            connection,
            client_id,
            owner=owner,
            clean=clean,
            now=self._clock(),
            will=will,
            most=(self._limits.sessions_user_max, self._limits.sessions_max),
        )
        if opened == "other":
            raise ForeignSessionError
        if opened == "user":
            raise NoRoomError(f"the user has SESSIONS_USER_MAX={self._limits.sessions_user_max} persistent sessions")
        if isinstance(opened, str):
            raise NoRoomError(f"there are SESSIONS_MAX={self._limits.sessions_max} persistent sessions")
        return opened

    async def close(self, client_id: str, connection: int, *, forget_will: bool) -> None:
        """End a connection, with a clean session its session as well; a persistent one is kept until it expires.

        The will is forgotten, or left for `Publisher.publish_will`. The session is left alone where another connection
        has taken it over.
        """
        expires = self._clock() + self._limits.session_expiry_ms
        await self._store.close(self._identity.node, connection, client_id, expires=expires, forget_will=forget_will)

    async def subscribe(
        self,
        client_id: str,
        connection: int,
        filters: dict[str, int],
        *,
        persistent: bool,
        ingest: bool,
        interest: dict[str, SubscriptionOptions | None],
        states: bool = False,
    ) -> set[str]:
        """Subscribe to `filters`, each with the QoS that was granted. Raises SupersededError.

        Answers those for which there is no room: nothing has changed for them.
        `ingest` is whether the client may receive what is published to the ingest topics. `interest` is by filter
        what the node wants of others from now on, as `state.routes` has it for nodes; None for nothing. `states` is
        whether these are the client's first filters that may match states: what has changed before is not for it.
        """
        kept = [(each, SubscriptionOptions(qos, ingest)) for each, qos in filters.items()] if persistent else []
        return await self._change(client_id, connection, kept, interest, states=states)

    async def unsubscribe(
        self,
        client_id: str,
        connection: int,
        filters: list[str],
        *,
        persistent: bool,
        interest: dict[str, SubscriptionOptions | None],
    ) -> None:
        """The reverse of `subscribe`. Raises SupersededError."""
        kept = [(each, None) for each in filters] if persistent else []
        await self._change(client_id, connection, kept, interest)

    async def interest(self, changes: dict[str, SubscriptionOptions | None]) -> None:
        """Change what the node wants of others, without a client; see `subscribe`."""
        await self._change("", 0, [], changes)

    async def load(
        self,
        client_id: str,
        connection: int,
        *,
        after: int,
        count: int,
        states: Sequence[tuple[str, int]] = (),
        choice: Choice = ALL_VERSIONS,
    ) -> list[Queued]:
        """Up to `count` messages of the client's queue with a sequence number above `after`. Raises SupersededError.

        `states` are the filters by which the client may receive states, with their QoS, and
        `choice` which versions of applications it gets: what is not for it, and was never sent, is taken out of the
        queue. The messages count as sent.
        `Local.wake` and `Local.changed` tell of more only once fewer than `count` were there; what has become too old
        is dropped.
        """
        queued: list[Queued] = []
        more = True
        while more and len(queued) < count:
            now = self._clock()
            loaded = await self._store.load(
                self._identity.node,
                connection,
                client_id,
                after=after,
                count=count - len(queued),
                drop_before=(now - self._limits.queue_max_age_ms, now - self._limits.queue_positions_max_age_ms),
                states=states,
                choice=choice,
            )
            if loaded is None:
                raise SupersededError
            queued += loaded.queued
            after, more = loaded.after, loaded.more
            self._dropped.queue_age += loaded.aged
        return queued

    async def enqueue_retained(self, client_id: str, connection: int, retained: Sequence[tuple[str, int]]) -> None:
        """Have retained messages in the client's own queue: topics, with QoS 1 or 2. Raises SupersededError.

        They come as they are once they are sent. Does not raise UnavailableError but waits: only so is it known that
        nothing is queued twice.
        """
        for first in range(0, len(retained), AT_ONCE):
            # Node and number: nobody else ever has the two.
            name = f"{self._identity.node} {next(self._numbers)}"
            some = retained[first : first + AT_ONCE]

            async def attempt(name: str = name, some: Sequence[tuple[str, int]] = some) -> Losses | None:
                return await self._store.enqueue(
                    self._identity.node,
                    connection,
                    client_id,
                    name=name,
                    now=self._clock(),
                    limits=self._limits.of_queues,
                    retained=some,
                )

            lost = await until_available(attempt)
            if lost is None:
                raise SupersededError
            self._dropped.add(lost, self._log_throttle)

    async def acknowledge(self, client_id: str, sequence: int) -> None:
        """The client has a QoS 1 message (PUBACK)."""
        await self._acknowledged.add(client_id, sequence)

    async def received(self, client_id: str, sequence: int) -> None:
        """The client has a QoS 2 message (PUBREC): PUBREL is to be repeated until `complete`."""
        await self._received.add(client_id, sequence)

    async def complete(self, client_id: str, sequence: int) -> None:
        """The client has finished with a QoS 2 message (PUBCOMP)."""
        await self._completed.add(client_id, sequence)

    async def release(self, client_id: str, packet_id: int) -> None:
        """The client has released a QoS 2 message that it had sent (PUBREL): its packet id may come anew."""
        await self._store.release(client_id, packet_id)

    async def _change(
        self,
        client_id: str,
        connection: int,
        subscriptions: Sequence[tuple[str, SubscriptionOptions | None]],
        interest: dict[str, SubscriptionOptions | None],
        *,
        states: bool = False,
    ) -> set[str]:
        refused: set[str] = set()
        wanted = list(interest.items())
        # At least once, for the answer says whether the connection still holds.
        for first in range(0, max(len(subscriptions), len(wanted), 1), _CHANGES_AT_ONCE):
            change = Change(
                node=self._identity.node,
                connection=connection,
                client=client_id,
                subscriptions=subscriptions[first : first + _CHANGES_AT_ONCE],
                interest=wanted[first : first + _CHANGES_AT_ONCE],
                states=states,
                limits=(self._limits.sessions_user_max_bytes, self._limits.sessions_max_bytes),
            )
            without_room = await self._store.subscribe(change)
            if without_room is None:
                raise SupersededError
            refused |= without_room
        if subscriptions:
            # Before it is answered: what the client publishes next goes by what it was just granted.
            await self._routes.update()
        return refused


class _ByClient:
    """Gathers the sequence numbers that one client names within one turn of the event loop."""

    def __init__(self, send: Callable[[str, list[int]], Coroutine[Any, Any, None]]) -> None:
        self._send = send
        self._gathered: dict[str, tuple[list[int], asyncio.Task[None]]] = {}

    async def add(self, client_id: str, sequence: int) -> None:
        """Return once it is sent. Raises UnavailableError."""
        found = self._gathered.get(client_id)
        if found is None:
            found = self._gathered[client_id] = ([], asyncio.create_task(self._send_gathered(client_id)))
        found[0].append(sequence)
        # Others wait for the same.
        await asyncio.shield(found[1])

    async def _send_gathered(self, client_id: str) -> None:
        sequences, _ = self._gathered.pop(client_id)
        await self._send(client_id, sequences)
