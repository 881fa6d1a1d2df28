"""Whether a client takes anything of what waits for it."""

import fcntl
import socket
import struct
import sys
import termios
from contextlib import suppress
from typing import Any, Protocol


class Transport(Protocol):
    """What there is to ask."""

    def get_write_buffer_size(self) -> int: ...  # noqa: D102 - asyncio.Transport says what they do
    def get_extra_info(self, name: str, default: Any = None) -> Any: ...  # noqa: ANN401, D102


class Outgoing:
    """What waits for one client, since it began to read more slowly than we write."""

    __slots__ = ("_left", "_since")

    def __init__(self, transport: Transport, now: float) -> None:
        self._left = _waiting(transport)
        self._since = now

    def untaken_for(self, transport: Transport, now: float) -> float:
        """Seconds in which it has taken nothing; as exact as it is asked often."""
        left = _waiting(transport)
        if left < self._left:
            self._since = now
        self._left = left
        return now - self._since


def _waiting(transport: Transport) -> int:
    return transport.get_write_buffer_size() + _unacknowledged(transport.get_extra_info("socket"))


def _unacknowledged(written_to: socket.socket | None) -> int:
    """Bytes that the system still holds for the other side; 0 where nobody can tell."""
    if written_to is None or sys.platform != "linux":
        return 0
    with suppress(OSError):
        answer = fcntl.ioctl(written_to.fileno(), termios.TIOCOUTQ, struct.pack("i", 0))
        return int(struct.unpack("i", answer)[0])
    return 0
