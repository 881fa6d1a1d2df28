"""What deploy/compose/faults.yml makes of the compose file: a keeper between services and stores."""

import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from controller.keeper import places_of
from deploy.compose import make_secrets
from deploy.compose.through_keeper import PORTS, through_keeper
from tests.containers.compose import compose
from tests.deploy.k8s_manifests import ROOT

STORES = {"redis": "redis:6379", "couchdb": "couchdb:5984", "influxdb": "influxdb:8086", "mqtt": "haproxy:1883"}


@pytest.fixture(scope="module")
def services() -> dict[str, dict[str, Any]]:
    text = compose(
        *("-f", "docker-compose.yml", "-f", "deploy/compose/faults.yml", "--env-file", "/dev/null"),
        *("--profile", "*", "config", "--format", "json"),
        folder=ROOT,
        environment={"PATH": os.environ["PATH"]},
        seconds=30,
    )
    found: dict[str, dict[str, Any]] = yaml.safe_load(text)["services"]
    return found


def places(services: dict[str, dict[str, Any]]) -> dict[str, tuple[str, str]]:
    """Port of the keeper, and where it leads, by between."""
    found = places_of(services["keeper"]["environment"]["FAULTS_PROXIES"])
    assert {place.listen.partition(":")[0] for place in found.values()} == {"0.0.0.0"}  # noqa: S104 - of a container
    return {between: (place.listen.partition(":")[2], place.upstream) for between, place in found.items()}


def test_each_address_of_a_service_is_the_keepers_and_leads_to_that_store(services: dict[str, dict[str, Any]]) -> None:
    found = places(services)
    assert {between: upstream for between, (_, upstream) in found.items()} == {
        between: STORES[between.partition(">")[2]] for between in found
    }
    for service, of in (("decoder", "decoder"), ("demo-judge", "decoder"), ("api", "api"), ("api-next", "api")):
        for name, store in (("CLOUDANT_URL", "couchdb"), ("INFLUXDB_V2_URL", "influxdb")):
            assert services[service]["environment"][name] == f"http://keeper:{found[f'{of}>{store}'][0]}"
        assert services[service]["environment"]["DOCUMENT_STORE"] == "cloudant"
    assert services["api"]["environment"]["MIRROR_URL"] == f"mqtt://keeper:{found['mirror>mqtt'][0]}"
    for service, port in PORTS.items():
        of = {"demo-judge": "decoder"}.get(service, service.removesuffix("-next"))
        assert found[f"{of}>redis"][0] == str(port)
    assert len({port for port, _ in found.values()}) == len(found)


def test_who_goes_through_it_waits_for_it_and_can_reach_it_and_no_application_can(
    services: dict[str, dict[str, Any]],
) -> None:
    for service in PORTS:
        assert services[service]["depends_on"]["keeper"]["condition"] == "service_healthy"
        assert "back" in services[service]["networks"]
    assert set(services["keeper"]["networks"]) == {"back", "mirrored"}
    beside = {name for name, service in services.items() if "mirrored" in service.get("networks", {})}
    assert beside == {"keeper", "haproxy"}
    assert set(services["haproxy"]["networks"]) == {"edge", "front", "shown", "mirrored"}
    assert services["keeper"].get("ports", []) == []


def test_faults_are_on_and_the_controller_knows_the_keeper(services: dict[str, dict[str, Any]]) -> None:
    assert [services[name]["environment"]["FAULTS"] for name in ("api", "api-next", "haproxy")] == ["true"] * 3
    assert services["controller"]["environment"]["FAULTS_KEEPER_URL"] == "http://keeper:8475"
    assert services["setup"]["environment"]["FAULTS_KEEPER"] == "keeper"


def test_the_keeper_is_read_only_without_capabilities_and_bounded(services: dict[str, dict[str, Any]]) -> None:
    keeper, controller = services["keeper"], services["controller"]
    for name in ("read_only", "cap_drop", "security_opt", "restart", "pids_limit", "logging", "tmpfs", "mem_limit"):
        assert keeper[name] == controller[name], name
    assert keeper["build"]["target"] == "keeper"
    assert keeper["build"]["args"]["TOXIPROXY_IMAGE"] == "ghcr.io/shopify/toxiproxy:2.12.0"


def test_toxiproxy_is_the_version_that_the_tests_build() -> None:
    built = re.search(r"Shopify/toxiproxy/v2 v([0-9.]+)", (ROOT / "tests/toxiproxy/go.mod").read_text())
    assert built is not None
    for path in ("deploy/compose/faults.yml", "controller/Dockerfile"):
        assert f"ghcr.io/shopify/toxiproxy:{built[1]}" in (ROOT / path).read_text()


def test_an_image_of_the_controller_is_built_where_no_stage_is_named() -> None:
    text = (ROOT / "controller/Dockerfile").read_text()
    assert re.findall(r"^FROM (.*)$", text, re.MULTILINE)[-1] == "controller"
    assert 'CMD ["keeper"]' not in text[text.rindex("FROM controller") :]


def test_a_service_is_given_the_keepers_address_with_its_own_user_and_others_that_of_redis() -> None:
    files = {
        "broker": {"REDIS_URL": "redis://broker:a%40b@redis:6379/0", "OTHER": "stays"},
        "decoder": {"REDIS_URL": "redis://decoder:c@redis:6379/0", "RAW_REDIS_URL": "redis://decoder:c@raw:6379/0"},
        "autoscaler": {"REDIS_URL": "redis://autoscaler:d@redis:6379/0"},
    }
    assert through_keeper(files, "keeper") == {
        "broker": {"REDIS_URL": "redis://broker:a%40b@keeper:16379/0", "OTHER": "stays"},
        "decoder": {
            "REDIS_URL": "redis://decoder:c@keeper:26379/0",
            "RAW_REDIS_URL": "redis://decoder:c@raw:6379/0",
        },
        "autoscaler": {"REDIS_URL": "redis://autoscaler:d@redis:6379/0"},
    }


@pytest.mark.parametrize(
    "address",
    [
        "redis+cluster://redis:6379,redis-2:6379",
        "redis+sentinel://redis-1:26379,redis-2:26379/campus",
        "rediss://redis:6379/0",
    ],
)
def test_a_cluster_sentinel_and_tls_are_refused_before_anything_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], address: str
) -> None:
    monkeypatch.setattr(os, "chown", lambda *_: None)
    monkeypatch.setattr(make_secrets, "_CERTIFICATE", "true")
    monkeypatch.setenv("REDIS_AT", address)
    monkeypatch.setenv("FAULTS_KEEPER", "keeper")
    assert make_secrets.main([str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert "FAULTS_KEEPER: no keeper can stand before " in said
    assert "Start without deploy/compose/faults.yml" in said
    assert not (tmp_path / "broker" / "REDIS_URL").exists()


def test_the_keeper_goes_when_it_is_not_asked_for_any_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "chown", lambda *_: None)
    monkeypatch.setattr(make_secrets, "_CERTIFICATE", "true")
    for keeper, at in (("keeper", "@keeper:36379/0"), ("", "@redis:6379/0")):
        make_secrets.make(tmp_path, [], demo=True, keeper=keeper)
        assert (tmp_path / "api" / "REDIS_URL").read_text().endswith(at)
        assert (tmp_path / "controller" / "REDIS_URL").read_text().endswith("@redis:6379/0")
