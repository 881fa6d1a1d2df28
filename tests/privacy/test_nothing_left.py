"""After an erasure over REST no file of a running system holds anything of the device."""

import asyncio
import base64
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from core.clock import format_rfc3339, system_clock
from runtime.devices import DeviceHasher, device_key
from runtime.epochs import DeviceKey
from runtime.settings import KeysSettings
from state.device_keys import DeviceKeys
from state.keys_redis import open_keys_redis
from tests.e2e.system import System, start, wait_for
from tests.kinds_of_tests import CAR
from tests.privacy.searching import forms, found_in

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
DEVICE = "van-of-a-certain-person"
OTHERS = [f"bus-{number}" for number in range(12)]
ON_CAMPUS = (-8.5722, 52.6738)
OUTSIDE = (-8.6305, 52.6650)
EACH = 40
"""Positions of each device: enough for the pages of the documents' file to be split many times."""


@pytest.fixture(params=["open", "protected"])
def system(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[System]:
    # Nothing but the erasure rewrites Redis's file.
    running = start(tmp_path / "data", FORGET_AFTER="100000", PRIVACY=request.param)
    yield running
    assert running.stop() == 0


def feature(device: str, place: tuple[float, float], at: int, **properties: Any) -> bytes:
    body = {
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": place},
        "properties": {"device_id": device, "timestamp": format_rfc3339(at), **properties},
    }
    return base64.b64encode(json.dumps(body).encode())


def publish(system: System, payloads: list[bytes]) -> None:
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="gateway-of-a-test")
    client.max_inflight_messages_set(100)
    client.connect("127.0.0.1", system.mqtt_port)
    client.loop_start()
    sent = [client.publish("car-iotp", payload, qos=1) for payload in payloads]
    for each in sent:
        each.wait_for_publish(60)
        assert each.is_published()
    client.disconnect()
    client.loop_stop()


async def keys_of(system: System) -> list[DeviceKey]:
    async with open_keys_redis(KeysSettings(data_dir=system.data_dir), "api") as client:
        return await DeviceKeys(client).read()


def test_after_an_erasure_no_file_holds_its_id_its_hashes_or_where_it_was(system: System) -> None:
    chance = random.Random(19)  # noqa: S311 - the same places every time
    now = system_clock()
    mine = [
        (ON_CAMPUS[0] + chance.uniform(-5e-4, 5e-4), ON_CAMPUS[1] + chance.uniform(-2e-4, 2e-4)) for _ in range(EACH)
    ]
    payloads = [feature(DEVICE, place, now - 60_000 * (number + 2)) for number, place in enumerate(mine)]
    payloads += [
        feature(
            other, (ON_CAMPUS[0] + chance.uniform(-5e-4, 5e-4), ON_CAMPUS[1]), now - chance.randrange(60_000, 3_600_000)
        )
        for other in OTHERS
        for _ in range(EACH)
    ]
    payloads.append(feature(DEVICE, outside := (OUTSIDE[0] + chance.random() / 100, OUTSIDE[1]), now - 90_000))
    payloads.append(feature(DEVICE, unused := (ON_CAMPUS[0], ON_CAMPUS[1] + chance.random() / 1e5), now, speed="fast"))
    chance.shuffle(payloads)
    publish(system, payloads)
    system.wait_until_done(120)

    is_open = system.environment["PRIVACY"] == "open"
    hasher = DeviceHasher(device_key(None, system.data_dir / "device.key"), rotates=not is_open)
    if not is_open:
        hasher.take_up(asyncio.run(keys_of(system)), destroyed_until=0)
    hashes = [
        hasher.hash(CAR, DEVICE, source="" if is_open else "anonymous", at=at) for at in (now - 60_000 * EACH, now)
    ]
    hashed = hashes[-1]
    names = [DEVICE, *dict.fromkeys(hashes), *map(hasher.away, dict.fromkeys(hashes))]
    coordinates = [mine[0][0], mine[0][1], *mine[-1], unused[1], outside[0]]
    wanted = forms(names, coordinates)

    before = found_in(system.data_dir, wanted)
    # The search can find: what is to be gone is there, in the files that the erasure has to reach.
    assert hashed in {what for path, what in before if path.startswith("documents.sqlite3")}
    if is_open:
        assert [what for path, what in before if path.startswith("redis/") and f"{DEVICE}, in base64" in what]
    assert {repr(mine[0][0]), repr(mine[0][1])} <= {what for _, what in before}

    key = (system.data_dir / "demo-api-key").read_text().strip()
    answer = httpx.delete(
        f"{system.url}/v1/devices/{quote(DEVICE)}/positions", headers={"Authorization": f"Bearer {key}"}, timeout=120
    )
    assert answer.status_code == 200, answer.text
    erased = answer.json()
    assert (erased["documents"], erased["dead_letters"]) == (EACH, 1)
    left = [] if is_open else ["Nobody can tell which positions of before"]
    assert [told[:41] for told in erased["cannot_reach"]] == left

    # Redis removes the file that it has replaced in a thread of its own.
    wait_for(lambda: not found_in(system.data_dir, wanted), "nothing is left", 60)
    assert system.run("documents", "count").stdout.strip() == str(EACH * len(OTHERS))
    with system.redis() as client:
        for name in client.scan_iter(count=1000):
            kept = client.dump(name)
            assert not any(text in name or text in (kept or b"") for text in wanted.values()), name


def test_the_search_finds_each_form_wherever_it_begins(tmp_path: Path) -> None:
    wanted = forms(["van"], [-8.5722])
    (tmp_path / "nothing").write_bytes(bytes(range(256)) * 4)
    assert found_in(tmp_path, wanted) == set()
    for what, text in wanted.items():
        (tmp_path / "a").mkdir(exist_ok=True)
        (tmp_path / "a" / "file").write_bytes(b"\xff" * 5 + text + b"\0")
        assert ("a/file", what) in found_in(tmp_path, wanted)
    for before in range(3):
        packed = base64.b64encode(b"{" * before + b"van of a person")
        (tmp_path / "a" / "file").write_bytes(packed)
        assert ("a/file", f"van, in base64 {before} bytes in") in found_in(tmp_path, wanted)
