"""What clients publish: to Redis, and to whoever has subscribed to it."""

from collections.abc import Callable, Sequence
from functools import partial

from broker.cluster.publisher import Publish
from broker.ingest import Ingest
from broker.metrics import BrokerMetrics
from broker.protocol import packets
from broker.protocol.message import Message
from broker.protocol.packets import Packet, PacketType, ProtocolViolationError
from broker.protocol.reasons import Drop, Refusal
from broker.routing.router import Router
from broker.session.connection import Connection
from broker.session.outbox import EXACTLY_ONCE
from broker.session.refusals import Refusals
from broker.session.topic_rules import Topic, TopicRules
from broker.session.user_rate import UserRate
from broker.settings import BrokerSettings
from core.clock import Clock
from core.errors import Reason
from core.kinds import Role
from runtime.position_rates import cost_of, is_gzip, unpacked_size
from state.entries import Group

_PUBLISH = PacketType.PUBLISH.value
"""A plain integer, for it is compared with for every packet."""
_QOS = 0b110
"""Bits of a PUBLISH's first byte."""


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

    def begin(self, topic: Topic, sender: Connection, *, wanted: bool) -> None:
        """Positions of one topic follow, for the stream raw; `wanted` is whether anybody has subscribed to them."""
        self.last = topic
        self.wanted = wanted
        self.payloads = []
        self.groups.append(Group(topic.name, sender.user, sender.role.name, self.now, "", self.payloads))


class Publishing:
    """That of all clients of a node."""

    def __init__(
        self,
        *,
        settings: BrokerSettings,
        clock: Clock,
        metrics: BrokerMetrics,
        refusals: Refusals,
        topic_rules: TopicRules,
        ingest: Ingest,
        router: Router,
        problem: Callable[[], str | None],
    ) -> None:
        """`problem` answers why Redis takes nothing at present, None when it does."""
        self._settings = settings
        self._clock = clock
        self._metrics = metrics
        self._refusals = refusals
        self._topic_rules = topic_rules
        self._ingest = ingest
        self._router = router
        self._problem = problem

    def take(self, connection: Connection, batch: Sequence[Packet], index: int) -> int:
        """Take the PUBLISHes from `index` on; gives the index of what follows them, or is too much for now.

        Raises ProtocolViolationError; what came before it is taken all the same.
        """
        batch = self._asked(connection, batch, index)
        end = len(batch) if connection.rate is None else self._affordable(connection, connection.rate, batch, index)
        topics, role = connection.topics, connection.role
        taken = _Taken(self._clock())
        max_payload = self._settings.mqtt_max_payload
        full = self._has_too_much_qos_0
        counts, sizes = taken.counts, taken.sizes
        try:
            while index < end and batch[index][0] >> 4 == _PUBLISH:
                first_byte, body = batch[index]
                index += 1
                name, packet_id, payload = packets.publish_fields(first_byte, body)
                qos = first_byte >> 1 & 3
                topic = topics.get(name) or self._topic_rules.find(role, name)
                counts[qos] += 1
                if qos == 1:
                    taken.answer += b"\x40\x02" + packet_id.to_bytes(2, "big")
                elif qos == EXACTLY_ONCE:
                    is_new = self._is_new(connection, packet_id)
                    taken.answer += packets.acknowledgement(PacketType.PUBREC, packet_id)
                    if not is_new:
                        continue
                elif full:
                    self._metrics.dropped.labels(Drop.QOS0_BUFFER.value).inc()
                    continue
                if topic.refused or len(payload) > max_payload or (not payload and topic.ingest):
                    self._turn_away(connection, topic, payload, taken)
                    continue
                sizes[qos] += len(body)
                if topic.ingest:
                    if topic is not taken.last:
                        taken.begin(topic, connection, wanted=self._router.is_wanted(topic.name))
                    taken.payloads.append(payload)
                    if not taken.wanted:
                        continue
                guard = (connection.client_id, packet_id) if qos == EXACTLY_ONCE and not connection.clean else None
                retain = bool(first_byte & 1)
                anonymous = retain and role is Role.ANONYMOUS
                user = connection.user if topic.ingest else ""
                taken.routed.append(Publish(Message(topic.name, payload, qos, retain, anonymous, user), guard))
        finally:
            # Also where one of them breaks the protocol: those before it do not.
            self._metrics.came(counts, sum(sizes))
            self._hand_over(connection, taken)
        return index

    def _asked(self, connection: Connection, batch: Sequence[Packet], index: int) -> Sequence[Packet]:
        """The batch as far as plugins have been asked about its topics; about the first of them they are asked now."""
        if not self._topic_rules.are_asked:
            return batch
        for at in range(index, len(batch)):
            if batch[at][0] >> 4 != _PUBLISH:
                break
            try:
                name, _, _ = packets.publish_fields(*batch[at])
            except ProtocolViolationError:
                # It is said in its turn.
                break
            if name not in connection.topics:
                if at == index:
                    self._ask(connection, name)
                return batch[:at]
        return batch

    def _ask(self, connection: Connection, name: bytes) -> None:
        connection.take_time(
            self._topic_rules.ask(
                connection.topics,
                name,
                client_id=connection.client_id,
                user=connection.user,
                role=connection.role,
            )
        )

    @property
    def _has_too_much_qos_0(self) -> bool:
        """Whether messages of QoS 0 have to be dropped: Redis is away or full, and as many wait as may."""
        return self._metrics.qos_0_waiting >= self._settings.qos0_buffer and self._problem() is not None

    def _affordable(self, connection: Connection, rate: UserRate, batch: Sequence[Packet], index: int) -> int:
        """The index of the first PUBLISH that is too much for the user's rate; it waits, and all after it."""
        left, taken = rate.left, 0
        while index < len(batch) and batch[index][0] >> 4 == _PUBLISH:
            if taken >= left:
                self._refusals.throttle(connection)
                connection.throttle()
                rate.wait(connection.go_on)
                break
            taken += _cost_of(*batch[index])
            index += 1
        rate.take(taken)
        return index

    def _turn_away(self, connection: Connection, topic: Topic, payload: bytes, taken: _Taken) -> None:
        if topic.refused:
            self._refusals.refuse_publish(topic, connection)
            return
        if not payload:
            # How MQTT clears what is retained: that is no position, and nothing is retained here.
            self._metrics.dropped.labels(Drop.CLEARED.value).inc()
            return
        self._refusals.refuse_payload(connection)
        if topic.ingest:
            # The decoder makes a dead letter of it, without the payload.
            taken.groups.append(
                Group(topic.name, connection.user, connection.role.name, taken.now, Reason.TOO_LARGE, [b""])
            )
            taken.last = None

    def _is_new(self, connection: Connection, packet_id: int) -> bool:
        if connection.received is None:
            connection.received = set()
        if packet_id in connection.received:
            return False
        most = self._settings.mqtt_max_unacknowledged
        if len(connection.received) >= most:
            raise ProtocolViolationError(f"more than {most} messages of QoS 2 without their PUBREL")
        connection.received.add(packet_id)
        return True

    def _hand_over(self, connection: Connection, taken: _Taken) -> None:
        """Have Redis keep everything, and answer then."""
        answers, groups, routed = connection.answers, taken.groups, taken.routed
        promise = answers.promise(
            bytes(taken.answer),
            parts=bool(groups) + bool(routed),
            size=taken.sizes[1] + taken.sizes[2],
            loose=taken.sizes[0],
        )
        if groups:
            self._ingest.append(connection.partition, groups, partial(answers.keep, promise))
        if routed:
            self._router.route(routed, partial(answers.keep, promise), partial(connection.end, Refusal.DEFECT))


def _cost_of(header: int, body: bytes) -> int:
    """How many positions a PUBLISH counts as, before it is decoded: `header` is its first byte."""
    # The topic, after its length, and with QoS an identifier come before the payload.
    start = 2 + int.from_bytes(body[:2]) + (2 if header & _QOS else 0)
    return cost_of(len(body), unpacked_size(body[start:]) if is_gzip(body, start) else 0)
