"""An alert that fires reaches a webhook, by a real Prometheus and a real Alertmanager with the product's files."""

import json
import os
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Gauge, start_http_server

from tests.e2e.system import wait_for
from tests.observability.servers import (
    OBSERVABILITY,
    START_SECONDS,
    Target,
    answer,
    configuration,
    program,
    prometheus,
    running,
)
from tests.ports import free_port

START = OBSERVABILITY / "alertmanager/start"
TEMPLATE = OBSERVABILITY / "alertmanager/alertmanager.yml"


def written(folder: Path, url: str) -> subprocess.CompletedProcess[str]:
    """What `start` does with an address; in the place of Alertmanager is a program that does nothing."""
    return subprocess.run(
        [START, TEMPLATE, folder / "made.yml", "true"],
        env={"PATH": os.environ["PATH"], "ALERT_WEBHOOK_URL": url},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


def test_the_address_of_the_webhook_is_put_in_and_for_nobody_else_to_read(tmp_path: Path) -> None:
    assert written(tmp_path, "https://hooks.example.org/T0/B0?key=a&b=c,d").returncode == 0
    text = (tmp_path / "made.yml").read_text()
    assert "  receiver: webhook\n" in text
    assert "url: 'https://hooks.example.org/T0/B0?key=a&b=c,d', send_resolved: true" in text
    assert "webhook.invalid" not in re.sub(r"^#.*$", "", text, flags=re.MULTILINE)
    assert (tmp_path / "made.yml").stat().st_mode & 0o777 == 0o600


def test_without_an_address_alerts_go_nowhere(tmp_path: Path) -> None:
    assert written(tmp_path, "").returncode == 0
    assert "  receiver: nowhere\n" in (tmp_path / "made.yml").read_text()


@pytest.mark.parametrize("url", ["hooks.example.org", "ftp://x", "http://", "http://a b", "http://a'b", "http://a\nb"])
def test_what_is_no_address_is_refused_by_its_name_and_is_not_shown(tmp_path: Path, url: str) -> None:
    done = written(tmp_path, url)
    assert done.returncode == 2
    assert done.stderr.startswith("ALERT_WEBHOOK_URL: ")
    assert url == "http://" or url not in done.stderr
    assert not (tmp_path / "made.yml").exists()


@dataclass(slots=True)
class Webhook:
    """Notes what it is sent."""

    port: int
    got: list[dict[str, Any]] = field(default_factory=list)

    def alerts(self, status: str) -> dict[str, dict[str, Any]]:
        found = [alert for message in self.got for alert in message["alerts"]]
        return {alert["labels"]["alertname"]: alert for alert in found if alert["status"] == status}


@contextmanager
def webhook() -> Iterator[Webhook]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            noted.got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    noted = Webhook(server.server_port)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield noted
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def soon(text: str) -> str:
    """Rules, or the route, without the waits that are right for people."""
    return re.sub(r"\b(for|group_wait|group_interval): \w+", r"\1: 1s", text)


@pytest.mark.observability
@pytest.mark.timeout(300)
def test_an_alert_that_fires_reaches_the_webhook_and_so_does_its_end(tmp_path: Path) -> None:
    rules = tmp_path / "rules"
    rules.mkdir()
    for path in (OBSERVABILITY / "prometheus/rules").glob("*.yml"):
        (rules / path.name).write_text(soon(path.read_text()))
    template = tmp_path / "template.yml"
    template.write_text(soon(TEMPLATE.read_text()))
    registry = CollectorRegistry()
    reached = Gauge("redis_up", "Whether Redis answers.", registry=registry)
    late = Gauge("decoder_oldest_entry_age_seconds", "Age.", ["stream", "group"], registry=registry)
    late.labels("raw:{0}", "observe").set(300)
    server, thread = start_http_server(0, "127.0.0.1", registry)
    executable = program("prometheus-alertmanager", "prometheus-alertmanager")
    port = free_port()
    try:
        with webhook() as hook:
            command = [
                *map(str, (START, template, tmp_path / "alertmanager.yml")),
                *(executable, f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address="),
                f"--storage.path={tmp_path / 'alerts'}",
            ]
            environment = {**os.environ, "ALERT_WEBHOOK_URL": f"http://127.0.0.1:{hook.port}/hook"}
            targets = {"decoder": [Target("decoder", f"127.0.0.1:{server.server_port}")]}
            text = configuration(targets, rules=rules, alertmanager=f"127.0.0.1:{port}")
            with running("alertmanager", command, tmp_path, environment=environment):
                url = f"http://127.0.0.1:{port}/-/ready"
                wait_for(lambda: answer(url), "Alertmanager is ready", START_SECONDS)
                with prometheus(tmp_path, text):
                    wait_for(lambda: "RedisDown" in hook.alerts("firing"), "the webhook hears of it", 120)
                    fired = hook.alerts("firing")["RedisDown"]
                    reached.set(1)
                    wait_for(lambda: "RedisDown" in hook.alerts("resolved"), "the webhook hears of its end", 120)
                    # Counts were late all the time, which was no news while Redis was away.
                    wait_for(lambda: "CountsLate" in hook.alerts("firing"), "the webhook hears of what is left", 120)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert fired["labels"] == {"alertname": "RedisDown", "job": "decoder", "severity": "critical"}
    assert fired["annotations"] == {
        "summary": "No process of decoder reaches Redis, so nothing is acknowledged.",
        "runbook_url": "docs/operating.md#alert-redisdown",
    }
    order = [alert["labels"]["alertname"] for message in hook.got for alert in message["alerts"]]
    assert order.index("RedisDown") < order.index("CountsLate")
