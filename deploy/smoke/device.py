"""The device of the smoke test: one MQTT connection, one message at QoS 1, and gone."""

import secrets
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from paho.mqtt.client import Client, ConnectFlags, WebsocketConnectionError
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from deploy.smoke.addresses import Address
from deploy.smoke.failed import CheckFailedError
from deploy.smoke.reasons import why

_LOOK_SECONDS = 0.1
_REFUSALS = {
    "Bad user name or password": "the broker refused the password, or does not know the user",
    "Not authorized": "the broker lets nobody in without a user: give --username and its password",
    "Server unavailable": "the broker says that it cannot work now: its /readyz says why, most often Redis is away",
}


@dataclass(frozen=True, slots=True)
class Login:
    """An MQTT user and its password; both None for an anonymous client."""

    username: str | None = None
    password: str | None = field(default=None, repr=False)


class Device:
    """Publishes one message, without a thread of its own, and without a second attempt: the first one must work."""

    def __init__(
        self,
        address: Address,
        login: Login,
        *,
        tls: ssl.SSLContext,
        limit: float,
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        """`limit` is how many seconds connecting, and being acknowledged, may take each."""
        self._address = address
        self._limit = limit
        self._elapsed = elapsed
        self._answer: ReasonCode | None = None
        self._acknowledged = False
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"smoke-{secrets.token_hex(6)}",
            transport="websockets" if address.websocket else "tcp",
        )
        if address.websocket:
            client.ws_set_options(path=address.path)
        if address.tls:
            client.tls_set_context(tls)
        if login.username is not None:
            client.username_pw_set(login.username, login.password)
        client.connect_timeout = limit
        client.on_connect = self._on_connect
        client.on_publish = self._on_publish
        self._client = client

    def publish(self, topic: str, payload: bytes) -> None:
        """Connect, publish, wait for the acknowledgement, disconnect. Raises Failed."""
        self._connect()
        self._client.publish(topic, payload, qos=1)
        self._wait_until(
            lambda: self._acknowledged,
            unanswered="does not acknowledge the message: a broker does so once Redis has it, so look at both",
            closed="closed the connection instead of acknowledging the message",
        )
        self._client.disconnect()

    def _connect(self) -> None:
        try:
            self._client.connect(self._address.host, self._address.port)
        except WebsocketConnectionError as error:
            raise self._failed(f"answers, but not as MQTT over WebSocket at {self._address.path} ({error})") from error
        except OSError as error:
            raise self._failed(f"no connection: {why(error)}") from error
        self._wait_until(
            lambda: self._answer is not None,
            unanswered="takes the connection, but does not answer a CONNECT",
            closed="closed the connection without an answer: is this the port, and the kind of address, for MQTT?",
        )
        if self._answer is not None and self._answer.is_failure:
            said = str(self._answer)
            raise self._failed(_REFUSALS.get(said, f"the broker refused the connection: {said.lower()}"))

    def _wait_until(self, true: Callable[[], bool], *, unanswered: str, closed: str) -> None:
        until = self._elapsed() + self._limit
        while not true():
            code = self._client.loop(_LOOK_SECONDS)
            # What a CONNACK refuses is closed as well, and the reason is the better answer.
            if code != MQTTErrorCode.MQTT_ERR_SUCCESS and not true():
                raise self._failed(closed)
            if self._elapsed() > until:
                raise self._failed(f"{unanswered} ({self._limit:g} s)")

    def _failed(self, what: str) -> CheckFailedError:
        return CheckFailedError(f"MQTT at {self._address}: {what}")

    def _on_connect(
        self, _client: Client, _data: object, _flags: ConnectFlags, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        self._answer = reason

    def _on_publish(
        self, _client: Client, _data: object, _mid: int, _reason: ReasonCode, _properties: Properties | None
    ) -> None:
        self._acknowledged = True
