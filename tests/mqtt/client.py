"""A raw MQTT client: it sends what a test says, and hides nothing of what the server does."""

import asyncio
import itertools
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from tests.mqtt.wire import (
    DISCONNECT,
    PINGREQ,
    Ack,
    Connack,
    Kind,
    Pingresp,
    Publish,
    Received,
    Suback,
    ack,
    connect,
    parse,
    publish,
    subscribe,
    unsubscribe,
)

LIMIT_SECONDS = 20.0
"""How long a server may take over anything."""
Wanted = TypeVar("Wanted", bound=Received)


class ClosedError(Exception):
    """The server has closed the connection."""


@dataclass(slots=True)
class Connection:
    """One TCP connection to the server."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    session_present: bool = False
    _waiting: deque[Received] = field(default_factory=deque)
    """What arrived while something else was waited for."""
    _identifiers: Iterator[int] = field(default_factory=lambda: itertools.count(1000))

    async def send(self, *packets: bytes) -> None:
        """Write all packets at once."""
        self.writer.write(b"".join(packets))
        # A server that has closed already shows when the test reads.
        try:
            await self.writer.drain()
        except ConnectionError:
            return

    async def receive(self, *, limit: float = LIMIT_SECONDS) -> Received:
        """The next packet. Raises Closed, and TimeoutError after `limit` seconds."""
        return self._waiting.popleft() if self._waiting else await self._read(limit)

    async def _read(self, limit: float = LIMIT_SECONDS) -> Received:
        try:
            async with asyncio.timeout(limit):
                first = (await self.reader.readexactly(1))[0]
                length = shift = 0
                while True:
                    digit = (await self.reader.readexactly(1))[0]
                    length |= (digit & 0x7F) << shift
                    shift += 7
                    if digit < 0x80:
                        break
                body = await self.reader.readexactly(length)
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise ClosedError from error
        return parse(first, body)

    async def _await(self, kind: type[Wanted], wanted: Callable[[Wanted], bool]) -> Wanted:
        """The next packet that is wanted; those before it are kept for `receive`."""
        for packet in self._waiting:
            if isinstance(packet, kind) and wanted(packet):
                self._waiting.remove(packet)
                return packet
        while True:
            packet = await self._read()
            if isinstance(packet, kind) and wanted(packet):
                return packet
            self._waiting.append(packet)

    async def closed(self, *, limit: float = LIMIT_SECONDS) -> None:
        """Wait until the server has closed; fails where it sends anything before that, or stays."""
        assert not self._waiting, f"before the close came {list(self._waiting)}"
        try:
            packet = await self.receive(limit=limit)
        except ClosedError:
            return
        except TimeoutError:
            raise AssertionError(f"the server did not close the connection in {limit} s") from None
        raise AssertionError(f"before the close came {packet}")

    async def closed_whatever_came_before(self) -> list[Received]:
        """Wait until the server has closed; answers what came before that."""
        before = list(self._waiting)
        self._waiting.clear()
        while True:
            try:
                before.append(await self.receive())
            except ClosedError:
                return before

    async def is_closed_within(self, seconds: float) -> bool:
        """Whether the server closes in that time, without a packet before it."""
        try:
            async with asyncio.timeout(seconds):
                return not await self.reader.read(1)
        except ConnectionError:
            return True
        except TimeoutError:
            return False

    async def is_open(self) -> bool:
        """Whether the server still answers."""
        try:
            await self.ping()
        except ClosedError:
            return False
        return True

    async def ping(self) -> None:
        """PINGREQ and PINGRESP; what comes in between is kept."""
        await self.send(PINGREQ)
        await self._await(Pingresp, lambda _: True)

    async def nothing_more(self) -> None:
        """Fails where the server has sent anything before it answers a PINGREQ."""
        await self.ping()
        assert not self._waiting, f"there came {list(self._waiting)}"

    async def subscribe(self, *filters: tuple[str | bytes, int]) -> tuple[int, ...]:
        """Subscribe; answers the return codes."""
        packet_id = next(self._identifiers)
        await self.send(subscribe(packet_id, *filters))
        return (await self._await(Suback, lambda packet: packet.packet_id == packet_id)).codes

    async def unsubscribe(self, *filters: str | bytes) -> None:
        """Unsubscribe, and wait for the UNSUBACK."""
        packet_id = next(self._identifiers)
        await self.send(unsubscribe(packet_id, *filters))
        await self.acknowledged(Kind.UNSUBACK, packet_id)

    async def publish(self, topic: str | bytes, payload: bytes = b"", *, qos: int = 0, retain: bool = False) -> None:
        """Publish, and wait until the server has taken the message over; at QoS 0 for nothing."""
        packet_id = next(self._identifiers) if qos else None
        await self.send(publish(topic, payload, qos=qos, packet_id=packet_id, retain=retain))
        if packet_id is None:
            return
        if qos == 1:
            await self.acknowledged(Kind.PUBACK, packet_id)
        else:
            await self.acknowledged(Kind.PUBREC, packet_id)
            await self.send(ack(Kind.PUBREL, packet_id))
            await self.acknowledged(Kind.PUBCOMP, packet_id)

    async def acknowledged(self, kind: Kind, packet_id: int) -> None:
        """Wait for an acknowledgement; what comes before it is kept."""
        await self._await(Ack, lambda packet: packet == Ack(kind, packet_id))

    async def message(self) -> Publish:
        """The next PUBLISH, not acknowledged; fails where another packet comes first."""
        packet = await self.receive()
        assert isinstance(packet, Publish), f"instead of a PUBLISH came {packet}"
        return packet

    async def take(self) -> Publish:
        """The next PUBLISH, acknowledged completely."""
        packet = await self.message()
        if packet.packet_id is not None and packet.qos == 1:
            await self.send(ack(Kind.PUBACK, packet.packet_id))
        elif packet.packet_id is not None:
            await self.send(ack(Kind.PUBREC, packet.packet_id))
            await self.acknowledged(Kind.PUBREL, packet.packet_id)
            await self.send(ack(Kind.PUBCOMP, packet.packet_id))
        return packet

    async def take_payloads(self, count: int) -> list[bytes]:
        """The payloads of the next messages, acknowledged completely."""
        return [(await self.take()).payload for _ in range(count)]

    async def disconnect(self) -> None:
        """DISCONNECT, and wait until the server has closed, so that it has dealt with it."""
        await self.send(DISCONNECT)
        await self.closed_whatever_came_before()
        self.drop()

    def drop(self) -> None:
        """Vanish: no DISCONNECT."""
        self.writer.transport.abort()


@dataclass(slots=True)
class Service:
    """The service under test, which may be many nodes: each connection goes to the next one, as behind a proxy."""

    addresses: Sequence[tuple[str, int]]
    connections: list[Connection] = field(default_factory=list)
    prefix: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    """Begins the names of this test, so that no other test's state can match."""
    _names: Iterator[int] = field(default_factory=itertools.count)

    def name(self) -> str:
        """A client identifier that nobody has used; within what every server must allow [MQTT-3.1.3-5]."""
        return f"{self.prefix}x{next(self._names)}"

    def topic(self, levels: str = "t") -> str:
        """A topic, or filter, of this test alone."""
        return f"{self.prefix}/{levels}"

    async def dial(self) -> Connection:
        """A TCP connection to the next node, and nothing sent."""
        host, port = self.addresses[len(self.connections) % len(self.addresses)]
        async with asyncio.timeout(LIMIT_SECONDS):
            connection = Connection(*await asyncio.open_connection(host, port))
        self.connections.append(connection)
        return connection

    async def connect(self, client_id: str | None = None, **fields: Any) -> Connection:
        """A connection to the next node whose CONNECT, of the given fields, was accepted."""
        connection = await self.dial()
        await connection.send(connect(self.name() if client_id is None else client_id, **fields))
        connack = await connection.receive()
        assert isinstance(connack, Connack), f"[MQTT-3.2.0-1] the first packet is {connack}"
        assert connack.code == 0, f"[MQTT-3.1.4-4] refused: {connack}"
        connection.session_present = connack.session_present
        return connection

    async def subscriber(self, *filters: tuple[str, int], **fields: Any) -> Connection:
        """A connection that has subscribed, and has what it asked for."""
        connection = await self.connect(**fields)
        codes = await connection.subscribe(*filters)
        assert codes == tuple(qos for _, qos in filters), f"granted: {codes}"
        return connection

    async def refused(self, packet: bytes) -> None:
        """Fails unless the server closes the connection after this first packet, and sends nothing [MQTT-3.1.4-1]."""
        connection = await self.dial()
        await connection.send(packet)
        await connection.closed()

    async def breaks(self, packet: bytes) -> None:
        """Fails unless the server closes an accepted connection after this packet, and sends nothing before it."""
        connection = await self.connect()
        await connection.send(packet)
        await connection.closed()

    def drop_all(self) -> None:
        """End what the test left open."""
        for connection in self.connections:
            connection.drop()
