"""A transport without a network, and a protocol that keeps what it is told."""

import asyncio
from dataclasses import dataclass, field
from typing import Any


class FakeTransport(asyncio.Transport):
    """Keeps what is written; it is closed as soon as somebody says so."""

    def __init__(self) -> None:
        super().__init__({"peername": ("192.0.2.1", 40_000)})
        self.written = bytearray()
        self.closed = self.aborted = self.paused = False
        self.protocol: asyncio.BaseProtocol | None = None

    def write(self, data: Any) -> None:  # noqa: ANN401 - as asyncio has it
        assert not self.is_closing(), "written after the end"
        self.written += data

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.aborted = True

    def is_closing(self) -> bool:
        return self.closed or self.aborted

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

    def taken(self) -> bytes:
        """What was written since it was taken last."""
        taken, self.written = bytes(self.written), bytearray()
        return taken


@dataclass(slots=True)
class Recorder(asyncio.Protocol):
    """What a connection would see."""

    transport: asyncio.Transport | None = None
    received: bytearray = field(default_factory=bytearray)
    calls: list[str] = field(default_factory=list)

    def connection_made(self, transport: Any) -> None:  # noqa: ANN401 - a transport, or what stands in for one
        self.transport = transport
        self.calls.append("made")

    def data_received(self, data: bytes) -> None:
        assert data, "called for nothing"
        self.received += data

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - as asyncio has it
        self.calls.append("lost")

    def pause_writing(self) -> None:
        self.calls.append("pause")

    def resume_writing(self) -> None:
        self.calls.append("resume")
