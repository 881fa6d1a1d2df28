"""MQTT connections that many devices share, as those of a gateway."""

import secrets
import signal
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Lock
from types import TracebackType
from typing import NamedTuple, Self

from paho.mqtt.client import Client, ConnectFlags
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from simulator.interrupts import Interrupts
from simulator.login import Login
from simulator.publisher import REFUSED_FOR_GOOD

UNDER_WAY = 100
"""Messages of one connection that may wait for their acknowledgement before whoever sends waits, too."""


class Acknowledged(NamedTuple):
    """A message has been acknowledged: what was given to `Links.publish`."""

    device: str
    packet: int


class Refused(NamedTuple):
    """The server does not let this user in, and says why."""

    why: str


class Connected(NamedTuple):
    """One connection more is up."""


Told = Acknowledged | Refused | Connected


class Transport(NamedTuple):
    """What MQTT is carried by."""

    tls: bool = False
    ws: bool = False
    """WebSocket, at the path `/mqtt`."""
    ca: Path | None = None
    """File of the authorities that are trusted; None for those of the system."""


class Links:
    """So many connections. A context manager. What a connection that broke has lost it sends again by itself.

    Inside it Ctrl-C and SIGTERM raise KeyboardInterrupt, but never while the library has one of its locks.
    """

    def __init__(self, count: int, *, host: str, port: int, login: Login, transport: Transport) -> None:
        """Nothing is connected yet."""
        self.under_way = 0
        """Messages that wait for their acknowledgement."""
        self.acknowledged = 0
        self._told: SimpleQueue[Told] = SimpleQueue()
        self._links = [_Link(self._told.put, login, transport) for _ in range(count)]
        self._address = (host, port)
        self._interrupts = Interrupts(signal.SIGTERM)

    def __enter__(self) -> Self:
        """Begin to connect, and go on until it works."""
        self._interrupts.begin()
        try:
            with self._interrupts.held():
                for link in self._links:
                    link.start(*self._address)
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Disconnect, whatever is still waiting."""
        self._close()

    def _close(self) -> None:
        try:
            with self._interrupts.held():
                for link in self._links:
                    link.stop()
        finally:
            self._interrupts.end()

    @property
    def has_room(self) -> bool:
        """Whether there may be one message more under way."""
        return self.under_way < UNDER_WAY * len(self._links)

    def publish(self, device: str, topic: str, payload: bytes, packet: int) -> None:
        """Publish at QoS 1; a device has one connection for ever, so that its messages keep their order."""
        link = self._links[zlib.crc32(device.encode()) % len(self._links)]
        with self._interrupts.held():
            self.under_way += 1
            link.publish(Acknowledged(device, packet), topic, payload)

    def told(self, seconds: float) -> Iterator[Told]:
        """What connections have told since: waits so long for the first, and for none of the others."""
        wait: float | None = seconds if seconds > 0 else None
        while True:
            try:
                one = self._told.get(block=wait is not None, timeout=wait)
            except Empty:
                return
            wait = None
            if isinstance(one, Acknowledged):
                self.under_way -= 1
                self.acknowledged += 1
            yield one


class _Link:
    def __init__(self, tell: Callable[[Told], None], login: Login, transport: Transport) -> None:
        self._tell = tell
        self._lock = Lock()
        self._waiting: dict[int, Acknowledged] = {}
        self._early: set[int] = set()
        self._client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"crowd-{secrets.token_hex(6)}",
            transport="websockets" if transport.ws else "tcp",
        )
        if transport.ws:
            self._client.ws_set_options(path="/mqtt")
        if transport.tls:
            self._client.tls_set(str(transport.ca) if transport.ca else None)
        if login.username is not None:
            self._client.username_pw_set(login.username, login.password)
        self._client.max_inflight_messages_set(UNDER_WAY)
        self._client.reconnect_delay_set(min_delay=1, max_delay=5)
        self._client.on_connect = self._on_connect
        self._client.on_publish = self._on_publish

    def start(self, host: str, port: int) -> None:
        self._client.connect_async(host, port)
        self._client.loop_start()

    def stop(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def publish(self, token: Acknowledged, topic: str, payload: bytes) -> None:
        number = self._client.publish(topic, payload, qos=1).mid
        with self._lock:
            if number in self._early:
                self._early.remove(number)
                self._tell(token)
            else:
                self._waiting[number] = token

    # The library calls these from a thread of its own.

    def _on_connect(
        self, _client: Client, _data: object, _flags: ConnectFlags, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        if not reason.is_failure:
            self._tell(Connected())
        elif str(reason) in REFUSED_FOR_GOOD:
            self._tell(Refused(str(reason).lower()))

    def _on_publish(
        self, _client: Client, _data: object, number: int, _reason: ReasonCode, _properties: Properties | None
    ) -> None:
        with self._lock:
            token = self._waiting.pop(number, None)
            if token is None:
                # It came before `publish` knew the number.
                self._early.add(number)
            else:
                self._tell(token)
