"""From the bytes that have come to whoever handles the packets in them."""

import structlog

from broker.cluster.sessions import SupersededError
from broker.protocol import packets
from broker.protocol.packets import Packet, PacketType, ProtocolViolationError, RefusedConnectError
from broker.protocol.reasons import ConnectCode, Refusal
from broker.session.client import State
from broker.session.connection import Connection
from broker.session.control_packets import ControlPackets
from broker.session.publishing import Publishing
from broker.settings import BrokerSettings

_ENDING = (State.CLOSING, State.CLOSED)

_log = structlog.stdlib.get_logger("connection")


class PacketReader:
    """That of a node: PUBLISHes are taken many at a time, all other packets one by one."""

    def __init__(self, *, settings: BrokerSettings, publishing: Publishing, control: ControlPackets) -> None:
        self._settings = settings
        self._publishing = publishing
        self._control = control

    def read(self, connection: Connection) -> None:
        """Handle all that is complete, up to what takes its time or is more than the rate of its user allows."""
        try:
            incoming = connection.incoming
            if incoming.waiting is not None:
                (batch, index), incoming.waiting = incoming.waiting, None
                connection.seen = connection.node.now()
                self._handle(connection, batch, index)
            if connection.busy or connection.throttled or connection.state in _ENDING:
                return
            if connection.state is State.NEW and self._is_too_large(connection):
                return
            now = connection.node.now()
            batch = incoming.take(self._settings.mqtt_max_packet, now)
            if batch:
                # Whole packets count, not bytes [MQTT-3.1.2-24].
                connection.seen = now
                self._handle(connection, batch, 0)
        except RefusedConnectError as error:
            connection.write(packets.connack(error.code))
            connection.end(Refusal.BAD_CONNECT, str(error))
        except ProtocolViolationError as error:
            connection.end(Refusal.PROTOCOL, str(error))

    def go_on(self, connection: Connection, error: BaseException | None) -> None:
        """What took its time is over, with this error or without one: read what came meanwhile."""
        if isinstance(error, RefusedConnectError):
            connection.write(packets.connack(error.code))
            connection.end(error.reason, str(error), user=error.user)
        elif isinstance(error, ProtocolViolationError):
            connection.end(Refusal.PROTOCOL, str(error))
        elif isinstance(error, SupersededError):
            connection.end(Refusal.SUPERSEDED)
        elif error is not None:
            _log.error("a defect of ours ended a connection", exc_info=error)
            connection.end(Refusal.DEFECT, type(error).__name__)
        if connection.state is State.OPEN:
            if not connection.incoming.is_empty:
                self.read(connection)
                connection.account()
            connection.read_on()

    def _handle(self, connection: Connection, batch: list[Packet], index: int) -> None:
        count = len(batch)
        while index < count and not connection.busy and not connection.throttled:
            if connection.state is State.OPEN and batch[index][0] >> 4 == PacketType.PUBLISH:
                index = self._publishing.take(connection, batch, index)
            else:
                self._control.handle(connection, batch[index])
                index += 1
            if connection.state in _ENDING:
                return
        if index < count:
            # What comes after a packet that takes its time waits for it.
            connection.incoming.waiting = batch, index

    def _is_too_large(self, connection: Connection) -> bool:
        """Answer a CONNECT that is too large to be read, and wait until the client has sent it: then it reads, too.

        Were the connection closed before, the client's system would be told that what it sends is lost, and might
        forget the answer. Raises ProtocolViolationError where something else comes first.
        """
        incoming, settings = connection.incoming, self._settings
        if not incoming.begins_with_connect:
            raise ProtocolViolationError("[MQTT-3.1.0-1] the first packet is not a CONNECT")
        size = incoming.first_size
        if size <= settings.mqtt_max_connect:
            return False
        connection.write(packets.connack(ConnectCode.NOT_AUTHORIZED))
        connection.node.refusals.refuse(
            Refusal.TOO_LARGE_CONNECT, f"MQTT_MAX_CONNECT={settings.mqtt_max_connect}", connection
        )
        # There is no CONNECT that is larger than a packet may be: nobody waits for the end of that.
        connection.end_after(size - len(incoming) if size <= settings.mqtt_max_packet else 0)
        return True
