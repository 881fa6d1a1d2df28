"""The profile `observability`: what scrapes, judges and shows, and what it may reach."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.access.acl import version_for
from deploy.compose import make_secrets
from tests.conftest import free_port, redis_executable
from tests.deploy.test_compose_file import MIB, ROOT, described
from tests.redis_servers.executables import version_of

BUDGET = {
    "prometheus": 512,
    "alertmanager": 64,
    "grafana": 256,
    "redis-exporter": 64,
    "blackbox-exporter": 64,
    "node-exporter": 64,
    "graphite": 128,
    "graphite-forget": 64,
    "graphite-web": 192,
    "graphite-bridge": 96,
    "jaeger": 256,
}
OBSERVABILITY = ROOT / "deploy/observability"


@pytest.fixture(scope="module")
def services() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = described()["services"]
    return found


def test_nothing_of_it_runs_without_the_profile_and_it_has_a_budget_of_its_own(
    services: dict[str, dict[str, Any]],
) -> None:
    for name, megabytes in BUDGET.items():
        assert services[name]["profiles"] == ["observability"], name
        assert int(services[name]["mem_limit"]) // MIB == megabytes, name
    for name, service in services.items():
        if "observability" not in service.get("profiles", []):
            assert not set(BUDGET) & set(service.get("depends_on") or {}), name


def test_each_of_it_is_in_the_networks_that_it_needs_and_in_no_other(services: dict[str, dict[str, Any]]) -> None:
    assert {name: set(services[name].get("networks") or {}) for name in BUDGET} == {
        "prometheus": {"shown", "back", "watch", "desk"},
        "alertmanager": {"watch", "desk"},
        "grafana": {"watch", "desk"},
        "redis-exporter": {"back", "watch"},
        "blackbox-exporter": {"shown", "watch"},
        "node-exporter": {"watch"},
        "graphite": {"watch"},
        # It has files to remove, and nobody to talk to.
        "graphite-forget": set(),
        "graphite-web": {"watch", "desk"},
        "graphite-bridge": {"watch", "desk"},
        # Who sends spans is in `back`.
        "jaeger": {"back", "desk"},
    }


def test_applications_of_others_reach_nothing_that_watches(services: dict[str, dict[str, Any]]) -> None:
    # The blackbox exporter asks whatever address it is told, and nobody has to log in to the others.
    text = (ROOT / "apps/update_schuman/compose.yml").read_text()
    of_apps = {name for service in yaml.safe_load(text)["services"].values() for name in service["networks"]}
    assert of_apps == {"front"}
    for name in BUDGET:
        assert not of_apps & set(services[name].get("networks") or {}), name
    assert {name for name, service in services.items() if "shown" in (service.get("networks") or {})} == {
        "haproxy",
        "prometheus",
        "blackbox-exporter",
    }


def test_prometheus_asks_services_by_names_that_there_are_and_reaches_each(
    services: dict[str, dict[str, Any]],
) -> None:
    jobs = yaml.safe_load((OBSERVABILITY / "prometheus/prometheus.yml").read_text())["scrape_configs"]
    own = set(services["prometheus"]["networks"])
    names = [name for job in jobs for way in job.get("dns_sd_configs", []) for name in way["names"]]
    assert {"haproxy", "broker", "decoder", "api", "autoscaler", "controller"} <= set(names)
    for name in names:
        assert own & set(services[name]["networks"]), name
    for job in jobs:
        for way in job.get("dns_sd_configs", []):
            assert way["type"] == "A"
            assert job["relabel_configs"][0]["target_label"] == "node"
    probes = {job["job_name"] for job in jobs if job.get("metrics_path") == "/probe"}
    modules = yaml.safe_load((OBSERVABILITY / "blackbox/blackbox.yml").read_text())["modules"]
    assert probes == set(modules) == {"certificate", "logs"}


def test_what_a_container_is_given_is_a_file_or_folder_of_the_tree(services: dict[str, dict[str, Any]]) -> None:
    for name in BUDGET:
        for mount in services[name].get("volumes", []):
            source = str(mount["source"])
            if mount["type"] == "bind" and source.startswith(f"{ROOT}/deploy"):
                assert Path(source).exists(), source
                assert mount["read_only"] is True, source


def test_the_address_of_the_webhook_is_a_setting_and_where_graphite_is_another() -> None:
    chosen = described(ALERT_WEBHOOK_URL="https://hooks.example", GRAPHITE_ADDRESS="g.example:2003")["services"]
    assert chosen["alertmanager"]["environment"]["ALERT_WEBHOOK_URL"] == "https://hooks.example"
    assert chosen["graphite-bridge"]["environment"]["GRAPHITE_ADDRESS"] == "g.example:2003"
    assert chosen["alertmanager"]["entrypoint"][:2] == ["/bin/sh", "/etc/campus/start"]


def test_grafana_finds_the_dashboards_and_the_data_that_they_ask(services: dict[str, dict[str, Any]]) -> None:
    folder = OBSERVABILITY / "grafana/provisioning"
    [provider] = yaml.safe_load((folder / "dashboards/campus.yaml").read_text())["providers"]
    targets = {mount["target"]: mount["source"] for mount in services["grafana"]["volumes"]}
    assert targets[provider["options"]["path"]] == str(OBSERVABILITY / "grafana")
    sources = yaml.safe_load((folder / "datasources/prometheus.yaml").read_text())["datasources"]
    for source in sources:
        [(name, port)] = re.findall(r"^http://([\w-]+):(\d+)$", source["url"])
        assert set(services[name]["networks"]) & set(services["grafana"]["networks"]), name
        assert port.isdecimal()
    home = services["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert (OBSERVABILITY / "grafana" / Path(home).name).is_file()


def test_the_exporter_s_user_of_redis_sees_figures_and_no_key(tmp_path: Path) -> None:
    values = {name: made() for name, made in make_secrets.made(["gateway", "app"]).items()}
    executable = redis_executable()
    version = version_for(version_of(executable))
    files = make_secrets.files(values, ["gateway", "app"], demo=False, redis_version=version)
    [(address, password)] = json.loads(files["redis-exporter"]["passwords.json"]).items()
    assert address == "redis://exporter@redis:6379"
    port = free_port()
    (tmp_path / "users.acl").write_text(files["redis"]["users.acl"])
    command = [executable, "--port", str(port), "--aclfile", str(tmp_path / "users.acl"), "--save", ""]
    server = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL)
    try:

        def said(*words: str) -> str:
            cli = ["redis-cli", "-p", str(port), "--user", "exporter", "--pass", password, "--no-auth-warning", *words]
            return subprocess.run(cli, capture_output=True, text=True, check=False, timeout=30).stdout

        while "PONG" not in said("ping"):
            assert server.poll() is None
        assert "used_memory:" in said("info", "memory")
        for refused in (("get", "x"), ("set", "x", "1"), ("keys", "*"), ("config", "get", "*"), ("acl", "list")):
            assert "NOPERM" in said(*refused), refused
    finally:
        server.terminate()
        server.wait(20)
