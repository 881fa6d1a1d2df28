"""What each packet of a client asks for, but for PUBLISH."""

from collections.abc import Callable

from broker.cluster.sessions import Sessions
from broker.protocol import packets
from broker.protocol.packets import Packet, PacketType, ProtocolViolationError
from broker.session.admission import Admission
from broker.session.client import State
from broker.session.connection import Connection
from broker.session.subscribing import Subscribing


class ControlPackets:
    """Those of all clients of a node."""

    def __init__(
        self,
        *,
        admission: Admission,
        subscribing: Subscribing,
        sessions: Sessions,
        problem: Callable[[], str | None],
    ) -> None:
        """`problem` answers why Redis takes nothing at present, None when it does."""
        self._admission = admission
        self._subscribing = subscribing
        self._sessions = sessions
        self._problem = problem
        self._handlers: dict[PacketType, Callable[[Connection, bytes], None]] = {
            PacketType.CONNECT: self._connect_again,
            PacketType.PUBACK: self._puback,
            PacketType.PUBREC: self._pubrec,
            PacketType.PUBREL: self._pubrel,
            PacketType.PUBCOMP: self._pubcomp,
            PacketType.SUBSCRIBE: self._subscribe,
            PacketType.UNSUBSCRIBE: self._unsubscribe,
            PacketType.PINGREQ: self._pingreq,
            PacketType.DISCONNECT: self._disconnect,
        }

    def handle(self, connection: Connection, packet: Packet) -> None:
        """Do what a packet asks for. Raises ProtocolViolationError."""
        packet_type = packets.check_flags(packet, connection.level)
        body = packet[1]
        if connection.state is State.NEW:
            connection.state = State.CONNECTING
            connection.take_time(self._admission.connect(connection, packets.parse_connect(body)))
            return
        handler = self._handlers.get(packet_type)
        if handler is None:
            raise ProtocolViolationError(f"a {packet_type.name}, which only a server sends")
        handler(connection, body)

    @staticmethod
    def _connect_again(connection: Connection, body: bytes) -> None:  # noqa: ARG004 - as all handlers
        raise ProtocolViolationError("[MQTT-3.1.0-2] a second CONNECT")

    @staticmethod
    def _puback(connection: Connection, body: bytes) -> None:
        packet_id = packets.parse_packet_id("PUBACK", body)
        if connection.outbox is not None:
            connection.outbox.puback(packet_id)

    @staticmethod
    def _pubrec(connection: Connection, body: bytes) -> None:
        packet_id = packets.parse_packet_id("PUBREC", body)
        if connection.outbox is not None:
            connection.outbox.pubrec(packet_id)
        else:
            connection.write(packets.acknowledgement(PacketType.PUBREL, packet_id))

    @staticmethod
    def _pubcomp(connection: Connection, body: bytes) -> None:
        packet_id = packets.parse_packet_id("PUBCOMP", body)
        if connection.outbox is not None:
            connection.outbox.pubcomp(packet_id)

    def _pubrel(self, connection: Connection, body: bytes) -> None:
        """Finish an inbound QoS 2 message; also one that is not known any more [MQTT-4.3.3-2]."""
        packet_id = packets.parse_packet_id("PUBREL", body)
        if connection.received is not None:
            connection.received.discard(packet_id)
        answer = packets.acknowledgement(PacketType.PUBCOMP, packet_id)
        if connection.clean:
            connection.answers.promise(answer)
            return
        connection.answers.after(answer, lambda: self._sessions.release(connection.client_id, packet_id))

    def _subscribe(self, connection: Connection, body: bytes) -> None:
        connection.take_time(self._subscribing.subscribe(connection, packets.parse_subscribe(body)))

    def _unsubscribe(self, connection: Connection, body: bytes) -> None:
        connection.take_time(self._subscribing.unsubscribe(connection, packets.parse_unsubscribe(body)))

    def _pingreq(self, connection: Connection, body: bytes) -> None:
        packets.parse_empty("PINGREQ", body)
        if self._problem():
            # In its turn it would come too late, and the client would leave for a node that has the same problem.
            connection.write(packets.PINGRESP)
        else:
            connection.answers.promise(packets.PINGRESP)

    @staticmethod
    def _disconnect(connection: Connection, body: bytes) -> None:
        packets.parse_empty("DISCONNECT", body)
        connection.will = None
        connection.end(None)
