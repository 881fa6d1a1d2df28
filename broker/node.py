"""One node: amqtt's broker, with what happens on a new connection replaced."""

import asyncio
import socket
from functools import partial
from typing import Any, cast

import structlog
from amqtt.adapters import BufferReader, ReaderAdapter, StreamWriterAdapter, WriterAdapter
from amqtt.broker import Broker
from amqtt.contexts import BrokerConfig
from amqtt.errors import AMQTTError, MQTTError, NoDataError
from amqtt.mqtt.packet import CONNECT
from amqtt.session import Session
from amqtt.utils import gen_client_id

from broker.handler import ChunkReader, IngestHandler
from broker.ingest import Ingest
from broker.metrics import BrokerMetrics
from broker.packets import ProtocolViolation
from broker.settings import BrokerSettings
from core.clock import Clock
from core.listening import BACKLOG

MAX_CONNECT_BYTES = 131_072
"""A CONNECT with a will of 64 KiB fits; the strings before it are short."""
_LISTENER = "default"

_log = structlog.stdlib.get_logger("node")


class Node(Broker):
    """A broker node that appends positions to Redis and leaves the rest of MQTT to amqtt."""

    def __init__(
        self,
        *,
        settings: BrokerSettings,
        listener: socket.socket,
        ingest: Ingest,
        metrics: BrokerMetrics,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._listener = listener
        self._ingest = ingest
        self._metrics = metrics
        self._clock = clock
        super().__init__(
            BrokerConfig.from_dict(
                {
                    "listeners": {_LISTENER: {"type": "tcp", "bind": "127.0.0.1:1883"}},
                    # Named one by one: amqtt's defaults let everybody in (contexts.py 150).
                    "plugins": {
                        "broker.access.Authentication": {"allow_anonymous": settings.mqtt_allow_anonymous},
                        "broker.access.Topics": {},
                    },
                }
            )
        )

    async def _create_server_instance(self, *_: Any) -> asyncio.Server:
        """Listen on the socket that is open already; replaces broker.py 281, which can share no port."""
        return await asyncio.start_server(
            partial(self.stream_connected, listener_name=_LISTENER), sock=self._listener, backlog=BACKLOG
        )

    async def stream_connected(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, listener_name: str
    ) -> None:
        """Serve one TCP connection to its end."""
        self._metrics.connections.inc()
        try:
            await self._client_connected(listener_name, ChunkReader(reader), StreamWriterAdapter(writer))
        except ConnectionError:
            pass
        finally:
            self._metrics.connections.dec()
            writer.close()

    async def _client_connected(self, listener_name: str, reader: ReaderAdapter, writer: WriterAdapter) -> None:
        """Serve one connection; replaces broker.py 446 to 611.

        amqtt deletes or takes over the session that a CONNECT names before it knows who sent it, keeps the sessions of
        failed logins, waits for a CONNECT for ever, and sends every newcomer the retained messages that match
        anybody's filter. Here nothing of the sessions is touched before the client is authenticated.
        """
        peer = writer.get_peer_info()
        if peer is None:
            return
        try:
            async with asyncio.timeout(self._settings.mqtt_connect_timeout):
                handler, session = await self._read_connect(reader, writer)
                authenticated = await self._authenticate(session, self.listeners_config[listener_name])
        except TimeoutError:
            self._refuse("connect_timeout", "no CONNECT in time", peer)
            return
        except (AMQTTError, MQTTError, NoDataError, ProtocolViolation, ValueError) as error:
            self._refuse("bad_connect", str(error), peer)
            return
        if not authenticated:
            session.parent = 0
            handler.attach(session, reader, writer)
            await handler.mqtt_connack_authorize(authorize=False)
            await writer.close()
            self._refuse("not_authorized", "no such user, or a wrong password", peer)
            return
        await self._serve(await self._take_over(session), handler, reader, writer)

    async def _serve(
        self, session: Session, handler: IngestHandler, reader: ReaderAdapter, writer: WriterAdapter
    ) -> None:
        client_id = session.client_id or ""
        session.transitions.connect()
        handler.attach(session, reader, writer)
        self._sessions[client_id] = (session, handler)
        try:
            await handler.mqtt_connack_authorize(authorize=True)
            await handler.start()
            await self._publish_session_retained_messages(session)
            await self._client_message_loop(session, handler)
        finally:
            # amqtt's loop also returns on a forbidden topic, and then leaves the connection as it is (broker.py 762).
            await handler.stop()
            known = self._sessions.get(client_id)
            if known is not None and known[1] is handler:
                session.transitions.disconnect()

    async def _read_connect(self, reader: ReaderAdapter, writer: WriterAdapter) -> tuple[IngestHandler, Session]:
        """Read a bounded CONNECT; amqtt reads whatever length the header says (mqtt/packet.py 84)."""
        first = (await _exactly(reader, 1))[0]
        if first != CONNECT << 4:
            raise ProtocolViolation("[MQTT-3.1.0-1] the first packet is not a CONNECT")
        header = bytearray((first,))
        length = 0
        for index in range(4):
            byte = (await _exactly(reader, 1))[0]
            header.append(byte)
            length |= (byte & 0x7F) << (7 * index)
            if byte < 0x80:  # noqa: PLR2004 - the continuation bit
                break
        else:
            raise ProtocolViolation("a remaining length of more than four bytes")
        if length > MAX_CONNECT_BYTES:
            raise ProtocolViolation(f"a CONNECT of {length} bytes is over the limit of {MAX_CONNECT_BYTES}")
        connect = BufferReader(bytes(header) + await _exactly(reader, length))
        made, session = await IngestHandler.init_from_connect(connect, writer, self.plugins_manager)
        handler = cast("IngestHandler", made)
        handler.ingest, handler.metrics, handler.clock = self._ingest, self._metrics, self._clock
        handler.max_payload, handler.max_packet = self._settings.mqtt_max_payload, self._settings.mqtt_max_packet
        return handler, session

    async def _take_over(self, session: Session) -> Session:
        """The session that this client goes on with; an older connection of the same client ends [MQTT-3.1.4-2]."""
        client_id = session.client_id = session.client_id or gen_client_id()
        session.parent = 0
        known = self._sessions.get(client_id)
        if known is None:
            return session
        previous, previous_handler = known
        await previous_handler.stop()
        previous.transitions.disconnect()
        if session.clean_session or previous.clean_session:
            await self._delete_session(client_id)
            return session
        for name in ("will_flag", "will_message", "will_topic", "will_qos", "will_retain", "keep_alive"):
            setattr(previous, name, getattr(session, name))
        previous.parent = 1
        return previous

    def _refuse(self, reason: str, detail: str, peer: tuple[str, int]) -> None:
        self._metrics.refused.labels(reason).inc()
        _log.warning("connection refused", reason=reason, detail=detail, peer=peer[0])


async def _exactly(reader: ReaderAdapter, count: int) -> bytes:
    if not count:
        return b""
    try:
        data: bytes = await reader.read(count)
    except asyncio.IncompleteReadError as error:
        raise NoDataError("the connection ended before its CONNECT was complete") from error
    return data
