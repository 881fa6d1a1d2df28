"""Keys of Redis that hold what no service of ours wrote: of another type, or of the right one with another content."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from state.key_types import TYPES
from tests.hostile.running import Hostile, device

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]
BAD = b"\xff\xfe not ours"
NEW = "added"
"""For keys of which there is one for each thing: that thing."""
NUMBERED = {
    "raw:{p}": "raw:{0}",
    "positions:{p}": "positions:{0}",
    "presence:": "presence:campus:mobile",
    "presence:{p}:": "presence:{0}:campus:mobile",
    "coverage:": "coverage:1772366400000:mobile",
    "marks:{campus}:": "marks:{campus}:1772366400000",
}


def name_of(key: str, system: Hostile) -> str:
    """A key as it is in Redis; of what belongs to a node or session, one that is there."""
    if key in NUMBERED:
        return NUMBERED[key]
    if not key.endswith(":"):
        return key
    with system.redis() as client:
        found = sorted(each.decode(errors="replace") for each in client.scan_iter(f"{key}*", count=1000))
    return next((each for each in found if "broker-1:" in each or "listener" in each), f"{key}{NEW}")


@contextmanager
def listener(system: Hostile) -> Iterator[list[str]]:
    """A client with a persistent session that hears what is published to `news`."""
    heard: list[str] = []
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="listener", clean_session=False)
    client.on_message = lambda _, __, message: heard.append(message.payload.decode())
    client.on_connect = lambda each, *_: each.subscribe("news", qos=1)
    client.reconnect_delay_set(1, 1)
    client.connect("127.0.0.1", system.system.mqtt_port)
    client.loop_start()
    try:
        yield heard
    finally:
        client.disconnect()
        client.loop_stop()


def goes_on(system: Hostile, round_name: str) -> None:
    """Positions become documents, are counted and asked for; news are heard; every service is ready."""
    before = system.stored() if (system.system.data_dir / "documents.sqlite3").exists() else 0
    # What subscribed before may have been lost with what was there; who comes again is served.
    with device(system, f"phones-{round_name}") as phones, listener(system) as heard:
        phones.publish(10)
        system.wait(lambda: phones.acknowledged == 10, f"{round_name}: positions are acknowledged")

        def hears() -> bool:
            phones._client.publish("news", round_name, qos=1)
            return round_name in heard

        system.wait(hears, f"{round_name}: news are heard")
    system.wait(lambda: system.get("/v1/zones/campus/occupancy").status_code == 200, f"{round_name}: the API answers")
    system.wait(lambda: system.stored() >= before + 10, f"{round_name}: positions become documents")
    system.until_ready()


def put_content(client: Any, name: str, kind: str) -> None:  # noqa: ANN401 - redis-py's types are of no help here
    """Something that nobody of ours wrote, beside what is there."""
    match kind:
        case "stream":
            client.xadd(name, {b"m": BAD, b"w": BAD, b"k": BAD, b"zone": BAD})
        case "hash":
            client.hset(name, BAD, BAD)
            for field in client.hkeys(name)[:2]:
                if field != b"version":
                    client.hset(name, field, BAD)
        case "set":
            client.sadd(name, BAD)
        case "zset":
            client.zadd(name, {BAD: 1, b"inf": "inf", b"low": "-inf"})
        case _:
            client.set(name, BAD)


def test_keys_of_another_type(system: Hostile) -> None:
    goes_on(system, "before")
    for number, (key, kind) in enumerate(TYPES.items()):
        name = name_of(key, system)
        with system.redis() as client:
            client.delete(name)
            if kind == "string":
                client.sadd(name, BAD)
            else:
                client.set(name, BAD)
        goes_on(system, f"{number}-{key}")
        with system.redis() as client:
            if client.type(name).decode() not in {kind, "none"}:
                client.delete(name)
    system.check_nobody_died()


def test_content_that_nobody_of_ours_wrote(system: Hostile) -> None:
    for number, (key, kind) in enumerate(TYPES.items()):
        # The campus waits for somebody: to count by another one would be wrong.
        if key == "campus":
            continue
        name = name_of(key, system)
        with system.redis() as client:
            put_content(client, name, kind)
        goes_on(system, f"{number}+{key}")
        with system.redis() as client:
            client.delete(name)
    system.check_nobody_died()
