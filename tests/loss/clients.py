"""Clients that come back whatever happens, and remember what they sent and got: persistent sessions, QoS 1 and 2.

They are written for this trial, so that each step of QoS 2 is known over every reconnect (4.3, 4.4 of MQTT 3.1.1).
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from random import Random
from typing import NamedTuple

from tests.mqtt.wire import (
    DISCONNECT,
    PINGREQ,
    Ack,
    Connack,
    Kind,
    Publish,
    Received,
    Suback,
    ack,
    connect,
    parse,
    publish,
    subscribe,
)

KEEPALIVE = 5
"""Seconds. A server that says nothing for as long, though it is asked, is gone."""
CONNECT_SECONDS = 12.0
"""A node answers within MQTT_CONNECT_TIMEOUT, which is 10."""
BACKOFF = (0.05, 1.0)
"""The least and the longest pause before a client comes again."""
PACKET_IDS = 60_000


class _GoneError(Exception):
    """The connection is over."""


class Account(NamedTuple):
    """Where a client connects, and as whom: its client id is its user name."""

    port: int
    name: str
    password: bytes
    random: Random


class Client:
    """One client, with a persistent session; `run` keeps it connected until it is cancelled."""

    def __init__(self, account: Account) -> None:
        self.name = name = account.name
        self.connects = 0
        self.refused: Counter[int] = Counter()
        """Codes of CONNACKs that were no welcome."""
        self.lost_sessions = 0
        self.fresh = 0.0
        """When the newest message was sent of those that came through, by the loop's clock."""
        self.last = 0.0
        """When something came through last."""
        self._port = account.port
        self._connect = connect(name, clean=False, keepalive=KEEPALIVE, user=name, password=account.password)
        self._random = account.random
        self._writer: asyncio.StreamWriter | None = None
        self._heard = 0.0

    def now(self) -> float:
        """Seconds of the event loop's clock."""
        return asyncio.get_running_loop().time()

    async def run(self) -> None:
        """Stay connected."""
        pause = BACKOFF[0]
        while True:
            connects = self.connects
            try:
                await self._serve()
            except (OSError, _GoneError, TimeoutError):
                pass
            finally:
                if self._writer is not None:
                    self._writer.transport.abort()
                    self._writer = None
            pause = BACKOFF[0] if self.connects > connects else min(2 * pause, BACKOFF[1])
            await asyncio.sleep(pause * self._random.uniform(0.5, 1.0))

    async def _serve(self) -> None:
        async with asyncio.timeout(CONNECT_SECONDS):
            reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
            self._writer.write(self._connect)
            packets = _Packets(reader)
            answer, *others = await packets.more()
        assert isinstance(answer, Connack), answer
        if answer.code:
            self.refused[answer.code] += 1
            raise _GoneError
        if self.connects and not answer.session_present:
            self.lost_sessions += 1
        self.connects += 1
        self._heard = self.now()
        self.welcome(self._writer)
        pinging = asyncio.create_task(self._ping(self._writer))
        try:
            while True:
                for packet in others:
                    self.handle(packet, self._writer)
                others = await packets.more()
                self._heard = self.now()
        finally:
            pinging.cancel()

    async def _ping(self, writer: asyncio.StreamWriter) -> None:
        while self.now() - self._heard < 1.5 * KEEPALIVE:
            await asyncio.sleep(KEEPALIVE / 3)
            writer.write(PINGREQ)
        writer.transport.abort()

    def leave(self) -> None:
        """End the connection in order; it comes again."""
        if self._writer is not None:
            self._writer.write(DISCONNECT)
            self._writer.close()

    def welcome(self, writer: asyncio.StreamWriter) -> None:
        """The session goes on."""

    def handle(self, packet: Received, writer: asyncio.StreamWriter) -> None:
        """The server has sent something."""


class Sender(Client):
    """Publishes its numbers one after another; what is not acknowledged is sent again after each reconnect [4.4]."""

    def __init__(
        self, account: Account, *, qos: int, topic: str, rate: float, window: int, payload: Callable[[int], bytes]
    ) -> None:
        """`rate` is a second's; no more than `window` are under way."""
        super().__init__(account)
        self.qos = qos
        self.sent = 0
        self.done: set[int] = set()
        """The numbers that are acknowledged."""
        self.sent_at: list[float] = []
        self.stopped = False
        self._topic, self._rate, self._window, self._payload = topic, rate, window, payload
        self._under_way: dict[int, tuple[int, bool]] = {}
        """By packet identifier: the number, and whether the server has it and only waits for PUBCOMP."""

    @property
    def waits(self) -> int:
        """How many are not acknowledged."""
        return len(self._under_way)

    async def publish(self) -> None:
        """Publish at the rate, until `stopped`."""
        begun = self.now()
        while not self.stopped:
            due = int((self.now() - begun) * self._rate)
            if self.sent > due or self.waits >= self._window:
                await asyncio.sleep(0.01)
                continue
            packet_id = self.sent % PACKET_IDS + 1
            if packet_id in self._under_way:
                await asyncio.sleep(0.01)
                continue
            self._under_way[packet_id] = (self.sent, False)
            self.sent_at.append(self.now())
            self.sent += 1
            if self._writer is not None:
                self._send(packet_id, self._writer, again=False)

    def welcome(self, writer: asyncio.StreamWriter) -> None:
        for packet_id in list(self._under_way):
            self._send(packet_id, writer, again=True)

    def _send(self, packet_id: int, writer: asyncio.StreamWriter, *, again: bool) -> None:
        number, received = self._under_way[packet_id]
        if received:
            writer.write(ack(Kind.PUBREL, packet_id))
        else:
            payload = self._payload(number)
            writer.write(publish(self._topic, payload, qos=self.qos, packet_id=packet_id, dup=again))

    def handle(self, packet: Received, writer: asyncio.StreamWriter) -> None:
        if not isinstance(packet, Ack) or packet.packet_id not in self._under_way:
            return
        number, _ = self._under_way[packet.packet_id]
        if packet.kind is Kind.PUBREC:
            self._under_way[packet.packet_id] = (number, True)
            writer.write(ack(Kind.PUBREL, packet.packet_id))
        elif packet.kind in {Kind.PUBACK, Kind.PUBCOMP}:
            del self._under_way[packet.packet_id]
            self.done.add(number)
            self.fresh = max(self.fresh, self.sent_at[number])
            self.last = self.now()


class Subscriber(Client):
    """Gets everything below a topic at QoS 2, and counts what it got; a repeated message of QoS 2 is none [4.3.3]."""

    def __init__(self, account: Account, *, topic_filter: str, sent_at: Callable[[bytes], float]) -> None:
        super().__init__(account)
        self.got: Counter[bytes] = Counter()
        self.subscribed = asyncio.Event()
        self._topic_filter = topic_filter
        self._sent_at = sent_at
        self._received: set[int] = set()

    def welcome(self, writer: asyncio.StreamWriter) -> None:
        if not self.subscribed.is_set():
            writer.write(subscribe(1, (self._topic_filter, 2)))

    def handle(self, packet: Received, writer: asyncio.StreamWriter) -> None:
        if isinstance(packet, Suback):
            assert packet.codes == (2,), packet
            self.subscribed.set()
        elif isinstance(packet, Publish) and packet.packet_id is not None:
            self._publish(packet, packet.packet_id, writer)
        elif isinstance(packet, Ack) and packet.kind is Kind.PUBREL:
            self._received.discard(packet.packet_id)
            writer.write(ack(Kind.PUBCOMP, packet.packet_id))

    def _publish(self, packet: Publish, packet_id: int, writer: asyncio.StreamWriter) -> None:
        if packet.qos == 1 or packet_id not in self._received:
            self.got[packet.payload] += 1
            self.fresh = max(self.fresh, self._sent_at(packet.payload))
            self.last = self.now()
        if packet.qos == 1:
            writer.write(ack(Kind.PUBACK, packet_id))
        else:
            self._received.add(packet_id)
            writer.write(ack(Kind.PUBREC, packet_id))

    async def hop(self, elsewhere: Callable[[], Awaitable[None]], seconds: tuple[float, float]) -> None:
        """Leave now and then, in order or not, and come again where `elsewhere` leads to."""
        while True:
            await asyncio.sleep(self._random.uniform(*seconds))
            await elsewhere()
            if self._random.random() < 0.5:
                self.leave()
            elif self._writer is not None:
                self._writer.transport.abort()


class _Packets:
    """Takes what a server sends apart; whole reads at a time, for there are many packets and little time."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader
        self._rest = b""

    async def more(self) -> list[Received]:
        """At least one more. Raises _Gone."""
        found: list[Received] = []
        while not found:
            data = await self._reader.read(65_536)
            if not data:
                raise _GoneError
            self._rest += data
            while (packet := self._first()) is not None:
                found.append(packet)
        return found

    def _first(self) -> Received | None:
        data, length, shift, start = self._rest, 0, 0, 1
        while True:
            if start >= len(data):
                return None
            length |= (data[start] & 0x7F) << shift
            shift += 7
            start += 1
            if data[start - 1] < 0x80:
                break
        if start + length > len(data):
            return None
        self._rest = data[start + length :]
        return parse(data[0], data[start : start + length])
