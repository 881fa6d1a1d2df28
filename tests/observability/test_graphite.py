"""The bridge: Graphite has what Prometheus has, and nothing breaks where one of them is away."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

from deploy.observability.graphite import bridge
from tests.e2e.system import wait_for
from tests.observability.servers import (
    OBSERVABILITY,
    Target,
    answer,
    configuration,
    listening,
    program,
    prometheus,
    running,
)
from tests.ports import free_port

SERVER = OBSERVABILITY / "graphite/server"

TEXT = """# TYPE broker_clients untyped
broker_clients{instance="10.0.0.5:9100",job="broker",node="10.0.0.5"} 7 1700000000000
broker_clients{instance="10.0.0.6:9100",job="broker",node="10.0.0.6"} 9 1700000000000
# TYPE broker_refused_total untyped
broker_refused_total{instance="10.0.0.5:9100",job="broker",node="10.0.0.5",reason="keepalive"} 3 1700000000000
# TYPE decoder_dirty_windows untyped
decoder_dirty_windows{instance="d:9100",job="decoder"} NaN 1700000000000
up{instance="d:9100",job="decoder"} 1 1700000000000
"""


def test_series_are_put_below_their_job_and_node() -> None:
    found = bridge.by_place(TEXT)
    assert {bridge.prefix(place) for place in found} == {
        "campus.broker.10_0_0_5",
        "campus.broker.10_0_0_6",
        "campus.decoder.d_9100",
    }
    samples = {
        (place, sample.name, tuple(sample.labels.items())): sample.value
        for place, told in found.items()
        for family in told.collect()
        for sample in family.samples
    }
    assert samples == {
        (("broker", "10.0.0.5"), "broker_clients", ()): 7,
        (("broker", "10.0.0.6"), "broker_clients", ()): 9,
        (("broker", "10.0.0.5"), "broker_refused_total", (("reason", "keepalive"),)): 3,
        (("decoder", "d:9100"), "up", ()): 1,
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PROMETHEUS_URL", "prometheus:9090"),
        ("GRAPHITE_ADDRESS", "graphite"),
        ("GRAPHITE_ADDRESS", "graphite:0"),
        ("GRAPHITE_ADDRESS", ":2003"),
        ("BRIDGE_EVERY", "0"),
        ("BRIDGE_EVERY", "soon"),
        ("BRIDGE_EVERY", "nan"),
    ],
)
def test_a_setting_that_cannot_work_is_refused_by_its_name(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=f"^{name}: "):
        bridge.settings({name: value})


def test_settings_that_are_empty_are_those_of_the_profile() -> None:
    assert bridge.settings({"GRAPHITE_ADDRESS": ""}) == bridge.Settings("http://prometheus:9090", "graphite", 2003, 60)


@contextmanager
def answering(status: int, body: bytes) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(("status", "body"), [(500, b"no"), (200, b"{ broken"), (200, b"x" * 2_000)])
def test_what_prometheus_should_not_answer_is_a_sentence(
    status: int, body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bridge, "MOST_BYTES", 1_000)
    with answering(status, body) as url:
        said = bridge.once(bridge.Settings(url, "127.0.0.1", free_port(), 1))
    assert said is not None
    assert said.startswith("Prometheus does not say what it has: ")


def test_it_says_each_change_once_and_ends_when_it_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    stop, rounds = threading.Event(), 0

    def monotonic() -> float:
        nonlocal rounds
        rounds += 1
        if rounds == 6:
            stop.set()
        return rounds * 1000.0

    with answering(200, TEXT.encode()) as url:
        bridge.run(bridge.Settings(url, "127.0.0.1", free_port(), 1), stop, monotonic)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["level"], line["service"]) for line in lines] == [("warning", "graphite-bridge")]
    assert lines[0]["event"].startswith("Graphite does not take it: ConnectionRefusedError")


@contextmanager
def carbon(folder: Path, port: int) -> Iterator[None]:
    """A real carbon-cache with our configuration, in a folder of its own."""
    executable = program("carbon-cache", "graphite-carbon")
    text = (SERVER / "carbon.conf").read_text()
    own = {
        "STORAGE_DIR": f"{folder}/",
        "LOCAL_DATA_DIR": f"{folder}/whisper/",
        "CONF_DIR": f"{folder}/",
        "LOG_DIR": f"{folder}/",
        "PID_DIR": f"{folder}/",
        "LINE_RECEIVER_INTERFACE": "127.0.0.1",
        "LINE_RECEIVER_PORT": str(port),
        "PICKLE_RECEIVER_PORT": str(free_port()),
        "CACHE_QUERY_PORT": str(free_port()),
    }
    lines = [line for line in text.splitlines() if line.partition(" = ")[0] not in own]
    (folder / "carbon.conf").write_text("\n".join((*lines, *(f"{name} = {value}" for name, value in own.items()))))
    (folder / "storage-schemas.conf").write_text((SERVER / "storage-schemas.conf").read_text())
    command = [executable, f"--config={folder}/carbon.conf", f"--pidfile={folder}/carbon.pid", "--nodaemon", "start"]
    with running("carbon", command, folder):
        yield


@pytest.mark.observability
@pytest.mark.timeout(300)
def test_graphite_shows_what_prometheus_has_scraped(tmp_path: Path) -> None:
    registry = CollectorRegistry()
    Gauge("broker_clients", "Clients.", registry=registry).set(42)
    Counter("broker_refused", "Refusals.", ["reason"], registry=registry).labels("keepalive").inc(3)
    Histogram("broker_acknowledgement_seconds", "Seconds.", registry=registry).observe(0.5)
    served, metrics_port, line_port = start_http_server(0, "127.0.0.1", registry), 0, free_port()
    server, thread = served
    metrics_port = server.server_port
    whisper = tmp_path / "whisper"
    web = tmp_path / "web"
    web.mkdir()
    try:
        targets = {"broker": [Target("broker-1", f"127.0.0.1:{metrics_port}")]}
        text = configuration(targets, rules=OBSERVABILITY / "prometheus/rules")
        with prometheus(tmp_path, text) as found, carbon(tmp_path, line_port):
            wait_for(lambda: found.values("broker_clients"), "it was scraped", 60)
            wanted = bridge.Settings(found.url, "127.0.0.1", line_port, 1)
            wait_for(lambda: bridge.once(wanted) is None, "carbon takes it", 60)
            below = whisper / "campus/broker/broker-1"
            for series in ("broker_clients.wsp", "broker_refused_total/reason/keepalive.wsp"):
                wait_for((below / series).is_file, f"carbon keeps {series}", 60)
            kept = {str(path.relative_to(below)) for path in below.rglob("*.wsp")}
            assert not [name for name in kept if "bucket" in name or "created" in name]
            with graphite_web(web, tmp_path) as url:
                asked = f"{url}/render?target=campus.broker.*.broker_clients&from=-5min&format=json"
                points = wait_for(lambda: shown(asked), "graphite-web shows it", 60)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert points == {"campus.broker.broker-1.broker_clients": {42.0}}


def shown(url: str) -> dict[str, set[float]]:
    """The values of each series that is rendered; empty while there is none."""
    series = json.loads(answer(url) or "[]")
    found = {each["target"]: {value for value, _ in each["datapoints"] if value is not None} for each in series}
    return {target: values for target, values in found.items() if values}


@contextmanager
def graphite_web(folder: Path, storage: Path) -> Iterator[str]:
    """graphite-web as Debian and our image have it, with what carbon has written to a folder."""
    program("graphite-manage", "graphite-web")
    environment = {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": str(SERVER),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONWARNINGS": "ignore",
        "DJANGO_SETTINGS_MODULE": "graphite.settings",
        "GRAPHITE_SETTINGS_MODULE": "campus_graphite",
        "GRAPHITE_FOLDER": str(storage),
        "GRAPHITE_LOGS": str(folder),
    }
    with listening(
        "gunicorn",
        "gunicorn",
        folder,
        lambda port: [f"--bind=127.0.0.1:{port}", "graphite.wsgi"],
        path="/version/",
        environment=environment,
    ) as port:
        yield f"http://127.0.0.1:{port}"
