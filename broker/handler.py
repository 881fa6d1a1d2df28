"""What one connection does after CONNECT: amqtt's handler, with its reader loop replaced.

Packets are parsed in batches from what the socket gave. Positions are appended to Redis, and acknowledged after that,
in their order; all other packets go through amqtt's own handlers.
"""

import asyncio
from collections.abc import Callable
from time import perf_counter
from typing import Any, cast

import structlog
from amqtt.adapters import BufferReader, StreamReaderAdapter
from amqtt.errors import AMQTTError, MQTTError, NoDataError
from amqtt.mqtt import packet_class
from amqtt.mqtt.packet import (
    CONNECT,
    DISCONNECT,
    PINGREQ,
    PUBACK,
    PUBCOMP,
    PUBREC,
    SUBSCRIBE,
    UNSUBSCRIBE,
    MQTTFixedHeader,
)
from amqtt.mqtt.protocol.broker_handler import BrokerProtocolHandler
from amqtt.mqtt.publish import PublishPacket
from amqtt.session import Session

from broker.ingest import Ingest
from broker.metrics import BrokerMetrics
from broker.packets import (
    PUBLISH,
    PUBREL,
    Packet,
    ProtocolViolation,
    Publish,
    acknowledgement,
    parse_publish,
    split_packets,
)
from core.clock import Clock
from core.errors import Reason
from core.messages import RawMessage, Role, ingest_kind

READ_BYTES = 65_536
EXACTLY_ONCE = 2
MAX_TASKS = 100
"""Publishes outside the ingest topics that amqtt may be busy with; at more, the connection is not read."""
_PUBACK, _PUBREC, _PUBCOMP = 0x40, 0x50, 0x70

_log = structlog.stdlib.get_logger("connection")


class ChunkReader(StreamReaderAdapter):
    """amqtt's reader, which can also give what is there."""

    async def read_chunk(self) -> bytes:
        """Up to `READ_BYTES` as they come; empty at the end of the stream."""
        data: bytes = await self._reader.read(READ_BYTES)
        return data


class IngestHandler(BrokerProtocolHandler):
    """One connection of a node."""

    # Set by the node right after amqtt has made the handler: amqtt's own factory knows nothing of them.
    ingest: Ingest
    metrics: BrokerMetrics
    clock: Clock
    max_payload: int
    max_packet: int

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._tasks: set[asyncio.Task[None]] = set()
        self._unreleased: set[int] = set()
        """Packet ids of QoS 2 positions that are stored, until their PUBREL [MQTT-4.3.3-2]."""

    def _attached(self) -> tuple[Session, ChunkReader]:
        if self.session is None or not isinstance(self.reader, ChunkReader):
            raise ProtocolViolation("no longer connected")
        return self.session, self.reader

    async def _reader_loop(self) -> None:
        """Read until the connection ends; replaces amqtt's handler.py 443.

        amqtt runs each packet as a task, so an awaited append would answer out of order, and it never enforces the
        keepalive, nor any limit on a packet.
        """
        if self._reader_ready is not None:
            self._reader_ready.set()
        session, reader = self._attached()
        # [MQTT-3.1.2-24]: one and a half times the keepalive without a packet ends the connection.
        silence = session.keep_alive * 1.5 if session.keep_alive else None
        buffer = bytearray()
        try:
            while True:
                async with asyncio.timeout(silence):
                    chunk = await reader.read_chunk()
                if not chunk:
                    break
                buffer += chunk
                await self._handle(split_packets(buffer, self.max_packet))
        except ProtocolViolation as error:
            self._refuse("protocol", str(error))
        except TimeoutError:
            self._refuse("keepalive", "silent for one and a half times its keepalive")
        except (AMQTTError, MQTTError, NoDataError, ValueError) as error:
            # What amqtt's own packet classes say about a malformed packet.
            self._refuse("protocol", str(error))
        except (ConnectionError, asyncio.CancelledError):
            pass
        for task in self._tasks:
            task.cancel()
        await self.handle_connection_closed()
        self._reader_stopped.set()
        await self.stop()

    def _refuse(self, reason: str, detail: str) -> None:
        self.metrics.refused.labels(reason).inc()
        _log.warning(
            "connection ended", reason=reason, detail=detail, peer=self.session and self.session.remote_address
        )

    async def _handle(self, packets: list[Packet]) -> None:
        positions: list[Publish] = []
        for packet in packets:
            if packet.packet_type == PUBLISH:
                publish = parse_publish(packet)
                if ingest_kind(publish.topic):
                    positions.append(publish)
                    continue
            # Whatever comes between two positions is answered between them, too [MQTT-4.6.0-2].
            await self._ingest(positions)
            positions = []
            await self._dispatch(packet)
        await self._ingest(positions)

    async def _ingest(self, positions: list[Publish]) -> None:
        """Append, then acknowledge: law 1."""
        if not positions:
            return
        session, _ = self._attached()
        received_at = self.clock()
        new, stored = [], set(self._unreleased)
        for publish in positions:
            if publish.qos == EXACTLY_ONCE and publish.packet_id is not None:
                if publish.packet_id in stored:
                    continue
                stored.add(publish.packet_id)
            new.append(publish)
        started = perf_counter()
        await self.ingest.append(session.client_id or "", [self._raw(publish, received_at) for publish in new])
        self.metrics.append_seconds.observe(perf_counter() - started)
        self._unreleased = stored
        answer = bytearray()
        for publish in positions:
            self.metrics.ingested.labels(str(publish.qos)).inc()
            self.metrics.ingested_bytes.inc(len(publish.payload))
            if publish.packet_id is None:
                continue
            if publish.qos == 1:
                answer += acknowledgement(_PUBACK, publish.packet_id)
            else:
                answer += acknowledgement(_PUBREC, publish.packet_id)
        await self._write(bytes(answer))

    def _raw(self, publish: Publish, received_at: int) -> RawMessage:
        too_large = len(publish.payload) > self.max_payload
        if too_large:
            self.metrics.refused.labels(Reason.TOO_LARGE.value).inc()
        return RawMessage(
            topic=publish.topic,
            user="",
            role=Role.ANONYMOUS,
            received_at=received_at,
            payload=b"" if too_large else publish.payload,
            refused=Reason.TOO_LARGE if too_large else None,
        )

    async def _write(self, data: bytes) -> None:
        if data and self.writer is not None:
            # amqtt's lock: its own packets are written by other tasks.
            async with self._write_lock:
                self.writer.write(data)
                await self.writer.drain()

    async def _dispatch(self, packet: Packet) -> None:
        """Hand a packet to amqtt's own classes and handlers."""
        if packet.packet_type == PUBREL and await self._release(packet):
            return
        header = MQTTFixedHeader(packet.packet_type, packet.flags, len(packet.body))
        parsed = await packet_class(header).from_stream(BufferReader(packet.body), fixed_header=header)
        if packet.packet_type == PUBLISH:
            # A task, for amqtt waits in it for the PUBREL that has yet to be read.
            while len(self._tasks) >= MAX_TASKS:
                await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
            task = asyncio.create_task(self.handle_publish(cast("PublishPacket", parsed)))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            return
        handlers: dict[int, Callable[[Any], Any]] = {
            CONNECT: self.handle_connect,
            DISCONNECT: self.handle_disconnect,
            PINGREQ: self.handle_pingreq,
            PUBACK: self.handle_puback,
            PUBREC: self.handle_pubrec,
            PUBREL: self.handle_pubrel,
            PUBCOMP: self.handle_pubcomp,
            SUBSCRIBE: self.handle_subscribe,
            UNSUBSCRIBE: self.handle_unsubscribe,
        }
        handler = handlers.get(packet.packet_type)
        if handler is None:
            raise ProtocolViolation(f"a packet of type {packet.packet_type}, which only a server sends")
        await handler(parsed)

    async def _release(self, packet: Packet) -> bool:
        """Answer the PUBREL of a position; False where it belongs to a message that amqtt handles."""
        packet_id = int.from_bytes(packet.body[:2], "big")
        if packet_id in self._pubrel_waiters:
            return False
        self._unreleased.discard(packet_id)
        # Also for an id that is not known any more: the client must be able to finish [MQTT-4.3.3-2].
        await self._write(acknowledgement(_PUBCOMP, packet_id))
        return True
