"""Real clients that publish numbers, and remember which of them were acknowledged."""

import threading
from types import TracebackType
from typing import Self

from paho.mqtt.client import Client, ConnectFlags, MQTTMessageInfo
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

MAX_NUMBERS = 65_535
"""Of one client: each has a packet identifier of its own, and there are no more of them."""
RECONNECT_SECONDS = 1
STOP_SECONDS = 10.0


class Allowed:
    """How far publishers may go: they wait with the numbers from there on."""

    def __init__(self, end: int) -> None:
        self._end = end
        self._changed = threading.Condition()

    def up_to(self, end: int) -> None:
        """The numbers below `end` may be published from now on."""
        with self._changed:
            self._end = max(self._end, end)
            self._changed.notify_all()

    def wait_for(self, number: int) -> None:
        """Wait until this number may be published."""
        with self._changed:
            self._changed.wait_for(lambda: number < self._end)


class _Publisher:
    """One paho client, in a thread of its own, and another thread that publishes `numbers` in their order."""

    def __init__(self, *, port: int, name: str, topic: str, numbers: range, window: int, allowed: "Allowed") -> None:
        assert len(numbers) <= MAX_NUMBERS, f"more than {MAX_NUMBERS} messages for one client"
        self.connects = 0
        self.sent = 0
        self._numbers = numbers
        self._topic = topic
        self._room = threading.Semaphore(window)
        self._allowed = allowed
        self._stopped = threading.Event()
        # Its own threads write these, and nobody else; they are read when those have ended.
        self._number_of: dict[int, int] = {}
        self._acknowledged: list[int] = []
        self._client = Client(CallbackAPIVersion.VERSION2, client_id=name, clean_session=False)
        self._client.max_inflight_messages_set(window)
        self._client.reconnect_delay_set(RECONNECT_SECONDS, RECONNECT_SECONDS)
        self._client.on_publish = self._on_publish
        self._client.on_connect = self._on_connect
        self._client.connect_async("127.0.0.1", port)
        self._thread = threading.Thread(target=self._publish, name=name, daemon=True)

    @property
    def acknowledgements(self) -> int:
        return len(self._acknowledged)

    def acknowledged(self) -> set[int]:
        return {self._number_of[packet_id] for packet_id in self._acknowledged}

    def start(self) -> None:
        self._client.loop_start()
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._room.release()
        self._allowed.up_to(MAX_NUMBERS * MAX_NUMBERS)
        self._thread.join(STOP_SECONDS)
        self._client.disconnect()
        self._client.loop_stop()

    def _publish(self) -> None:
        for number in self._numbers:
            self._allowed.wait_for(number)
            self._room.acquire()
            if self._stopped.is_set():
                return
            info: MQTTMessageInfo = self._client.publish(self._topic, str(number).encode(), qos=1)
            assert info.rc in {MQTTErrorCode.MQTT_ERR_SUCCESS, MQTTErrorCode.MQTT_ERR_NO_CONN}, info.rc
            self._number_of[info.mid] = number
            self.sent += 1

    def _on_connect(
        self, client: Client, userdata: object, flags: ConnectFlags, code: ReasonCode, properties: Properties | None
    ) -> None:
        del client, userdata, flags, properties
        self.connects += not code.is_failure

    def _on_publish(
        self, client: Client, userdata: object, packet_id: int, code: ReasonCode, properties: Properties | None
    ) -> None:
        del client, userdata, code, properties
        self._acknowledged.append(packet_id)
        self._room.release()


class Publishers:
    """Several clients that publish the numbers from 0 up to `messages`, each a part of them, while the context lasts.

    No client has more than `window` messages of QoS 1 unacknowledged. With `held` nothing is published before
    `allowed` says so.
    """

    def __init__(self, *, port: int, messages: int, clients: int, window: int, held: bool = False) -> None:
        self.messages = messages
        self.allowed = Allowed(0 if held else messages)
        self._publishers = [
            _Publisher(
                port=port,
                name=f"loss-{client}",
                topic="mobile-iotp" if client % 2 else f"car-iotp/{client}",
                numbers=range(client, messages, clients),
                window=window,
                allowed=self.allowed,
            )
            for client in range(clients)
        ]

    def __enter__(self) -> Self:
        for publisher in self._publishers:
            publisher.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for publisher in self._publishers:
            publisher.stop()

    @property
    def acknowledgements(self) -> int:
        """How many messages are acknowledged."""
        return sum(publisher.acknowledgements for publisher in self._publishers)

    @property
    def under_way(self) -> int:
        """How many messages are published and not acknowledged."""
        acknowledgements = self.acknowledgements
        return max(0, sum(publisher.sent for publisher in self._publishers) - acknowledgements)

    @property
    def connects(self) -> int:
        """How often a client was let in."""
        return sum(publisher.connects for publisher in self._publishers)

    def acknowledged(self) -> set[int]:
        """The numbers that were acknowledged; to be asked when the context has ended."""
        return set().union(*(publisher.acknowledged() for publisher in self._publishers))
