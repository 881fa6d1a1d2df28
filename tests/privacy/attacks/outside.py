"""The same from outside: somebody listens to a running system, over HTTP and MQTT, and puts five devices everywhere."""

import base64
import json
import random
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import paho.mqtt.client as mqtt
import shapely
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

from core.clock import format_rfc3339, system_clock
from tests.e2e.system import System, wait_for
from tests.privacy.attacks.outcome import Outcome, Scores, outcome

OWN = 5
ROUNDS = 5
LIMIT_SECONDS = 120.0
SYS = "$SYS/broker/messages/received"
Json = Any


class Listener:
    """Who follows the stream of events and all topics that may be followed, and logs in as nobody."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._lock = threading.Lock()
        self._told = Counter[tuple[str, str]]()
        self.counts: dict[tuple[str, str], int | None] = {}
        """The newest by stream or mirror and zone; None where withheld."""
        self.figures: list[bytes] = []
        """What brokers say of the messages that they received."""

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Until the end of the block."""
        stop = threading.Event()
        stream = threading.Thread(target=self._follow, args=[stop], daemon=True)
        client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="who-listens")
        subscribed = threading.Event()
        client.on_message = self._message
        client.on_subscribe = lambda *_: subscribed.set()
        client.connect("127.0.0.1", self._system.mqtt_port)
        client.loop_start()
        stream.start()
        client.subscribe([("v1/#", 1), ("$SYS/#", 0)])
        try:
            assert subscribed.wait(LIMIT_SECONDS)
            yield
        finally:
            stop.set()
            client.disconnect()
            client.loop_stop()
            stream.join(LIMIT_SECONDS)

    def take(self) -> Counter[tuple[str, str]]:
        """How often something was told of each zone since the last time, by stream or mirror."""
        with self._lock:
            told, self._told = self._told, Counter()
        return told

    def _follow(self, stop: threading.Event) -> None:
        with httpx.stream("GET", f"{self._system.url}/v1/events", timeout=LIMIT_SECONDS) as answer:
            event = ""
            for line in answer.iter_lines():
                if stop.is_set():
                    return
                name, _, value = line.partition(": ")
                if name == "event":
                    event = value
                elif name == "data":
                    body = json.loads(value)
                    for zone in body["zones"] if event == "snapshot" else [body] if event == "occupancy" else []:
                        self._note("stream", zone)

    def _message(self, _: mqtt.Client, __: object, message: mqtt.MQTTMessage) -> None:
        if message.topic == SYS:
            self.figures.append(bytes(message.payload))
        elif message.topic.endswith("/occupancy") and message.topic != "v1/occupancy":
            self._note("mirror", json.loads(message.payload))

    def _note(self, by: str, zone: Json) -> None:
        with self._lock:
            self._told[by, zone["zone"]] += 1
            self.counts[by, zone["zone"]] = zone["mobile"]


def places(system: System) -> dict[str, tuple[float, float]]:
    """A place in each zone that lies in no other one."""
    features = system.get("/v1/zones").json()["features"]
    shapes = {each["id"]: shapely.geometry.shape(each["geometry"]) for each in features if each["id"] != "campus"}
    points = {zone: shape.representative_point() for zone, shape in shapes.items()}
    alone = {zone: point for zone, point in points.items() if sum(map(point.within, shapes.values())) == 1}
    return {zone: (point.x, point.y) for zone, point in alone.items()}


def publish(system: System, devices: dict[str, tuple[float, float]]) -> None:
    """As nobody, over MQTT; until all of them are counted."""
    before = system.total("positions")
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="who-sends")
    connected = threading.Event()

    def on_connect(*given: object) -> None:
        assert isinstance(given[3], ReasonCode)
        if not given[3].is_failure:
            connected.set()

    client.on_connect = on_connect
    client.connect("127.0.0.1", system.mqtt_port)
    client.loop_start()
    assert connected.wait(LIMIT_SECONDS)
    now = format_rfc3339(system_clock())
    for device, place in devices.items():
        feature = {
            "type": "Feature",
            "geometry": {"type": "Point", "coordinates": place},
            "properties": {"device_id": device, "timestamp": now, "accuracy": 3},
        }
        sent = client.publish("mobile-iotp", base64.b64encode(json.dumps(feature).encode()), qos=1)
        sent.wait_for_publish(LIMIT_SECONDS)
        assert sent.is_published()
    client.disconnect()
    client.loop_stop()
    wait_for(lambda: system.total("positions") >= before + len(devices), "all are counted", LIMIT_SECONDS)
    system.wait_until_done(LIMIT_SECONDS)


def play(system: System, *, is_open: bool) -> tuple[list[Outcome], list[bytes]]:
    """What the attack comes to; and what brokers said of how many messages they had received."""
    rng = random.Random(1)  # noqa: S311 - the same at every run
    grounds = places(system)
    expected = OWN * len(grounds)
    arrived: list[Scores] = []
    others: list[Scores] = []
    publish(system, {f"own-{zone}-{n}": place for zone, place in grounds.items() for n in range(OWN)})
    listener = Listener(system)
    with listener.listening():
        _settle(system, listener, expected if is_open else None)
        for number in range(ROUNDS):
            coins = [at % 2 == 0 for at in range(len(grounds))]
            rng.shuffle(coins)
            came = dict(zip(grounds, coins, strict=True))
            before = _look(system)
            listener.take()
            publish(system, {f"phone-{number}-{zone}": grounds[zone] for zone in grounds if came[zone]})
            expected += sum(coins)
            _settle(system, listener, expected if is_open else None)
            after, told = _look(system), listener.take()
            for zone in grounds:
                (arrived if came[zone] else others).append(_scores(zone, before, after, told))
    return [outcome("five own devices, then one, from outside", arrived, others)], listener.figures


def _settle(system: System, listener: Listener, campus: int | None) -> None:
    """Until all that follows has been told: so many on the campus, or two more slots."""
    if campus is not None:
        told = [("stream", "campus"), ("mirror", "campus")]
        wait_for(lambda: all(listener.counts.get(each) == campus for each in told), "all is told", LIMIT_SECONDS)
        return
    seen = {system.get("/v1/occupancy").json()["last_updated"]}

    def two_more() -> bool:
        seen.add(system.get("/v1/occupancy").json()["last_updated"])
        return len(seen) > 2

    wait_for(two_more, "two more slots", LIMIT_SECONDS)


def _look(system: System) -> dict[str, tuple[Json, Json]]:
    """By zone: what is told now, and its last minute in history."""
    now = {each["zone"]: each for each in system.get("/v1/occupancy").json()["zones"]}
    history = system.get("/v1/occupancy/history", kind="mobile", window="1m").json()
    return {each["zone"]: (now[each["zone"]], each) for each in history["zones"]}


def _scores(zone: str, before: Any, after: Any, told: Counter[tuple[str, str]]) -> Scores:  # noqa: ANN401 - looks
    (now, history), (then, known) = after[zone], before[zone]
    return {
        "more in the zone": (now["mobile"] or 0) - (then["mobile"] or 0),
        "observed_at": now["observed_at"] != then["observed_at"],
        "last": history["last"] != known["last"],
        "devices": _sum(history) - _sum(known),
        "events of the zone": told["stream", zone],
        "messages of the zone": told["mirror", zone],
    }


def _sum(history: Json) -> int:
    return sum(point["devices"] or 0 for point in history["points"])
