"""The subscriber that one would write in an afternoon, in Python.

python -m bench.pipelines.subscriber PORT DATABASE CAMPUS

PORT is that of MQTT, DATABASE the URL of a database of CouchDB, CAMPUS a campus file; COUCHDB_LOGIN is user:password.
paho with a persistent session at QoS 1; base64, JSON, shapely; documents in batches to `_bulk_docs`, tried again for
ever; ids make a position that comes twice one document. What it has taken and not yet written is lost when it is
killed, for paho acknowledges a message as soon as its callback has returned.
"""

import base64
import json
import os
import queue
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import shapely
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

BATCH = 200
WAIT_SECONDS = 0.2
AGAIN_SECONDS = 0.5
Feature = dict[str, Any]


def main() -> None:
    """Run until it is killed."""
    port, url, campus = sys.argv[1:]
    outline = shapely.geometry.shape(outline_of(campus))
    shapely.prepare(outline)

    def document(topic: str, feature: Feature) -> Feature | None:
        longitude, latitude = feature["geometry"]["coordinates"][:2]
        properties = feature["properties"]
        if not outline.covers(shapely.Point(longitude, latitude)):
            return None
        return {"_id": f"{properties['device_id']}:{properties['timestamp']}", "topic": topic, **feature}

    run(int(port), document, lambda batch: _write(url, batch))


def outline_of(campus: str) -> Feature:
    """The geometry of the boundary in a campus file."""
    with open(campus, encoding="utf-8") as opened:  # noqa: PTH123 - an afternoon's work
        features = json.load(opened)["features"]
    geometry: Feature = next(f["geometry"] for f in features if f["properties"].get("role") == "boundary")
    return geometry


def run(
    port: int, document: Callable[[str, Feature], Feature | None], write: Callable[[list[Feature]], object]
) -> None:
    """Make documents of the messages at a port, and write them in batches, for ever; None is no document."""
    found: queue.Queue[Feature] = queue.Queue()

    def take(_client: Client, _data: object, message: MQTTMessage) -> None:
        try:
            made = document(message.topic, json.loads(base64.b64decode(message.payload)))
        except (ValueError, KeyError, TypeError):
            return
        if made is not None:
            found.put(made)

    client = Client(CallbackAPIVersion.VERSION2, client_id="subscriber", clean_session=False)
    client.on_message = take

    @client.connect_callback()
    def subscribe(*_: object) -> None:
        client.subscribe([("car-iotp", 1), ("mobile-iotp", 1)])

    client.connect("127.0.0.1", port)
    client.loop_start()
    while True:
        batch = [found.get()]
        until = time.monotonic() + WAIT_SECONDS
        while len(batch) < BATCH and (left := until - time.monotonic()) > 0:
            try:
                batch.append(found.get(timeout=left))
            except queue.Empty:
                break
        write(batch)


def _write(url: str, batch: list[Feature]) -> None:
    body = json.dumps({"docs": batch}).encode()
    login = base64.b64encode(os.environ["COUCHDB_LOGIN"].encode()).decode()
    headers = {"Content-Type": "application/json", "Authorization": f"Basic {login}"}
    request = urllib.request.Request(f"{url}/_bulk_docs", body, headers)  # noqa: S310 - the store of the benchmark
    while True:
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - likewise
                answer.read()
        except (urllib.error.URLError, OSError):
            time.sleep(AGAIN_SECONDS)
        else:
            return


if __name__ == "__main__":
    main()
