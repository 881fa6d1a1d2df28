"""The outbox of a persistent session: what has QoS 1 or 2 is in Redis until the client has acknowledged it."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import structlog

from broker.cluster.retained import is_state
from broker.cluster.sessions import Choice, Sessions, SupersededError, packet_id
from broker.protocol import packets
from broker.protocol.message import Message
from broker.protocol.packets import PacketType
from broker.session.outbox import EXACTLY_ONCE, Outbox
from runtime.retry import until_available

_RELEASED = 3
LOAD_AT_ONCE = 32
"""Queued messages that are asked of Redis, and written, at a time: with the largest payloads, 2 MiB."""

_log = structlog.stdlib.get_logger("cluster")


class StoredOutbox:
    """Sends a persistent session's queue, in its order, over one connection.

    `counts` are the messages sent, by QoS. `superseded` is called where another connection has taken the session over,
    `failed` where a defect keeps its queue from being read.
    `after` sends an answer after something is done that waits for Redis. `memory` is for messages of QoS 0.
    `states` answers the filters by which it may receive states, `choice` which versions of applications it gets
    (`Sessions.load`), and `shown_as` under which name a message goes out.
    """

    __slots__ = (
        "_after",
        "_choice",
        "_client_id",
        "_closed",
        "_connection",
        "_counts",
        "_failed",
        "_last",
        "_loading",
        "_more",
        "_paused",
        "_sessions",
        "_shown_as",
        "_states",
        "_superseded",
        "_under_way",
        "_window",
        "_write",
        "memory",
    )

    def __init__(
        self,
        *,
        memory: Outbox,
        sessions: Sessions,
        client_id: str,
        connection: int,
        window: int,
        write: Callable[[bytes], None],
        counts: list[int],
        superseded: Callable[[], None],
        failed: Callable[[], None],
        after: Callable[[bytes, Callable[[], Awaitable[None]]], None],
        states: Callable[[], Sequence[tuple[str, int]]],
        choice: Callable[[], Choice],
        shown_as: Callable[[str], str],
    ) -> None:
        self.memory = memory
        self._sessions = sessions
        self._client_id = client_id
        self._connection = connection
        self._window = window
        self._write = write
        self._counts = counts
        self._superseded = superseded
        self._failed = failed
        self._after = after
        self._states = states
        self._choice = choice
        self._shown_as = shown_as
        self._last = 0
        self._under_way: dict[int, tuple[int, int]] = {}
        """By packet identifier: sequence number, and QoS or `_RELEASED`."""
        self._more = True
        self._paused = False
        self._closed = False
        self._loading: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """Bytes of messages of QoS 0 that cannot go out yet."""
        return self.memory.waiting

    @property
    def unacknowledged(self) -> int:
        """Messages of QoS 1 and 2 that have gone out."""
        return len(self._under_way)

    def begin(self, released: list[int]) -> None:
        """Repeat what an earlier connection left unfinished [MQTT-4.4.0-1]: PUBRELs, then unacknowledged messages."""
        for sequence in released:
            self._under_way[packet_id(sequence)] = (sequence, _RELEASED)
            self._write(packets.acknowledgement(PacketType.PUBREL, packet_id(sequence)))
        self.wake()

    def send(self, message: Message, qos: int, packet: bytes | None = None) -> None:
        """Send a message of QoS 0, as `Outbox.send`; others come by the queue."""
        if not qos:
            self.memory.send(message, 0, packet)
        elif is_state(message):
            self.wake()

    def wake(self) -> None:
        """There may be more in the queue."""
        self._more = True
        self._load_if_possible()

    def pause(self) -> None:
        """The connection takes no more for now."""
        self._paused = True
        self.memory.pause()

    def resume(self) -> None:
        """It does again."""
        self._paused = False
        self.memory.resume()
        self._load_if_possible()

    def close(self) -> None:
        """The connection has ended; acknowledgements that are under way to Redis still arrive there."""
        self._closed = True
        if self._loading is not None:
            self._loading.cancel()

    def puback(self, packet_id: int) -> None:
        """The client has a QoS 1 message."""
        found = self._under_way.get(packet_id)
        if found is not None and found[1] == 1:
            self._finish(packet_id, partial(self._sessions.acknowledge, self._client_id, found[0]))

    def pubrec(self, packet_id: int) -> None:
        """The client has a QoS 2 message; also where it is not known any more, so that the client can finish."""
        found = self._under_way.get(packet_id)
        answer = packets.acknowledgement(PacketType.PUBREL, packet_id)
        if found is None or found[1] != EXACTLY_ONCE:
            self._write(answer)
            return
        self._under_way[packet_id] = (found[0], _RELEASED)
        # The answer only then: a client that has seen a PUBREL takes a repeated message for a new one.
        self._after(answer, partial(self._sessions.received, self._client_id, found[0]))

    def pubcomp(self, packet_id: int) -> None:
        """The client has finished with a QoS 2 message."""
        found = self._under_way.get(packet_id)
        if found is not None and found[1] == _RELEASED:
            self._finish(packet_id, partial(self._sessions.complete, self._client_id, found[0]))

    def _finish(self, packet_id: int, tell: Callable[[], Awaitable[None]]) -> None:
        async def finish() -> None:
            await tell()
            # Only now is the identifier free: the queue may hand it out again.
            self._under_way.pop(packet_id, None)
            self._load_if_possible()

        self._after(b"", finish)

    def _load_if_possible(self) -> None:
        if self._more and not self._paused and not self._closed and self._loading is None and self._room > 0:
            self._loading = asyncio.ensure_future(self._load())

    @property
    def _room(self) -> int:
        return self._window - len(self._under_way)

    async def _load(self) -> None:
        try:
            while self._more and self._room > 0 and not self._paused and not self._closed:
                self._more = False
                count = min(self._room, LOAD_AT_ONCE)
                load = partial(
                    self._sessions.load,
                    self._client_id,
                    self._connection,
                    after=self._last,
                    count=count,
                    states=self._states(),
                    choice=self._choice(),
                )
                queued = await until_available(load)
                self._more = self._more or len(queued) == count
                for sequence, message, duplicate in queued:
                    self._last = sequence
                    number = packet_id(sequence)
                    if number in self._under_way:
                        # Of a position that has become too old, and that the client has never acknowledged.
                        self._superseded()
                        return
                    self._under_way[number] = (sequence, message.qos)
                    self._counts[message.qos] += 1
                    self._write(
                        packets.publish(
                            self._shown_as(message.topic),
                            message.payload,
                            qos=message.qos,
                            packet_id=number,
                            duplicate=duplicate,
                            retain=message.retain,
                        )
                    )
        except SupersededError:
            self._superseded()
        except Exception:  # noqa: BLE001 - it is logged, and ends the one connection that it is about
            _log.exception("a defect of ours keeps a queue from being read")
            self._failed()
        finally:
            self._loading = None
