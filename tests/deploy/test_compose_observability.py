"""The profile `observability` of the compose file: what others look at, and what it may reach."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.test_compose_file import MIB, ROOT, described

ADDED = sorted([*(ROOT / "deploy/compose").glob("*.yml"), *(ROOT / "apps").glob("*/compose.yml")])
LOGS = {"logs", "logs-setup", "logs-searches", "logs-retention", "opensearch", "opensearch-dashboards"}


@pytest.fixture(scope="module")
def services() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = described()["services"]
    return found


def test_nothing_of_it_runs_without_the_profile(services: dict[str, dict[str, Any]]) -> None:
    for name in LOGS:
        assert services[name]["profiles"] == ["observability"], name
    for name, service in services.items():
        if "observability" not in service.get("profiles", []):
            assert not {"watch", "desk"} & set(service.get("networks") or {}), name
            assert not LOGS & set(service.get("depends_on") or {}), name


def test_the_store_of_logs_is_reached_by_what_ships_and_shows_alone(services: dict[str, dict[str, Any]]) -> None:
    assert {name: set(services[name]["networks"]) for name in LOGS} == {
        # What gives it lines may give them to a store elsewhere.
        "logs": {"watch", "desk"},
        "logs-setup": {"watch", "desk"},
        "logs-retention": {"watch", "desk"},
        "logs-searches": {"watch"},
        "opensearch": {"watch"},
        "opensearch-dashboards": {"watch", "desk"},
    }
    assert not described()["networks"]["desk"].get("internal")
    assert described()["networks"]["watch"]["internal"] is True


def test_the_shipper_may_read_logs_that_are_root_s_and_nothing_more(services: dict[str, dict[str, Any]]) -> None:
    shipper = services["logs"]
    assert (shipper["user"], shipper["cap_drop"], shipper["cap_add"]) == ("0:0", ["ALL"], ["DAC_READ_SEARCH"])
    mounts = {mount["target"]: mount for mount in shipper["volumes"]}
    assert set(mounts) == {"/var/lib/docker/containers", "/var/lib/shipper"}
    assert mounts["/var/lib/docker/containers"]["read_only"] is True
    assert mounts["/var/lib/shipper"]["type"] == "volume"
    assert shipper["tmpfs"] == ["/tmp:size=1m"]  # noqa: S108 - of a container
    assert not any("docker.sock" in mount["source"] for mount in shipper["volumes"])


def test_each_container_s_log_says_of_which_project_service_and_number_it_is(
    services: dict[str, dict[str, Any]],
) -> None:
    for name, service in services.items():
        assert service["logging"]["driver"] == "json-file", name
        assert service["logging"]["options"]["labels"].split(",") == [
            "com.docker.compose.project",
            "com.docker.compose.service",
            "com.docker.compose.container-number",
        ], name


@pytest.mark.parametrize("file", ADDED, ids=lambda file: file.stem)
def test_files_that_are_added_to_the_compose_file_say_so_too(file: Path) -> None:
    # An application that `python -m apps new` makes is a copy of the one of the tree.
    of_file = yaml.safe_load(file.read_text())["services"]
    there = [service for service in of_file.values() if "image" in service]
    for service in there:
        assert service["logging"]["options"]["labels"].split(",") == [
            "com.docker.compose.project",
            "com.docker.compose.service",
            "com.docker.compose.container-number",
        ]
    assert there


def test_another_store_is_a_setting_and_the_one_of_the_profile_is_left_out() -> None:
    chosen = described(LOG_STORE_URL="https://elastic.example:9200", OPENSEARCH_REPLICAS="0")["services"]
    for name in ("logs", "logs-setup", "logs-retention"):
        assert chosen[name]["environment"]["LOG_STORE_URL"] == "https://elastic.example:9200", name
    for name in ("opensearch", "opensearch-dashboards", "logs-searches"):
        assert chosen[name]["deploy"]["replicas"] == 0, name


def test_days_that_are_kept_are_a_setting() -> None:
    assert described()["services"]["logs-retention"]["environment"]["LOG_KEEP_DAYS"] == "7"
    assert described(LOG_KEEP_DAYS="30")["services"]["logs-retention"]["environment"]["LOG_KEEP_DAYS"] == "30"


def test_how_much_is_kept_is_bounded_and_looked_at_each_minute() -> None:
    retention = described()["services"]["logs-retention"]
    assert retention["environment"]["LOG_KEEP_BYTES"] == "5000000000"
    assert retention["command"][-2:] == ["--every", "60"]
    chosen = described(LOG_KEEP_BYTES="200000000")["services"]["logs-retention"]
    assert chosen["environment"]["LOG_KEEP_BYTES"] == "200000000"


def test_it_has_a_budget_of_its_own(services: dict[str, dict[str, Any]]) -> None:
    assert {name: int(services[name]["mem_limit"]) // MIB for name in LOGS} == {
        "logs": 128,
        "logs-setup": 64,
        "logs-searches": 64,
        "logs-retention": 64,
        "opensearch": 1024,
        "opensearch-dashboards": 768,
    }


def test_the_image_of_the_shipper_is_debian_s_rsyslog_with_the_rules_of_the_tree() -> None:
    text = (ROOT / "deploy/observability/rsyslog/Dockerfile").read_text()
    assert re.search(r"^ARG DEBIAN_IMAGE=debian:bookworm-slim$", text, re.MULTILINE)
    assert "rsyslog rsyslog-elasticsearch" in text
    assert "COPY deploy/observability/rsyslog/campus.conf /etc/campus/rsyslog.conf" in text
    assert "LOG_FILES=/var/lib/docker/containers/*/*-json.log* " in text
    for label in ("title", "description", "version", "revision"):
        assert f"org.opencontainers.image.{label}=" in text


def test_the_image_setup_holds_what_sets_the_store_up() -> None:
    text = (ROOT / "deploy/compose/Dockerfile").read_text()
    assert "COPY deploy/observability/opensearch deploy/observability/opensearch" in text
    commands = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    for name in ("logs-setup", "logs-searches", "logs-retention"):
        module = commands[name]["command"][0]
        assert (ROOT / f"{module.replace('.', '/')}.py").is_file(), name
