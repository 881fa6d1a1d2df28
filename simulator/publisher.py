"""An MQTT connection that loses nothing: QoS 1, a bounded window, and a new connection where one breaks."""

import secrets
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from simulator.interrupts import Interrupts

WINDOW = 200
"""Messages that may wait for their acknowledgement: enough to fill the line, little enough to hold in memory."""
CONNECT_SECONDS = 10.0
"""How long the first connection may take."""
RECONNECT_SECONDS = 60.0
"""How long a lost connection may stay away."""
REFUSED_FOR_GOOD = {"Bad user name or password", "Not authorized", "Unsupported protocol version"}
"""Answers to a CONNECT that another attempt does not change."""
_LOOK_SECONDS = 0.5


class NotConnectedError(Exception):
    """The server does not answer, or refuses; the message is one sentence that says what to check."""


class LoginRefusedError(NotConnectedError):
    """The server answers, and does not let this user in."""


class Publisher:
    """Publishes at QoS 1. A context manager: inside it there was a connection at least once.

    What was not acknowledged when a connection broke is sent again on the next one, so the other side may see it twice.
    """

    def __init__(
        self,
        *,
        host: str,
        port: int,
        username: str | None = None,
        password: str | None = None,
        window: int = WINDOW,
        connect_seconds: float = CONNECT_SECONDS,
        reconnect_seconds: float = RECONNECT_SECONDS,
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        """`elapsed` is a clock in seconds that never goes back."""
        self.sent = 0
        """Messages given to `publish`."""
        self.acknowledged = 0
        """Those of them whose PUBACK has come."""
        self._address = f"{host}:{port}"
        self._window = window
        self._connect_seconds = connect_seconds
        self._reconnect_seconds = reconnect_seconds
        self._elapsed = elapsed
        self._changed = threading.Condition()
        self._interrupts = Interrupts()
        self._connected = False
        self._away_since = elapsed()
        self._refusal: str | None = None
        # A clean session: the library itself sends again what was not acknowledged, and no session stays behind.
        self._client = Client(CallbackAPIVersion.VERSION2, client_id=f"replay-{secrets.token_hex(6)}")
        self._client.max_inflight_messages_set(window)
        self._client.reconnect_delay_set(min_delay=1, max_delay=5)
        if username is not None:
            self._client.username_pw_set(username, password)
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_publish = self._on_publish
        self._client.connect_async(host, port)

    def __enter__(self) -> Self:
        """Connect. Raises NotConnectedError."""
        self._away_since = self._elapsed()
        self._interrupts.begin()
        try:
            with self._interrupts.held(), self._changed:
                self._client.loop_start()
                self._wait_until(lambda: self._connected, limit=self._connect_seconds)
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Disconnect, whatever is still waiting for its acknowledgement."""
        self._close()

    def publish(self, topic: str, payload: bytes) -> None:
        """Send one message as soon as there is room in the window. Raises NotConnectedError."""
        with self._interrupts.held():
            with self._changed:
                self._wait_until(lambda: self.sent - self.acknowledged < self._window, limit=self._reconnect_seconds)
                self.sent += 1
            # Outside the lock: the library calls `_on_publish` with locks of its own in hand.
            self._client.publish(topic, payload, qos=1)

    def wait_for_acknowledgements(self, progress: Callable[[], None]) -> None:
        """Return when everything sent is acknowledged; call `progress` now and then. Raises NotConnectedError."""
        while (known := self.acknowledged) < self.sent:
            self._wait_for_more_than(known)
            progress()

    def _wait_for_more_than(self, acknowledged: int) -> None:
        with self._interrupts.held(), self._changed:
            self._wait_until(lambda: self.acknowledged > acknowledged, limit=self._reconnect_seconds)

    def _wait_until(self, true: Callable[[], bool], *, limit: float) -> None:
        while not true():
            if self._refusal is not None:
                raise LoginRefusedError(f"MQTT at {self._address} refuses the connection: {self._refusal}")
            if not self._connected and self._elapsed() - self._away_since > limit:
                raise NotConnectedError(
                    f"no MQTT connection to {self._address} within {limit:g} s: "
                    "is `make run` up, and is MQTT_PORT the port that it uses?"
                )
            self._changed.wait(_LOOK_SECONDS)
            self._interrupts.check()

    def _close(self) -> None:
        try:
            with self._interrupts.held():
                self._client.disconnect()
                self._client.loop_stop()
        finally:
            self._interrupts.end()

    # The library calls these from a thread of its own.

    def _on_connect(
        self, _client: Client, _data: object, _flags: ConnectFlags, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        with self._changed:
            self._connected = not reason.is_failure
            if str(reason) in REFUSED_FOR_GOOD:
                self._refusal = str(reason).lower()
            self._changed.notify_all()

    def _on_disconnect(
        self,
        _client: Client,
        _data: object,
        _flags: DisconnectFlags,
        _reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        with self._changed:
            if self._connected:
                self._away_since = self._elapsed()
            self._connected = False

    def _on_publish(
        self, _client: Client, _data: object, _mid: int, _reason: ReasonCode, _properties: Properties | None
    ) -> None:
        with self._changed:
            self.acknowledged += 1
            self._changed.notify_all()
