"""Every panel of every dashboard has data, in a Prometheus that has scraped the running system."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from typing import Any

import httpx
import pytest

from tests.conftest import free_port, missing
from tests.e2e.system import BUS, System, start, wait_for
from tests.influxd.server import InfluxServer, influxd_executable
from tests.observability.servers import (
    OBSERVABILITY,
    ROOT,
    Prometheus,
    Target,
    configuration,
    listening,
    prometheus,
)

pytestmark = [pytest.mark.observability, pytest.mark.timeout(600)]

OPS = {
    "broker": {"broker-1": "BROKER_1_OPS_PORT", "broker-2": "BROKER_2_OPS_PORT"},
    "decoder": {"decoder": "DECODER_OPS_PORT"},
    "api": {"api": "API_OPS_PORT"},
    "haproxy": {"haproxy": "HAPROXY_OPS_PORT"},
}
WITHOUT = {
    ("stores", "couchdb"): "CouchDB cannot be had where the tests run; its double has no /_node/_local/_prometheus",
}
"""Panels without data, by page and a word of their query, and why."""
OF_INFLUXDB = 'job="influxdb"'
PANELS = [
    pytest.param(path.stem, target["expr"], id=f"{path.stem}: {panel['title']}: {target['refId']}")
    for path in sorted((OBSERVABILITY / "grafana").glob("*.json"))
    for panel in json.loads(path.read_text())["panels"]
    for target in panel.get("targets", [])
]


@pytest.fixture(scope="module")
def influx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InfluxServer | None]:
    executable = influxd_executable()
    if executable is None:
        if os.environ.get("CI") == "true":
            missing("InfluxDB", "make influxd")
        yield None  # its panels alone are skipped
        return
    server = InfluxServer(executable, tmp_path_factory.mktemp("influxd"))
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="module")
def system(influx: InfluxServer | None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    folder = tmp_path_factory.mktemp("system")
    certificate = folder / "certificate"
    certificate.mkdir()
    subprocess.run([ROOT / "haproxy/certificate", certificate, "localhost"], check=True, capture_output=True)
    settings = {
        **(influx.environment if influx else {}),
        **{name: str(free_port()) for names in OPS.values() for name in names.values()},
        "STAGES": "observe,archive,rollup,judge",
        "TLS_CERTIFICATE": str(certificate / "server.pem"),
        "MQTTS_PORT": str(free_port()),
        "HTTPS_PORT": str(free_port()),
    }
    running_system = start(folder / "data", **settings)
    yield running_system
    assert running_system.stop() == 0


@pytest.fixture(scope="module")
def scraped(
    system: System, influx: InfluxServer | None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Prometheus]:
    folder = tmp_path_factory.mktemp("prometheus")
    with ExitStack() as servers:
        redis = servers.enter_context(
            listening(
                "prometheus-redis-exporter",
                "prometheus-redis-exporter",
                folder,
                lambda port: [
                    f"--redis.addr=unix://{system.data_dir / 'redis.sock'}",
                    "--redis.user=exporter",
                    f"--redis.password={(system.data_dir / 'secrets' / 'redis' / 'exporter').read_text().strip()}",
                    f"--web.listen-address=127.0.0.1:{port}",
                ],
            )
        )
        node = servers.enter_context(
            listening(
                "prometheus-node-exporter",
                "prometheus-node-exporter",
                folder,
                lambda port: [f"--web.listen-address=127.0.0.1:{port}"],
            )
        )
        blackbox = servers.enter_context(
            listening(
                "prometheus-blackbox-exporter",
                "prometheus-blackbox-exporter",
                folder,
                lambda port: [
                    f"--config.file={OBSERVABILITY / 'blackbox/blackbox.yml'}",
                    f"--web.listen-address=127.0.0.1:{port}",
                ],
            )
        )
        targets = {
            job: [Target(node, f"127.0.0.1:{system.environment[port]}") for node, port in ports.items()]
            for job, ports in OPS.items()
        }
        targets["redis"] = [Target("redis", f"127.0.0.1:{redis}")]
        targets["node"] = [Target("machine", f"127.0.0.1:{node}")]
        if influx is not None:
            targets["influxdb"] = [Target("influxdb", f"127.0.0.1:{influx.port}")]
        targets["certificate"] = [Target("mqtts", f"127.0.0.1:{system.environment['MQTTS_PORT']}")]
        text = configuration(targets, rules=OBSERVABILITY / "prometheus/rules", blackbox=f"127.0.0.1:{blackbox}")
        found = servers.enter_context(prometheus(folder, text))

        def all_answer() -> bool:
            return len(found.values("up == 1")) == sum(map(len, targets.values()))

        wait_for(all_answer, "each target was scraped", 60)
        _traffic(system)
        yield found


@pytest.fixture(scope="module")
def without_data(scraped: Prometheus, influx: InfluxServer | None) -> set[str]:
    """The queries without data. What was sent a moment ago is in the next scrapes, so they are asked for a while."""
    lacking = {str(panel.values[1]) for panel in PANELS}
    hopeless = {str(expr) for page, expr in (panel.values for panel in PANELS) if exception(str(page), str(expr))}
    hopeless |= {expr for expr in lacking if influx is None and OF_INFLUXDB in expr}

    def asked_again() -> bool:
        nonlocal lacking
        with ThreadPoolExecutor(8) as side_by_side:
            each = sorted(lacking)
            found = side_by_side.map(lambda expr: has_data(scraped, expr), each)
            lacking = {expr for expr, has in zip(each, found, strict=True) if not has}
        return lacking <= hopeless

    with suppress(AssertionError):
        wait_for(asked_again, "each panel has data", 30)
    return lacking


def _traffic(system: System) -> None:
    """Something of all that panels show: positions, garbage, logins, questions to the API."""
    done = system.run("simulator", "replay", str(BUS), "--speed", "max")
    assert done.returncode == 0, done.stderr
    done = system.run("simulator", "misbehave", "--api", system.url, "--only", "garbage")
    assert done.returncode == 0, done.stderr
    for path in ("/v1/zones", "/v1/occupancy", "/v1/nothing", "/healthz"):
        system.get(path)
    zone = system.get("/v1/zones").json()["features"][0]["id"]
    httpx.get(f"{system.url}/v1/zones/{zone}/history", params={"window": "1h"})
    system.wait_until_done(60)


def asked(expr: str) -> str:
    """A query of a panel as Grafana sends it, with all jobs and nodes."""
    assert not re.search(r"\$(?!job\b|node\b|__rate_interval\b)", expr), expr
    return expr.replace("$__rate_interval", "5m").replace("$job", ".*").replace("$node", ".*")


def has_data(found: Prometheus, expr: str) -> bool:
    return any(value == value for value in found.values(asked(expr)))  # noqa: PLR0124 - not NaN


def exception(page: str, expr: str) -> str | None:
    """Why a panel cannot have data here; None where it must."""
    return next((why for (where, word), why in WITHOUT.items() if where == page and word in expr), None)


@pytest.mark.parametrize(("page", "expr"), PANELS)
def test_a_panel_has_data(without_data: set[str], influx: InfluxServer | None, page: str, expr: str) -> None:
    if influx is None and OF_INFLUXDB in expr:
        missing("InfluxDB", "make influxd")
    why = exception(page, expr)
    assert (expr in without_data) == bool(why), asked(expr)


def test_no_alert_of_a_running_system_has_an_error_and_none_that_is_critical_fires(scraped: Prometheus) -> None:
    def judged() -> list[dict[str, Any]]:
        rules = [rule for group in scraped.ask("rules")["groups"] for rule in group["rules"]]
        return rules if all(rule["health"] != "unknown" for rule in rules) else []

    rules = wait_for(judged, "every rule was judged", 60)
    assert len(rules) == 29
    assert [(rule["name"], rule.get("lastError")) for rule in rules if rule["health"] != "ok"] == []
    assert [
        rule["name"] for rule in rules if rule["state"] == "firing" and rule["labels"]["severity"] == "critical"
    ] == []
