"""What has come of packets that cannot be handled yet: one that is not complete, or what waits behind another."""

from broker.protocol import packets
from broker.protocol.packets import Packet, PacketType


class Incoming:
    """The bytes of one connection from the first packet on that is not taken yet."""

    __slots__ = ("_data", "_needed", "since", "waiting")

    def __init__(self) -> None:
        self._data: bytes | bytearray = b""
        self._needed = 0
        """Bytes that the first packet will have; 0 where that is not known yet."""
        self.since = 0.0
        """When the first packet began, or could have become complete."""
        self.waiting: tuple[list[Packet], int] | None = None
        """Whole packets that are to be handled before all that, and the index of the first of them."""

    def __len__(self) -> int:
        return len(self._data)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing at all."""
        return not self._data and self.waiting is None

    @property
    def held(self) -> int:
        """Bytes of all of it, without the first bytes of packets that are whole."""
        held = len(self._data)
        if self.waiting is not None:
            batch, index = self.waiting
            held += sum(len(body) for _, body in batch[index:])
        return held

    @property
    def may_be_complete(self) -> bool:
        """Whether it is worth while to look for packets."""
        return bool(self._data) and len(self._data) >= self._needed

    def add(self, data: bytes, now: float) -> None:
        """More has come."""
        if not self._data:
            self._data, self.since = data, now
        elif isinstance(self._data, bytearray):
            self._data += data
        elif len(self._data) + len(data) < self._needed:
            # It may come byte by byte: to copy all of it each time would cost more than it costs to send.
            self._data = bytearray(self._data) + data
        else:
            self._data += data

    @property
    def first_size(self) -> int:
        """The bytes of the first packet; 0 where that is not known yet. Raises ProtocolViolationError."""
        return packets.first_size(self._data)

    @property
    def begins_with_connect(self) -> bool:
        """Whether the first packet is a CONNECT, whatever else may be wrong with it."""
        return self._data[0] >> 4 == PacketType.CONNECT

    def take(self, max_packet: int, now: float) -> list[Packet]:
        """All packets that are complete. Raises what `packets.split_packets` does."""
        taken, self._data = packets.split_packets(bytes(self._data), max_packet)
        self._needed = packets.first_size(self._data) if self._data else 0
        if taken:
            self.since = now
        return taken

    def clear(self) -> None:
        """Forget what has come."""
        self._data, self._needed = b"", 0
        self.waiting = None
