"""What goes out to one subscriber: in order, a bounded number of it unacknowledged, a bounded size of it waiting."""

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from broker.protocol import packets
from broker.protocol.message import Message
from broker.protocol.packets import MAX_PACKET_ID, PacketType

EXACTLY_ONCE = 2
_RELEASED = 3
"""The state of a QoS 2 message between PUBREC and PUBCOMP; before that, it is the QoS."""


class _Item(NamedTuple):
    message: Message
    qos: int
    retain: bool


class Outbox:
    """The messages for a client that are kept in memory: all of a clean session, those of QoS 0 of a persistent one.

    `overflow` is called once more than `max_bytes` of payload wait, for the client reads or acknowledges too slowly.
    `counts` are the messages sent, by QoS.
    """

    __slots__ = (
        "_ahead",
        "_counts",
        "_held",
        "_max_bytes",
        "_next_id",
        "_overflow",
        "_paused",
        "_size",
        "_waiting",
        "_window",
        "_write",
        "under_way",
    )

    def __init__(
        self,
        *,
        write: Callable[[bytes], None],
        window: int,
        max_bytes: int,
        overflow: Callable[[], None],
        counts: list[int],
    ) -> None:
        self._write = write
        self._window = window
        self._max_bytes = max_bytes
        self._overflow = overflow
        self._counts = counts
        self._waiting: deque[_Item] = deque()
        self._size = 0
        self._paused = False
        self._held = False
        self._ahead = 0
        self._next_id = 0
        self.under_way: dict[int, int] = {}
        """By packet identifier: the QoS of what is not acknowledged yet, or `_RELEASED`."""

    @property
    def memory(self) -> "Outbox":
        """What of it is kept in memory: all."""
        return self

    @property
    def waiting(self) -> int:
        """Bytes of messages that cannot go out yet."""
        return self._size

    @property
    def unacknowledged(self) -> int:
        """Messages of QoS 1 and 2 that have gone out."""
        return len(self.under_way)

    def send(self, message: Message, qos: int, packet: bytes | None = None) -> None:
        """Send a message with the QoS that was granted for it, now or as soon as possible.

        `packet` is what is to be written for it at QoS 0, if somebody has made it already.
        """
        self._counts[qos] += 1
        if self._waiting or self._paused or self._held or (qos and len(self.under_way) >= self._window):
            self._waiting.append(_Item(message, qos, retain=False))
            self._grow(message)
        elif packet is not None and not qos:
            self._write(packet)
        else:
            self._send(message, qos, retain=False)

    def send_retained(self, message: Message, qos: int) -> None:
        """Send a retained message while others are held, and ahead of them."""
        self._counts[qos] += 1
        if self._ahead or self._paused or (qos and len(self.under_way) >= self._window):
            self._waiting.insert(self._ahead, _Item(message, qos, retain=True))
            self._ahead += 1
            self._grow(message)
        else:
            self._send(message, qos, retain=True)

    def wake(self) -> None:
        """Nothing of it is in a queue elsewhere."""

    def close(self) -> None:
        """Nothing of it is under way elsewhere."""

    def pause(self) -> None:
        """The connection takes no more for now."""
        self._paused = True

    def resume(self) -> None:
        """It does again."""
        self._paused = False
        self._drain()

    def hold(self) -> None:
        """Keep everything back until `let_go`, for something else has to go out first."""
        self._held = True
        self._ahead = 0

    def let_go(self) -> None:
        """Send what was kept back."""
        self._held = False
        self._drain()

    def puback(self, packet_id: int) -> None:
        """The client has a QoS 1 message."""
        if self.under_way.get(packet_id) == 1:
            del self.under_way[packet_id]
            self._drain()

    def pubrec(self, packet_id: int) -> None:
        """The client has a QoS 2 message; also where it is not known any more, so that the client can finish."""
        if self.under_way.get(packet_id) == EXACTLY_ONCE:
            self.under_way[packet_id] = _RELEASED
        self._write(packets.acknowledgement(PacketType.PUBREL, packet_id))

    def pubcomp(self, packet_id: int) -> None:
        """The client has finished with a QoS 2 message."""
        if self.under_way.get(packet_id) == _RELEASED:
            del self.under_way[packet_id]
            self._drain()

    def _grow(self, message: Message) -> None:
        self._size += len(message.payload) + len(message.topic)
        if self._size > self._max_bytes:
            self._overflow()

    def _drain(self) -> None:
        while self._waiting and not self._paused and not self._held:
            if self._waiting[0].qos and len(self.under_way) >= self._window:
                return
            message, qos, retain = self._waiting.popleft()
            self._size -= len(message.payload) + len(message.topic)
            self._send(message, qos, retain=retain)

    def _send(self, message: Message, qos: int, *, retain: bool) -> None:
        packet_id = self._take_id(qos) if qos else 0
        self._write(packets.publish(message.topic, message.payload, qos=qos, packet_id=packet_id, retain=retain))

    def _take_id(self, qos: int) -> int:
        packet_id = self._next_id
        while True:
            packet_id = packet_id % MAX_PACKET_ID + 1
            if packet_id not in self.under_way:
                break
        self._next_id = packet_id
        self.under_way[packet_id] = qos
        return packet_id
