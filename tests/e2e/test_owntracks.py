"""docs/apps.md, as who has OwnTracks follows it: from `make run` to a phone that is counted, and what it did wrong."""

import csv
import json
import queue
import time
from collections.abc import Iterator
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from tests.e2e.system import System, start, wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]
LIMIT_SECONDS = 30.0
TOPIC, LIBRARY = "owntracks/ann-phone/phone", "/v1/zones/glucksman-library/occupancy"


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    settings = {"TOPIC_KINDS": "owntracks/+/+=mobile", "ECHO_REFUSALS": "true"}
    running = start(tmp_path_factory.mktemp("owntracks"), **settings)
    try:
        yield running
    finally:
        running.stop()


class Client:
    """Of somebody who logs in; what comes is in a queue."""

    def __init__(self, system: System, user: str, password: str, *, will: str | None = None) -> None:
        self.messages: queue.Queue[paho.MQTTMessage] = queue.Queue()
        answers: queue.Queue[Any] = queue.Queue()
        client = paho.Client(CallbackAPIVersion.VERSION2, f"{user}phone", clean_session=False)
        client.username_pw_set(user, password)
        if will is not None:
            client.will_set(will, json.dumps({"_type": "lwt", "tst": int(time.time())}), qos=1)
        client.on_connect = lambda _client, _data, _flags, code, _properties: answers.put(code)
        client.on_subscribe = lambda _client, _data, _mid, codes, _properties: answers.put(codes)
        client.on_message = lambda _client, _data, message: self.messages.put(message)
        client.connect("127.0.0.1", system.mqtt_port)
        client.loop_start()
        assert answers.get(timeout=LIMIT_SECONDS) == 0
        self._client, self._answers = client, answers

    def subscribe(self, *filters: str) -> list[int]:
        self._client.subscribe([(each, 1) for each in filters])
        return [code.value for code in self._answers.get(timeout=LIMIT_SECONDS)]

    def publish(self, topic: str, payload: str) -> None:
        sent = self._client.publish(topic, payload, qos=1, retain=True)
        sent.wait_for_publish(LIMIT_SECONDS)
        assert sent.is_published()

    def message(self) -> tuple[str, dict[str, Any]]:
        message = self.messages.get(timeout=LIMIT_SECONDS)
        return message.topic, json.loads(message.payload)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def test_a_phone_with_owntracks_is_counted_and_hears_what_it_did_wrong(system: System) -> None:
    made = system.run("broker", "users", "add", "ann-phone", "--role", "mobile")
    assert made.returncode == 0, made.stderr
    phone = Client(system, "ann-phone", made.stdout.split()[-1], will=TOPIC)
    with (system.data_dir / "demo-users.csv").open() as file:
        [(name, password)] = [(row[0], row[2]) for row in csv.reader(file) if row[1] == "service"]
    service = Client(system, name, password)
    try:
        assert service.subscribe("$SYS/broker/refused/#") == [1]
        assert phone.subscribe("owntracks/+/+", "owntracks/ann-phone/phone/cmd", "devices/ann-phone/refused") == [
            0x80,
            0x80,
            1,
        ]
        location = {"_type": "location", "lat": 52.6733, "lon": -8.5734, "tst": int(time.time()), "acc": 5, "tid": "an"}
        phone.publish(TOPIC, json.dumps(location))
        wait_for(lambda: system.get(LIBRARY).json()["mobile"] == 1, "the phone is in the library")

        phone.publish(TOPIC, json.dumps({"_type": "encrypted", "data": "c2VjcmV0"}))
        topic, told = phone.message()
        assert (topic, told["reason"]) == ("devices/ann-phone/refused", "not_geojson")
        topic, told = service.message()
        assert (topic, told["reason"], told["user"]) == ("$SYS/broker/refused/mobile", "not_geojson", "ann-phone")

        phone.publish(TOPIC, json.dumps(location | {"lat": 52.0, "tst": int(time.time()) + 1}))
        wait_for(lambda: system.get(LIBRARY).json()["mobile"] == 0, "the phone has left")
        phone.publish(f"{TOPIC}/event", json.dumps({"_type": "transition"}))
        phone.publish(TOPIC, "")
        assert system.total("messages") == 3
        assert phone.messages.empty()
        assert service.messages.empty()
    finally:
        phone.close()
        service.close()
