"""One connection: the bytes of a socket, in and out, and when neither is to be.

This replaces amqtt's handler (mqtt/protocol/handler.py) and its reader and writer adapters, for the reasons in decision
record 9: packets are parsed in batches, positions are appended to Redis a batch at a time and acknowledged after that
in their order, and a connection costs no task while it is idle.
"""

import asyncio
from collections.abc import Awaitable
from typing import cast

from broker.protocol.reasons import Refusal
from broker.session.acknowledgements import READ_AHEAD_BYTES, PendingAnswers
from broker.session.client import Client, State
from broker.session.incoming import Incoming
from broker.session.outgoing import Outgoing
from broker.session.ports import Node, Transport
from runtime.addresses import network_of

CLOSE_SECONDS = 5.0
"""How long what was written last may take to leave, once the connection is to end."""


class Connection(Client, asyncio.Protocol):
    """One client, over whatever carries bytes in order."""

    __slots__ = (
        "_aborted",
        "_accounted",
        "_awaited",
        "_finishing",
        "_not_read",
        "_not_read_since",
        "_outgoing",
        "_task",
        "_transport",
        "_unread",
        "answers",
        "busy",
        "deadline",
        "incoming",
        "node",
        "seen",
        "throttled",
        "write_paused",
    )

    def __init__(self, node: Node["Connection"], number: int) -> None:
        """`number` tells it from all other connections of this node."""
        super().__init__(number)
        self.node = node
        self.seen = node.now()
        """When a packet came last, by the loop's clock."""
        self.deadline: float | None = self.seen + node.settings.mqtt_connect_timeout
        """When the connection ends if it is still in its state; None for an open one."""
        self.answers = PendingAnswers(self, node)
        self.incoming = Incoming()
        self.write_paused = False
        self._transport: Transport | None = None
        self._outgoing: Outgoing | None = None
        """What waits for it; None where it reads as fast as we write."""
        self._not_read = False
        self._not_read_since = 0.0
        self.busy = False
        """Whether a packet takes its time: what comes after it waits."""
        self.throttled = False
        """Whether its user is too fast: what has come waits."""
        self._finishing = False
        self._aborted = False
        self._awaited: asyncio.Event | None = None
        self._task: asyncio.Task[None] | None = None
        self._accounted = 0
        self._unread = 0
        """Bytes that are still to come of a packet that nobody will look at."""

    # --- what the transport says --------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is there."""
        self._transport = cast("Transport", transport)
        peer = self._transport.get_extra_info("peername")
        self.peer = peer[0] if isinstance(peer, tuple) else ""
        self.address = network_of(self.peer)
        if not self.node.registry.register(self):
            self.state = State.CLOSED
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Something came."""
        self.node.metrics.bytes_in += len(data)
        if self.state is State.CLOSING or self.state is State.CLOSED:
            if self._unread > 0:
                self._discard(len(data))
            return
        self.incoming.add(data, self.node.now())
        if self.busy or self.throttled:
            if len(self.incoming) > READ_AHEAD_BYTES:
                self.read_no_more()
        elif self.incoming.may_be_complete:
            self.node.reader.read(self)
        self.account()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - part of asyncio's interface
        """It is over, whoever ended it."""
        state, self.state = self.state, State.CLOSED
        self._forget_rest()
        if self.outbox is not None:
            self.outbox.close()
        if self._task is not None and state is not State.CONNECTING:
            self._task.cancel()
        if self._awaited is not None:
            self._awaited.set()
        self.node.registry.remove(self, was_open=bool(self.client_id) and state is not State.CONNECTING)

    def pause_writing(self) -> None:
        """The client reads more slowly than we write: nothing more for it, and nothing more from it."""
        self.write_paused = True
        if self._transport is not None:
            self._outgoing = Outgoing(self._transport, self.node.now())
        if self.outbox is not None:
            self.outbox.pause()
        self.read_no_more()

    def resume_writing(self) -> None:
        """It has caught up."""
        self.write_paused = False
        self._outgoing = None
        if self._awaited is not None:
            self._awaited.set()
        if self.outbox is not None:
            self.outbox.resume()
        self.read_on()

    # --- what is written, and what is read ----------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Send bytes, unless the connection is over."""
        if self._transport is not None and not self._transport.is_closing():
            self.node.metrics.bytes_out += len(data)
            self._transport.write(data)

    async def until_writable(self) -> None:
        """Wait until the client has taken what was written. Returns at once where the connection is over."""
        while self.write_paused and self.state is State.OPEN:
            self._awaited = asyncio.Event()
            await self._awaited.wait()
        self._awaited = None

    def untaken_for(self, now: float) -> float:
        """Seconds in which it has taken nothing of what waits for it; 0 where nothing does."""
        if self._outgoing is None or self._transport is None or self._transport.is_closing():
            return 0.0
        return self._outgoing.untaken_for(self._transport, now)

    @property
    def is_listened_to(self) -> bool:
        """Whether anything it sends would be handled at once."""
        return not self._not_read and not self.busy and not self.throttled

    def read_no_more(self) -> None:
        """Read nothing more for now."""
        if not self._not_read and self._transport is not None and not self._transport.is_closing():
            self._not_read = True
            self._not_read_since = self.node.now()
            self._transport.pause_reading()

    def read_on(self) -> None:
        """Read on where it was stopped, and nothing stands against it any more."""
        if self._finishing:
            self._end_if_finished()
        elif (
            self._not_read
            and not self.busy
            and not self.throttled
            and not self.write_paused
            and self.answers.waiting_bytes <= READ_AHEAD_BYTES // 2
            and self._transport is not None
            and not self._transport.is_closing()
        ):
            self._not_read = False
            # Nobody listened meanwhile.
            away = self.node.now() - self._not_read_since
            self.seen += away
            self.incoming.since += away
            self._transport.resume_reading()

    # --- its end ------------------------------------------------------------------------------------------------------

    def end(self, reason: Refusal | None, detail: str = "", *, user: str = "") -> None:
        """End the connection, and count why, unless it is None. What was written before still goes out.

        `user` is who it wanted to be, where it was not let in.
        """
        if self.state in (State.CLOSING, State.CLOSED):
            return
        if reason:
            self.node.refusals.refuse(reason, detail, self, user=user)
        if self.state is not State.CONNECTING:
            self.state = State.CLOSING
        self.deadline = self.node.now() + CLOSE_SECONDS
        self._forget_rest()
        if self._transport is not None:
            self._transport.close()

    def abort(self, reason: Refusal | None = None, detail: str = "") -> None:
        """End the connection at once, whatever is still to be written; the reason is counted once."""
        if self.state is State.CLOSED or self._aborted:
            return
        # Until the loop tells of the end, more may be found wrong with it.
        self._aborted = True
        if reason:
            self.node.refusals.refuse(reason, detail, self)
        if self._transport is not None:
            self._transport.abort()

    def finish(self) -> None:
        """End the connection as soon as everything that was read of it is answered; read nothing more of it."""
        self._finishing = True
        self.read_no_more()
        self._end_if_finished()

    def _end_if_finished(self) -> None:
        if not self.busy and self.incoming.waiting is None and not self.answers:
            self.end(None)

    def end_after(self, unread: int) -> None:
        """End the connection once the client has sent so many bytes more, which nobody will look at."""
        self.incoming.clear()
        self.state = State.CLOSING
        self.deadline = self.node.now() + CLOSE_SECONDS
        self._unread = unread
        self._discard(0)

    def _discard(self, count: int) -> None:
        self._unread -= count
        if self._unread <= 0 and self._transport is not None:
            self._transport.close()

    def _forget_rest(self) -> None:
        self.incoming.clear()
        self.account()

    # --- what is done with what came ----------------------------------------------------------------------------------

    def throttle(self) -> None:
        """Handle nothing more, and read nothing more, until `go_on`: its user is too fast."""
        self.throttled = True
        self.read_no_more()

    def go_on(self) -> None:
        """The user's rate allows for more."""
        self.throttled = False
        self.node.reader.go_on(self, None)

    def take_time(self, work: Awaitable[None]) -> None:
        """Do `work` before any later packet of this connection."""
        self.busy = True
        self._task = asyncio.ensure_future(work)
        self._task.add_done_callback(self._took_time)

    def _took_time(self, task: asyncio.Task[None]) -> None:
        self._task = None
        self.busy = False
        self.seen = self.incoming.since = self.node.now()
        self.node.reader.go_on(self, None if task.cancelled() else task.exception())

    def account(self) -> None:
        """Count what is held of packets that cannot be handled yet; the node may have too much of that."""
        held = self.incoming.held
        if held != self._accounted:
            self._accounted = held
            self.node.registry.hold_unfinished(self, held)
