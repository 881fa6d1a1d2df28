"""One PUBLISH in a real Jaeger, and a system whose spans nobody takes."""

import base64
import json
import socket
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt import publish
from prometheus_client.parser import text_string_to_metric_families

from runtime.tracing import trace_id
from tests.conftest import free_port
from tests.e2e.system import BUS, System, start, wait_for
from tests.jaeger.server import jaeger
from tests.observability.servers import answer

pytestmark = [pytest.mark.observability, pytest.mark.timeout(300)]

DEVICE = "phone-of-somebody"
LIBRARY = "/v1/zones/glucksman-library/occupancy"
WANTED = {
    "publish",
    "raw",
    "observe",
    "archive",
    "rollup",
    "GET /v1/zones/{zone}/occupancy",
    "GET /v1/zones/{zone}/occupancy/history",
}


def send(system: System) -> None:
    place = {"type": "Point", "coordinates": [-8.5734, 52.6733]}
    feature = {"type": "Feature", "geometry": place, "properties": {"device_id": DEVICE}}
    payload = base64.b64encode(json.dumps(feature).encode())
    publish.single("mobile-iotp", payload, qos=1, hostname="127.0.0.1", port=system.mqtt_port)


def noted(system: System) -> str | None:
    """The name of the first entry that is traced."""
    with system.redis() as client:
        found: Any = client.xrange("traces:{campus}", count=1)
    return found[0][1][b"o"].decode() if found else None


def outcomes(port: int) -> dict[str, float]:
    text = answer(f"http://127.0.0.1:{port}/metrics") or ""
    return {
        sample.labels["outcome"]: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "traces_spans_total"
    }


def test_one_publish_is_found_with_all_its_parts_up_to_the_answers_that_show_it(tmp_path: Path) -> None:
    with jaeger(tmp_path) as server:
        system = start(tmp_path / "data", TRACES_URL=server.otlp, TRACES_SHARE="1", ROLLUP_EVERY="1")
        try:
            send(system)
            trace = trace_id(wait_for(lambda: noted(system), "the entry is counted"))

            def whole() -> dict[str, Any] | None:
                system.get(LIBRARY)
                system.get(f"{LIBRARY}/history", kind="mobile", window="1m")
                found = server.trace(trace)
                return found if found and {span["operationName"] for span in found["spans"]} >= WANTED else None

            found = wait_for(whole, "Jaeger has all of it", 60)
        finally:
            assert system.stop() == 0
    spans = {span["operationName"]: span for span in found["spans"]}
    services = {name: found["processes"][span["processID"]]["serviceName"] for name, span in spans.items()}
    assert {name: service for name, service in services.items() if service != "decoder"} == {
        "GET /v1/zones/{zone}/occupancy": "api",
        "GET /v1/zones/{zone}/occupancy/history": "api",
    }
    above = {
        name: [(each["refType"], each["spanID"]) for each in span["references"] if each["traceID"] == trace]
        for name, span in spans.items()
    }
    assert above.pop("publish") == []
    assert set(map(tuple, above.values())) == {(("CHILD_OF", spans["publish"]["spanID"]),)}
    begins = [spans[name]["startTime"] for name in ("publish", "raw", "observe", "archive")]
    assert begins == sorted(begins)
    told = json.dumps(found)
    for word in (DEVICE, "glucksman", "8.57", "52.67", "mobile"):
        assert word not in told


def test_where_nobody_takes_spans_all_is_counted_as_ever_and_they_are_dropped(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        ops, url = free_port(), f"http://127.0.0.1:{silent.getsockname()[1]}"
        system = start(tmp_path / "data", TRACES_URL=url, TRACES_SHARE="1", DECODER_OPS_PORT=str(ops), ROLLUP_EVERY="1")
        try:
            replayed = system.run("simulator", "replay", str(BUS), "--kind", "car", "--speed", "max")
            assert "sent 2144, acknowledged 2144" in replayed.stdout, replayed.stderr
            system.wait_until_done(60)
            assert system.run("documents", "count").stdout.strip() == "80"
            wait_for(lambda: outcomes(ops).get("failed"), "spans are dropped", 60)
            words = "spans are dropped: TRACES_URL does not take them"
            wait_for(lambda: words in system.text, "the log says so")
            assert wait_for(lambda: outcomes(ops), "the decoder shows its metrics")["sent"] == 0
        finally:
            assert system.stop() == 0
