"""A device of `simulator.device`, driven with paho: MQTT over TCP, TLS or WebSocket, and the outline from the API."""

import queue
import random
import ssl
import threading
from collections.abc import Callable
from functools import cache
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from core.clock import Clock, system_clock
from simulator.device import Command, Connect, Device, Disconnect, FetchOutline, Publish, WakeAt
from simulator.fix import Fix
from simulator.zones import Ask, ClosedError, NoOutlineError, ZonesApi

CONNECT_SECONDS = 10.0
"""How long a CONNECT may take."""
KEEPALIVE_SECONDS = 60
PORTS = {"mqtt": 1883, "mqtts": 8883, "ws": 80, "wss": 443}
"""By scheme of a broker's URL."""
Fact = Callable[[], list[Command]]


@cache
def trusting(ca_file: str | None) -> ssl.SSLContext:
    """Whom TLS trusts: the system's authorities, and those of a file. One for all devices: each is large."""
    tls = ssl.create_default_context()
    if ca_file is not None:
        tls.load_verify_locations(ca_file)
    return tls


class DrivenDevice:
    """A device with a connection. A context manager: inside it, it runs on a thread of its own.

    `broker` is a URL of one of `PORTS`, such as `mqtts://campus.example` or `wss://campus.example/mqtt`; `zones` is
    where `GET /v1/zones` is, or what asks for it (`simulator.zones`). `ca_file` says whom TLS trusts, beside the
    system's authorities. `say` is told what is in the way, in a sentence, by any thread. Raises ValueError for a URL
    that is none of these.
    """

    def __init__(
        self,
        device: Device,
        *,
        broker: str,
        zones: str | Ask,
        client_id: str,
        username: str | None = None,
        password: str | None = None,
        ca_file: str | None = None,
        say: Callable[[str], None] = lambda _: None,
        clock: Clock = system_clock,
        chance: Callable[[], float] = random.random,
    ) -> None:
        address = urlsplit(broker)
        if address.scheme not in PORTS or not address.hostname:
            raise ValueError(f"{broker} is no address of MQTT: it begins with one of {', '.join(PORTS)}, and ://")
        self.acknowledged = 0
        """Messages that the server has taken."""
        self._device = device
        self._address = address
        self._client_id = client_id
        self._username = username
        self._password = password
        self._tls = trusting(ca_file)
        self._ask = ZonesApi(zones, self._tls) if isinstance(zones, str) else zones
        self._say = say
        self._clock = clock
        self._chance = chance
        self._facts: queue.SimpleQueue[Fact | None] = queue.SimpleQueue()
        self._has_signal = True
        self._wake_at: int | None = None
        self._client: Client | None = None
        self._packets: dict[int, int] = {}
        self._thread = threading.Thread(target=self._run, name=f"device-{client_id}", daemon=True)

    def __enter__(self) -> Self:
        """Begin."""
        self._facts.put(lambda: self._device.tick(self._clock()))
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End: from now on nothing is sent any more, and what is unsent is forgotten."""
        self.end()
        self._thread.join()

    def end(self) -> None:
        """Begin to end, and wait for nothing: so that of many devices none waits for another."""
        self._facts.put(None)

    def signal(self, *, there: bool) -> None:
        """Whether there is a network. While there is none, the device keeps what it would send. From any thread."""
        self._facts.put(lambda: self._signalled(there=there))

    def fix(self, fix: Fix) -> None:
        """The receiver has a position. From any thread; it is looked at soon."""
        self._facts.put(lambda: self._device.fix(fix, self._clock()))

    def _run(self) -> None:
        while (fact := self._next()) is not None:
            for command in fact():
                self._carry_out(command)
        self._close()

    def _next(self) -> Fact | None:
        wait = None if self._wake_at is None else max(0.0, (self._wake_at - self._clock()) / 1000)
        try:
            return self._facts.get(timeout=wait)
        except queue.Empty:
            now_ms = self._clock()
            # Whoever waits by one clock is early by one that is slower: the time holds unless the device says another.
            if self._wake_at is not None and self._wake_at <= now_ms:
                self._wake_at = None
            return lambda: self._device.tick(now_ms)

    def _carry_out(self, command: Command) -> None:
        match command:
            case Connect() if self._has_signal:
                self._connect()
            case Connect():
                self._facts.put(lambda: self._device.lost(self._clock(), self._chance()))
            case Disconnect():
                self._close()
            case Publish(packet, topic, payload):
                if self._client is not None:
                    self._packets[self._client.publish(topic, payload, qos=1).mid] = packet
            case FetchOutline(etag) if self._has_signal:
                threading.Thread(target=self._fetch, args=(etag,), daemon=True).start()
            case FetchOutline():
                pass  # No answer, which is what there is without a network.
            case WakeAt(at_ms):
                self._wake_at = at_ms

    def _signalled(self, *, there: bool) -> list[Command]:
        had, self._has_signal = self._has_signal, there
        if there or not had:
            return []
        self._close()
        return self._device.lost(self._clock(), self._chance())

    def _connect(self) -> None:
        # A new client each time: it keeps nothing of the one before that it would send by itself.
        over = "websockets" if self._address.scheme in ("ws", "wss") else "tcp"
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._client_id,
            clean_session=False,
            transport=over,  # type: ignore[arg-type] # one of the two that it takes
            reconnect_on_failure=False,
        )
        client.connect_timeout = CONNECT_SECONDS
        if over == "websockets":
            client.ws_set_options(path=self._address.path or "/mqtt")
        if self._address.scheme in ("mqtts", "wss"):
            client.tls_set_context(self._tls)
        if self._username is not None:
            client.username_pw_set(self._username, self._password)

        def on_connect(
            _client: Client, _data: object, _flags: ConnectFlags, reason: ReasonCode, _properties: Properties | None
        ) -> None:
            self._facts.put(lambda: self._let_in(client, reason))

        def on_disconnect(
            _client: Client, _data: object, _flags: DisconnectFlags, reason: ReasonCode, _properties: Properties | None
        ) -> None:
            self._facts.put(lambda: self._lost(client, f"MQTT: {reason}"))

        def on_publish(
            _client: Client, _data: object, mid: int, _reason: ReasonCode, _properties: Properties | None
        ) -> None:
            self._facts.put(lambda: self._acknowledged(client, mid))

        client.on_connect, client.on_disconnect, client.on_publish = on_connect, on_disconnect, on_publish
        self._client = client
        try:
            client.connect(
                str(self._address.hostname), self._address.port or PORTS[self._address.scheme], KEEPALIVE_SECONDS
            )
        except OSError as error:
            problem = f"MQTT: {error}"
            self._facts.put(lambda: self._lost(client, problem))
        else:
            client.loop_start()

    def _let_in(self, client: Client, reason: ReasonCode) -> list[Command]:
        if client is not self._client:
            return []
        if reason.is_failure:
            return self._lost(client, f"MQTT refuses the connection: {reason}")
        return self._device.connected(self._clock())

    def _lost(self, client: Client, problem: str) -> list[Command]:
        if client is not self._client:
            return []
        self._close()
        self._say(problem)
        return self._device.lost(self._clock(), self._chance())

    def _acknowledged(self, client: Client, mid: int) -> list[Command]:
        packet = self._packets.pop(mid, None)
        if client is not self._client or packet is None:
            return []
        self.acknowledged += 1
        return self._device.acknowledged(packet, self._clock())

    def _close(self) -> None:
        client, self._client = self._client, None
        self._packets.clear()
        if client is not None:
            client.disconnect()
            client.loop_stop()

    def _fetch(self, etag: str | None) -> None:
        try:
            answer = self._ask(etag)
        except ClosedError as error:
            self._say(str(error))
            self._facts.put(lambda: self._device.outline(None, None, self._clock()))
        except NoOutlineError as error:
            self._say(str(error))
        else:
            if answer is not None:
                self._facts.put(lambda: self._device.outline(*answer, self._clock()))
