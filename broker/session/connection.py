"""One connection: from the bytes of a socket to what the node does with them, and back.

This replaces amqtt's handler (mqtt/protocol/handler.py) and its reader and writer adapters, for the reasons in decision
record 9: packets are parsed in batches, positions are appended to Redis a batch at a time and acknowledged after that
in their order, and a connection costs no task while it is idle.
"""

import asyncio
from collections.abc import Awaitable, Callable
from enum import Enum, auto
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, cast

import structlog

from broker.cluster.publisher import Publish
from broker.cluster.retained import is_state, state_filters
from broker.cluster.sessions import SupersededError
from broker.protocol import packets
from broker.protocol.message import Message
from broker.protocol.packets import (
    ConnectCode,
    Packet,
    PacketType,
    ProtocolViolationError,
    RefusedConnectError,
    Will,
)
from broker.session.acknowledgements import READ_AHEAD_BYTES, PendingAnswers
from broker.session.incoming import Incoming
from broker.session.outbox import EXACTLY_ONCE, Outbox
from broker.session.outgoing import Outgoing
from broker.session.stored_outbox import StoredOutbox
from broker.session.topic_rules import Topic
from broker.session.user_rate import UserRate
from core.errors import Reason
from core.messages import Role
from runtime.addresses import network_of
from runtime.position_rates import cost_of
from state.entries import Group

if TYPE_CHECKING:
    from broker.node import Node

CLOSE_SECONDS = 5.0
"""How long what was written last may take to leave, once the connection is to end."""

_log = structlog.stdlib.get_logger("connection")


class Transport(Protocol):
    """What a connection needs of asyncio's transports; those over WebSocket have it, too."""

    def write(self, data: bytes) -> None: ...  # noqa: D102 - asyncio.Transport says what they do
    def close(self) -> None: ...  # noqa: D102
    def abort(self) -> None: ...  # noqa: D102
    def is_closing(self) -> bool: ...  # noqa: D102
    def pause_reading(self) -> None: ...  # noqa: D102
    def resume_reading(self) -> None: ...  # noqa: D102
    def get_write_buffer_size(self) -> int: ...  # noqa: D102
    def get_extra_info(self, name: str, default: Any = None) -> Any: ...  # noqa: ANN401, D102


class State(Enum):
    """Where a connection is in its life."""

    NEW = auto()
    """No CONNECT yet."""
    CONNECTING = auto()
    """It is being found out who that is."""
    OPEN = auto()
    CLOSING = auto()
    CLOSED = auto()


class _Taken:
    """What comes of PUBLISHes that were read together."""

    __slots__ = ("answer", "counts", "groups", "last", "now", "payloads", "routed", "sizes", "wanted")

    def __init__(self, now: int) -> None:
        self.now = now
        self.answer = bytearray()
        self.groups: list[Group] = []
        self.routed: list[Publish] = []
        self.counts = [0, 0, 0]
        self.sizes = [0, 0, 0]
        """Bytes, by QoS."""
        self.last: Topic | None = None
        self.wanted = False
        self.payloads: list[bytes] = []

    def begin(self, topic: Topic, sender: "Connection") -> None:
        """Positions of one topic follow, for the stream raw; somebody may have subscribed to them."""
        self.last = topic
        self.wanted = sender.node.is_wanted(topic)
        self.payloads = []
        self.groups.append(Group(topic.name, sender.user, sender.role, self.now, "", self.payloads))


class Connection(asyncio.Protocol):
    """One client, over whatever carries bytes in order."""

    __slots__ = (
        "_accounted",
        "_awaited",
        "_busy",
        "_finishing",
        "_incoming",
        "_not_read",
        "_not_read_since",
        "_outgoing",
        "_task",
        "_throttled",
        "_transport",
        "_unread",
        "_waiting",
        "address",
        "answers",
        "clean",
        "client_id",
        "deadline",
        "keepalive",
        "level",
        "node",
        "number",
        "outbox",
        "owner",
        "partition",
        "peer",
        "rate",
        "received",
        "role",
        "seen",
        "state",
        "topics",
        "user",
        "will",
        "will_bytes",
        "write_paused",
    )

    def __init__(self, node: "Node", number: int) -> None:
        """`number` tells it from all other connections of this node."""
        self.node = node
        self.number = number
        self.state = State.NEW
        # The owner is as `broker.auth.owner` has it.
        self.client_id = self.user = self.owner = ""
        self.role = Role.ANONYMOUS
        self.clean = True
        self.level = packets.MQTT_3_1_1
        self.will: Will | None = None
        self.will_bytes = 0
        """What its will counts, whether it is still to be published or not."""
        self.keepalive = 0.0
        """Seconds of silence after which the connection ends; 0 for ever."""
        self.seen = node.now()
        """When a packet came last, by the loop's clock."""
        self.deadline: float | None = self.seen + node.settings.mqtt_connect_timeout
        """When the connection ends if it is still in its state; None for an open one."""
        self.partition = 0
        self.topics = node.topic_rules.known(Role.ANONYMOUS)
        self.outbox: Outbox | StoredOutbox | None = None
        self.received: set[int] | None = None
        """Packet identifiers of QoS 2 messages that are stored, until their PUBREL [MQTT-4.3.3-2]."""
        self.write_paused = False
        self.peer = ""
        self.address = ""
        """What the peer counts as where addresses share something."""
        self._transport: Transport | None = None
        self.rate: UserRate | None = None
        """What it shares with all connections of its user."""
        self._incoming = Incoming()
        self._outgoing: Outgoing | None = None
        """What waits for it; None where it reads as fast as we write."""
        self._throttled = False
        self._not_read_since = 0.0
        self._waiting: tuple[list[Packet], int] | None = None
        """Packets that came along with one that takes its time, and the index of the next of them."""
        self._busy = False
        self._finishing = False
        self._not_read = False
        self.answers = PendingAnswers(self, node)
        self._awaited: asyncio.Event | None = None
        self._task: asyncio.Task[None] | None = None
        self._accounted = 0
        self._unread = 0
        """Bytes that are still to come of a packet that nobody will look at."""

    # --- asyncio.Protocol ---------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is there."""
        self._transport = cast("Transport", transport)
        peer = self._transport.get_extra_info("peername")
        self.peer = peer[0] if isinstance(peer, tuple) else ""
        self.address = network_of(self.peer)
        if not self.node.admit(self):
            self.state = State.CLOSED
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Something came."""
        self.node.metrics.bytes_in += len(data)
        if self.state is State.CLOSING or self.state is State.CLOSED:
            if self._unread > 0:
                self._discard(len(data))
            return
        self._incoming.add(data, self.node.now())
        if self._busy or self._throttled:
            if len(self._incoming) > READ_AHEAD_BYTES:
                self.read_no_more()
        elif self._incoming.may_be_complete:
            self._work()
        self._account()

    def _account(self) -> None:
        """Count what is held of packets that cannot be handled yet; the node may have too much of that."""
        held = len(self._incoming)
        if self._waiting is not None:
            batch, index = self._waiting
            held += sum(len(body) for _, body in batch[index:])
        if held != self._accounted:
            self._accounted = held
            self.node.hold_unfinished(self, held)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - part of asyncio's interface
        """It is over, whoever ended it."""
        state, self.state = self.state, State.CLOSED
        self._forget_rest()
        if isinstance(self.outbox, StoredOutbox):
            self.outbox.close()
        if self._task is not None and state is not State.CONNECTING:
            self._task.cancel()
        if self._awaited is not None:
            self._awaited.set()
        self.node.lost(self, was_open=bool(self.client_id) and state is not State.CONNECTING)

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

    # --- what the node does with it -----------------------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """Whether it takes messages."""
        return self.state is State.OPEN

    @property
    def waiting_out(self) -> int:
        """Bytes of messages that wait in memory for this client."""
        return 0 if self.outbox is None else self.outbox.waiting

    @property
    def under_way(self) -> int:
        """Messages that this client has not acknowledged."""
        return 0 if self.outbox is None else self.outbox.unacknowledged

    def deliver(self, message: Message, qos: int, packet: bytes | None) -> None:
        """A message for this client, with the lower of its QoS and the one granted; at QoS 0 also encoded."""
        outbox = self.outbox
        if self.state is not State.OPEN or outbox is None:
            return
        if isinstance(outbox, StoredOutbox):
            if qos:
                # It comes by the queue.
                if is_state(message):
                    outbox.wake()
                return
            outbox.memory.send(message, 0, packet)
        else:
            outbox.send(message, qos, packet)
        self.node.metrics.sent[qos] += 1

    def wake(self) -> None:
        """There is something in this session's queue."""
        if isinstance(self.outbox, StoredOutbox) and self.state is State.OPEN:
            self.outbox.wake()

    def end(self, reason: str, detail: str = "") -> None:
        """End the connection, and count why: a fixed word of ours. What was written before still goes out."""
        if self.state in (State.CLOSING, State.CLOSED):
            return
        if reason:
            self.node.refusals.refuse(reason, detail, self)
        connecting = self.state is State.CONNECTING
        if not connecting:
            self.state = State.CLOSING
        self.deadline = self.node.now() + CLOSE_SECONDS
        self._forget_rest()
        if self._transport is not None:
            self._transport.close()

    def _forget_rest(self) -> None:
        self._incoming.clear()
        self._waiting = None
        self._account()

    def finish(self) -> None:
        """End the connection as soon as everything that was read of it is answered; read nothing more of it."""
        self._finishing = True
        self.read_no_more()
        self._end_if_finished()

    def _end_if_finished(self) -> None:
        if not self._busy and self._waiting is None and not self.answers:
            self.end("")

    def abort(self, reason: str = "", detail: str = "") -> None:
        """End the connection at once, whatever is still to be written."""
        if self.state is State.CLOSED:
            return
        if reason:
            self.node.refusals.refuse(reason, detail, self)
        if self._transport is not None:
            self._transport.abort()

    def is_silent(self, now: float) -> bool:
        """Whether it has been silent for one and a half times its keepalive [MQTT-3.1.2-24], and was listened to."""
        listening = not self._not_read and not self._busy
        return bool(self.keepalive) and now - self.seen > self.keepalive and listening

    def overdue(self, now: float) -> tuple[str, str] | None:
        """Why an open connection has to end by now, as `abort` wants it; None as long as it may stay."""
        if self.is_silent(now):
            return "keepalive", "silent for one and a half times its keepalive"
        if self._is_stalled(now):
            return "slow_consumer", "takes nothing of what it is sent"
        if self._is_unfinished(now):
            return "unfinished", "a packet was not complete within MQTT_PACKET_TIMEOUT"
        return None

    def _is_stalled(self, now: float) -> bool:
        """Whether it takes nothing of what waits for it: for as long as it may be silent, or for MQTT_WRITE_TIMEOUT.

        It is not read meanwhile, and cannot say that it is alive; that it takes something says it.
        """
        if self._outgoing is None or self._transport is None or self._transport.is_closing():
            return False
        limit = self.node.settings.mqtt_write_timeout
        untaken = self._outgoing.untaken_for(self._transport, now)
        return untaken > (min(self.keepalive, limit) if self.keepalive else limit)

    def _is_unfinished(self, now: float) -> bool:
        """Whether a packet has taken longer than MQTT_PACKET_TIMEOUT, in which the connection was read."""
        listening = not self._not_read and not self._busy and not self._throttled
        late = now - self._incoming.since > self.node.settings.mqtt_packet_timeout
        return listening and late and bool(self._incoming)

    def write(self, data: bytes) -> None:
        """Send bytes, unless the connection is over."""
        if self._transport is not None and not self._transport.is_closing():
            self.node.metrics.bytes_out += len(data)
            self._transport.write(data)

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
            and not self._busy
            and not self._throttled
            and not self.write_paused
            and self.answers.waiting_bytes <= READ_AHEAD_BYTES // 2
            and self._transport is not None
            and not self._transport.is_closing()
        ):
            self._not_read = False
            # Nobody listened meanwhile.
            away = self.node.now() - self._not_read_since
            self.seen += away
            self._incoming.since += away
            self._transport.resume_reading()

    # --- packets ------------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        try:
            if self._waiting is not None:
                (batch, index), self._waiting = self._waiting, None
                self.seen = self.node.now()
                self._handle(batch, index)
            if self._busy or self._throttled or self.state is State.CLOSING or self.state is State.CLOSED:
                return
            if self.state is State.NEW and self._is_too_large_to_read():
                return
            batch = self._incoming.take(self.node.settings.mqtt_max_packet, self.node.now())
            if batch:
                # Whole packets count, not bytes [MQTT-3.1.2-24].
                self.seen = self.node.now()
                self._handle(batch, 0)
        except RefusedConnectError as error:
            self.write(packets.connack(error.code))
            self.end("bad_connect", str(error))
        except ProtocolViolationError as error:
            self.end("protocol", str(error))

    def _is_too_large_to_read(self) -> bool:
        """Answer a CONNECT that is too large to be read, and wait until the client has sent it: then it reads, too.

        Were the connection closed before, the client's system would be told that what it sends is lost, and might
        forget the answer. Raises ProtocolViolationError where something else comes first.
        """
        if not self._incoming.begins_with_connect:
            raise ProtocolViolationError("[MQTT-3.1.0-1] the first packet is not a CONNECT")
        size, settings = self._incoming.first_size, self.node.settings
        if size <= settings.mqtt_max_connect:
            return False
        self.write(packets.connack(ConnectCode.NOT_AUTHORIZED))
        # There is no CONNECT that is larger than a packet may be: nobody waits for the end of that.
        self._unread = size - len(self._incoming) if size <= settings.mqtt_max_packet else 0
        self._incoming.clear()
        self.node.refusals.refuse("too_large_connect", f"MQTT_MAX_CONNECT={settings.mqtt_max_connect}", self)
        self.state = State.CLOSING
        self.deadline = self.node.now() + CLOSE_SECONDS
        self._discard(0)
        return True

    def _discard(self, count: int) -> None:
        self._unread -= count
        if self._unread <= 0 and self._transport is not None:
            self._transport.close()

    def _handle(self, batch: list[Packet], index: int) -> None:
        count = len(batch)
        while index < count and not self._busy and not self._throttled:
            if self.state is State.OPEN and batch[index][0] >> 4 == PacketType.PUBLISH:
                end = count if self.rate is None else self._affordable(self.rate, batch, index)
                index = self._publishes(batch, index, end)
            else:
                self._control(batch[index])
                index += 1
            if self.state is State.CLOSING or self.state is State.CLOSED:
                return
        if index < count:
            # What comes after a packet that takes its time waits for it.
            self._waiting = batch, index

    def _affordable(self, rate: UserRate, batch: list[Packet], index: int) -> int:
        """The index of the first PUBLISH that is too much for the user's rate; it waits, and all after it."""
        left, taken = rate.left, 0
        while index < len(batch) and batch[index][0] >> 4 == PacketType.PUBLISH:
            if taken >= left:
                self._throttled = True
                self.node.refusals.throttle(self)
                self.read_no_more()
                rate.wait(self._go_on)
                break
            taken += cost_of(len(batch[index][1]))
            index += 1
        rate.take(taken)
        return index

    def _go_on(self) -> None:
        """The user's rate allows for more."""
        self._throttled = False
        if self.state is State.OPEN:
            self._work()
            self._account()
            self.read_on()

    def _publishes(self, batch: list[Packet], index: int, end: int) -> int:
        """Handle the PUBLISHes from `index` on, up to `end`; gives the index of what follows them."""
        node, topics = self.node, self.topics
        taken = _Taken(node.clock())
        max_payload = node.settings.mqtt_max_payload
        full = node.has_too_much_qos_0
        counts, sizes = taken.counts, taken.sizes
        try:
            while index < end and batch[index][0] >> 4 == PacketType.PUBLISH:
                first_byte, body = batch[index]
                index += 1
                name, packet_id, payload = packets.publish_fields(first_byte, body)
                qos = first_byte >> 1 & 3
                topic = topics.get(name) or node.topic_rules.find(self.role, name)
                counts[qos] += 1
                if qos == 1:
                    taken.answer += b"\x40\x02" + packet_id.to_bytes(2, "big")
                elif qos == EXACTLY_ONCE:
                    is_new = self._is_new(packet_id)
                    taken.answer += packets.acknowledgement(PacketType.PUBREC, packet_id)
                    if not is_new:
                        continue
                elif full:
                    node.metrics.dropped.labels("qos0_buffer").inc()
                    continue
                if topic.refused or len(payload) > max_payload:
                    self._turn_away(topic, taken)
                    continue
                sizes[qos] += len(body)
                if topic.ingest:
                    if topic is not taken.last:
                        taken.begin(topic, self)
                    taken.payloads.append(payload)
                    if not taken.wanted:
                        continue
                guard = (self.client_id, packet_id) if qos == EXACTLY_ONCE and not self.clean else None
                retain = bool(first_byte & 1)
                anonymous = retain and self.role is Role.ANONYMOUS
                user = self.user if topic.ingest else ""
                taken.routed.append(Publish(Message(topic.name, payload, qos, retain, anonymous, user), guard))
        finally:
            # Also where one of them breaks the protocol: those before it do not.
            node.metrics.came(counts, sum(sizes))
            self._promise(bytes(taken.answer), taken)
        return index

    def _turn_away(self, topic: "Topic", taken: "_Taken") -> None:
        if topic.refused:
            self.node.refusals.refuse_publish(topic, self)
            return
        self.node.refusals.refuse_payload(self)
        if topic.ingest:
            # The decoder makes a dead letter of it, without the payload.
            taken.groups.append(Group(topic.name, self.user, self.role, taken.now, Reason.TOO_LARGE, [b""]))
            taken.last = None

    def _is_new(self, packet_id: int) -> bool:
        if self.received is None:
            self.received = set()
        if packet_id in self.received:
            return False
        if len(self.received) >= self.node.settings.mqtt_max_unacknowledged:
            raise ProtocolViolationError(
                f"more than {self.node.settings.mqtt_max_unacknowledged} messages of QoS 2 without their PUBREL"
            )
        self.received.add(packet_id)
        return True

    def _promise(self, answer: bytes, taken: _Taken) -> None:
        """Answer once Redis has everything."""
        groups, routed = taken.groups, taken.routed
        promise = self.answers.promise(
            answer, parts=bool(groups) + bool(routed), size=taken.sizes[1] + taken.sizes[2], loose=taken.sizes[0]
        )
        if groups:
            self.node.ingest.append(self.partition, groups, partial(self.answers.keep, promise))
        if routed:
            self.node.route(routed, partial(self.answers.keep, promise), partial(self.end, "defect"))

    def _control(self, packet: Packet) -> None:
        packet_type = packets.check_flags(packet, self.level)
        body = packet[1]
        if self.state is State.NEW:
            self.state = State.CONNECTING
            self._take_time(self.node.connect(self, packets.parse_connect(body)))
            return
        handler = _HANDLERS.get(packet_type)
        if handler is None:
            raise ProtocolViolationError(f"a {packet_type.name}, which only a server sends")
        handler(self, packet_type, body)

    def _connect_again(self, packet_type: PacketType, body: bytes) -> None:  # noqa: ARG002 - as all handlers
        raise ProtocolViolationError("[MQTT-3.1.0-2] a second CONNECT")

    def _pingreq(self, packet_type: PacketType, body: bytes) -> None:
        packets.parse_empty(packet_type.name, body)
        if self.node.problem:
            # In its turn it would come too late, and the client would leave for a node that has the same problem.
            self.write(packets.PINGRESP)
        else:
            self.answers.promise(packets.PINGRESP)

    def _disconnect(self, packet_type: PacketType, body: bytes) -> None:
        packets.parse_empty(packet_type.name, body)
        self.will = None
        self.end("")

    def _acknowledged(self, packet_type: PacketType, body: bytes) -> None:
        packet_id = packets.parse_packet_id(packet_type.name, body)
        outbox = self.outbox
        if packet_type is PacketType.PUBACK:
            if outbox is not None:
                outbox.puback(packet_id)
        elif packet_type is PacketType.PUBCOMP:
            if outbox is not None:
                outbox.pubcomp(packet_id)
        elif outbox is not None:
            outbox.pubrec(packet_id)
        else:
            self.write(packets.acknowledgement(PacketType.PUBREL, packet_id))

    def _subscribe(self, packet_type: PacketType, body: bytes) -> None:  # noqa: ARG002 - as all handlers
        self._take_time(self.node.subscribe(self, packets.parse_subscribe(body)))

    def _unsubscribe(self, packet_type: PacketType, body: bytes) -> None:  # noqa: ARG002 - as all handlers
        self._take_time(self.node.unsubscribe(self, packets.parse_unsubscribe(body)))

    def _pubrel(self, packet_type: PacketType, body: bytes) -> None:
        """Finish an inbound QoS 2 message; also one that is not known any more [MQTT-4.3.3-2]."""
        packet_id = packets.parse_packet_id(packet_type.name, body)
        if self.received is not None:
            self.received.discard(packet_id)
        answer = packets.acknowledgement(PacketType.PUBCOMP, packet_id)
        if self.clean:
            self.answers.promise(answer)
            return
        self.answers.after(answer, lambda: self.node.cluster.sessions.release(self.client_id, packet_id))

    # --- what takes its time ------------------------------------------------------------------------------------------

    def _take_time(self, work: Awaitable[None]) -> None:
        """Do `work` before any later packet of this connection."""
        self._busy = True
        self._task = asyncio.ensure_future(work)
        self._task.add_done_callback(self._took_time)

    def _took_time(self, task: asyncio.Task[None]) -> None:
        self._task = None
        self._busy = False
        self.seen = self._incoming.since = self.node.now()
        error = None if task.cancelled() else task.exception()
        if isinstance(error, RefusedConnectError):
            self.write(packets.connack(error.code))
            self.end(error.reason, str(error))
        elif isinstance(error, ProtocolViolationError):
            self.end("protocol", str(error))
        elif isinstance(error, SupersededError):
            self.end("superseded")
        elif error is not None:
            _log.error("a defect of ours ended a connection", exc_info=error)
            self.end("defect", type(error).__name__)
        if self.state is State.OPEN:
            if self._incoming or self._waiting is not None:
                self._work()
                self._account()
            self.read_on()

    def welcome(self, *, session_present: bool) -> None:
        """CONNECT was accepted."""
        self.state = State.OPEN
        self.deadline = None
        self.topics = self.node.topic_rules.known(self.role)
        # In MQTT 3.1 the flag does not exist.
        said = session_present and self.level == packets.MQTT_3_1_1
        self.write(packets.connack(ConnectCode.ACCEPTED, session_present=said))

    def make_outbox(self) -> Outbox:
        """An outbox that ends the connection of a client that is too slow for it."""
        outbox = Outbox(
            write=self.write,
            window=self.node.settings.mqtt_max_unacknowledged,
            max_bytes=self.node.settings.mqtt_slow_consumer_bytes,
            overflow=lambda: self.abort("slow_consumer", "reads too slowly for what it has subscribed to"),
        )
        if self.write_paused:
            outbox.pause()
        return outbox

    def make_stored_outbox(self, memory: Outbox) -> StoredOutbox:
        """The outbox of a persistent session."""
        outbox = StoredOutbox(
            memory=memory,
            sessions=self.node.cluster.sessions,
            client_id=self.client_id,
            connection=self.number,
            window=self.node.settings.mqtt_max_unacknowledged,
            write=self.write,
            counts=self.node.metrics.sent,
            superseded=lambda: self.end("superseded"),
            failed=lambda: self.end("defect"),
            after=self.answers.after,
            states=lambda: state_filters(self.node.subscriptions.filters_of(self), self.role),
        )
        if self.write_paused:
            outbox.pause()
        return outbox

    async def until_writable(self) -> None:
        """Wait until the client has taken what was written. Returns at once where the connection is over."""
        while self.write_paused and self.state is State.OPEN:
            self._awaited = asyncio.Event()
            await self._awaited.wait()
        self._awaited = None


_HANDLERS: dict[PacketType, Callable[[Connection, PacketType, bytes], None]] = {
    PacketType.CONNECT: Connection._connect_again,  # noqa: SLF001 - these are its methods
    PacketType.PUBACK: Connection._acknowledged,  # noqa: SLF001
    PacketType.PUBREC: Connection._acknowledged,  # noqa: SLF001
    PacketType.PUBREL: Connection._pubrel,  # noqa: SLF001
    PacketType.PUBCOMP: Connection._acknowledged,  # noqa: SLF001
    PacketType.SUBSCRIBE: Connection._subscribe,  # noqa: SLF001
    PacketType.UNSUBSCRIBE: Connection._unsubscribe,  # noqa: SLF001
    PacketType.PINGREQ: Connection._pingreq,  # noqa: SLF001
    PacketType.DISCONNECT: Connection._disconnect,  # noqa: SLF001
}
