"""MQTT clients from outside, over TCP, TLS and WebSocket, that remember what was acknowledged."""

import ssl
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Self

import pytest
from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

MAX_PACKETS = 65_535
"""Of one sender: each message has a packet identifier of its own."""
WINDOW = 100
LIMIT_SECONDS = 60.0
KEEPALIVE_SECONDS = 15
_LOOK_SECONDS = 0.02
LEAKS = (
    # paho forgets the socket of a handshake (TLS, WebSocket) that fails, as they do while all brokers are away.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
)
"""Marks of the tests that use these clients."""


@dataclass(frozen=True, slots=True)
class Door:
    """One of the public ways in."""

    transport: Literal["tcp", "websockets"]
    port: int
    context: ssl.SSLContext | None = None
    host: str = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class User:
    """Who a client says it is."""

    name: str
    password: str


class Connection:
    """A paho client in a thread of its own, which comes back where its connection breaks, while the context lasts."""

    def __init__(self, door: Door, user: User, name: str, *, clean: bool = True) -> None:
        self.connects = 0
        self.received: list[MQTTMessage] = []
        self._refusal = ""
        self.connected = threading.Event()
        self._subscribed = threading.Event()
        self.client = Client(CallbackAPIVersion.VERSION2, client_id=name, clean_session=clean, transport=door.transport)
        self.client.username_pw_set(user.name, user.password)
        if door.context is not None:
            self.client.tls_set_context(door.context)
        if door.transport == "websockets":
            self.client.ws_set_options(path="/mqtt")
        self.client.max_inflight_messages_set(WINDOW)
        self.client.reconnect_delay_set(1, 1)
        self.client.on_connect = self._on_connect
        self.client.on_disconnect = self._on_disconnect
        self.client.on_message = self._on_message
        self.client.on_subscribe = lambda *_: self._subscribed.set()
        self.client.connect_async(door.host, door.port, KEEPALIVE_SECONDS)

    def __enter__(self) -> Self:
        self.client.loop_start()
        if not self.connected.wait(LIMIT_SECONDS):
            self.close()
            raise AssertionError(f"not let in within {LIMIT_SECONDS:g} s: {self._refusal or 'no answer'}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def subscribe(self, topic: str) -> None:
        """With QoS 1; returns once that is answered."""
        self._subscribed.clear()
        self.client.subscribe(topic, qos=1)
        assert self._subscribed.wait(LIMIT_SECONDS), f"{topic}: no answer within {LIMIT_SECONDS:g} s"

    def close(self) -> None:
        """Disconnect; a second time it does nothing."""
        self.client.disconnect()
        self.client.loop_stop()

    def _on_connect(
        self, client: Client, userdata: object, flags: ConnectFlags, code: ReasonCode, properties: Properties | None
    ) -> None:
        del client, userdata, flags, properties
        if code.is_failure:
            self._refusal = str(code)
            return
        self.connects += 1
        self.connected.set()

    def _on_disconnect(
        self, client: Client, userdata: object, flags: DisconnectFlags, code: ReasonCode, properties: Properties | None
    ) -> None:
        del client, userdata, flags, code, properties
        self.connected.clear()

    def _on_message(self, client: Client, userdata: object, message: MQTTMessage) -> None:
        del client, userdata
        self.received.append(message)


class Sender(Connection):
    """Publishes at QoS 1; no more than WINDOW messages wait for their acknowledgement."""

    def __init__(self, door: Door, user: User, name: str) -> None:
        # A session that persists: what was under way when a node died goes on at another.
        super().__init__(door, user, name, clean=False)
        self._room = threading.Semaphore(WINDOW)
        self._index_of: dict[int, int] = {}
        self._acknowledged: list[int] = []
        self.sent = 0
        self.client.on_publish = self._on_publish

    @property
    def acknowledgements(self) -> int:
        """How many messages were acknowledged so far."""
        return len(self._acknowledged)

    def acknowledged(self) -> set[int]:
        """Which messages were, by the order in which they were given to `publish`, from 0."""
        return {self._index_of[packet] for packet in list(self._acknowledged)}

    def publish(self, topic: str, payload: bytes, *, limit: float = LIMIT_SECONDS) -> None:
        """Send one message as soon as there is room. Raises AssertionError after `limit` seconds without."""
        assert self.sent < MAX_PACKETS
        assert self._room.acquire(timeout=limit), f"after {self.acknowledgements} messages nothing is acknowledged"
        info = self.client.publish(topic, payload, qos=1)
        assert info.rc in {MQTTErrorCode.MQTT_ERR_SUCCESS, MQTTErrorCode.MQTT_ERR_NO_CONN}, info.rc
        self._index_of[info.mid] = self.sent
        self.sent += 1

    def wait(self, limit: float = LIMIT_SECONDS) -> None:
        """Return when all is acknowledged. Raises AssertionError after `limit` seconds."""
        until = time.monotonic() + limit
        while self.acknowledgements < self.sent:
            assert time.monotonic() < until, f"{self.sent - self.acknowledgements} of {self.sent} not acknowledged"
            time.sleep(_LOOK_SECONDS)

    def _on_publish(
        self, client: Client, userdata: object, packet: int, code: ReasonCode, properties: Properties | None
    ) -> None:
        del client, userdata, code, properties
        self._acknowledged.append(packet)
        self._room.release()


class Stream:
    """One message after another through a sender of its own, in a thread, while the context lasts.

    When the context ends well, all messages that were sent are acknowledged; `count` says how many.
    """

    def __init__(self, sender: Sender, message: Callable[[int], tuple[str, bytes]], *, rate: float) -> None:
        """`message` makes topic and payload of a number, from 0; `rate` is a second."""
        self.sender = sender
        self._message = message
        self._rate = rate
        self._stopped = threading.Event()
        self._failure: AssertionError | None = None
        self._thread = threading.Thread(target=self._work, daemon=True)

    @property
    def count(self) -> int:
        return self.sender.sent

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.stop()
        else:
            self._stopped.set()
            self._thread.join()

    def stop(self) -> None:
        """Send no more, and return when all is acknowledged."""
        self._stopped.set()
        self._thread.join()
        if self._failure is not None:
            raise self._failure

    def _work(self) -> None:
        try:
            with self.sender:
                while not self._stopped.wait(1 / self._rate):
                    self.sender.publish(*self._message(self.sender.sent))
                self.sender.wait()
        except AssertionError as error:
            self._failure = error


def send_all(
    doors: Sequence[Door], user: User, name: str, messages: Sequence[tuple[str, bytes]], *, rate: float | None = None
) -> int:
    """Publish messages, shared out among a sender for each door; how many of them were acknowledged, all of them.

    Not faster than `rate` messages a second, where it is given. Fails if not all are acknowledged.
    """
    return run_senders(doors, user, name, messages, rate=rate, beside=lambda _: None)


def run_senders(
    doors: Sequence[Door],
    user: User,
    name: str,
    messages: Sequence[tuple[str, bytes]],
    *,
    rate: float | None,
    beside: Callable[[Callable[[], int]], None],
) -> int:
    """Like `send_all`; `beside` runs meanwhile, in the caller's thread, and can ask how many are acknowledged."""
    senders = [Sender(door, user, f"{name}-{number}") for number, door in enumerate(doors)]
    failures: list[AssertionError] = []

    def work(number: int) -> None:
        sender = senders[number]
        began = time.monotonic()
        try:
            with sender:
                for index, (topic, payload) in enumerate(messages[number :: len(senders)]):
                    if rate is not None:
                        ahead = began + index * len(senders) / rate - time.monotonic()
                        if ahead > 0:
                            time.sleep(ahead)
                    sender.publish(topic, payload)
                sender.wait()
        except AssertionError as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(len(senders))]
    for thread in threads:
        thread.start()
    try:
        beside(lambda: sum(sender.acknowledgements for sender in senders))
    finally:
        for thread in threads:
            thread.join()
    if failures:
        raise failures[0]
    return sum(len(sender.acknowledged()) for sender in senders)
