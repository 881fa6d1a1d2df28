"""The compose file as compose itself understands it. No engine is needed; tests/containers runs it for real."""

import hashlib
import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from analytics.service import ServiceSettings
from api.settings import ApiSettings
from autoscaler.settings import AutoscalerSettings
from backup.settings import BackupSettings
from broker.settings import BrokerSettings
from controller.settings import ControllerSettings
from decoder.settings import DecoderSettings
from runtime.settings import Settings
from tests.containers.compose import compose

ROOT = Path(__file__).resolve().parents[2]
MIB = 1024 * 1024
SERVICES: dict[str, type[Settings]] = {
    "broker": BrokerSettings,
    "decoder": DecoderSettings,
    "api": ApiSettings,
    "autoscaler": AutoscalerSettings,
    "controller": ControllerSettings,
    "backup": BackupSettings,
    "analytics": ServiceSettings,
}
SETTLED = {
    # By the image, or by what a container is.
    *("OPS_HOST", "OPS_PORT", "DATA_DIR", "BROKER_HOST", "BROKER_PORT", "BROKER_WS_PORT", "API_HOST", "API_PORT"),
    *("BROKER_NODE", "BROKER_REUSE_PORT", "DECODER_NAME", "CAMPUS_VERSION", "CAMPUS_REVISION", "SERVICE_NODE"),
    # Where there is no Docker.
    *("REGISTRY_FOLDER", "KUBERNETES_URL", "APPS_NAMESPACE"),
    # Nobody there sees the disk of Redis, and it speaks no TLS.
    *("REDIS_RESERVE", "REDIS_CA"),
    # Secrets are files.
    *("REDIS_URL", "RAW_REDIS_URL", "KEYS_REDIS_URL", "DEVICE_KEY", "INFLUXDB_V2_TOKEN", "MIRROR_PASSWORD"),
    *("BACKUP_KEY", "S3_ACCESS_KEY_ID", "S3_SECRET_ACCESS_KEY", "KAFKA_PASSWORD"),
}
"""Settings that nobody chooses in a compose run."""
ROOT_ALLOWED = {"setup", "welcome", "engine", "registry", "logs"}
WRITES_WHERE_IT_IS = {"couchdb", "kafka", "opensearch", "opensearch-dashboards"}
"""Others' images that write their configuration at each start."""


def described(**variables: str) -> dict[str, Any]:
    text = compose(
        *("--env-file", "/dev/null", "--profile", "*", "config", "--format", "json"),
        folder=ROOT,
        environment={"PATH": os.environ["PATH"], **variables},
        seconds=30,
    )
    found: dict[str, Any] = yaml.safe_load(text)
    return found


@pytest.fixture(scope="module")
def services() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = described()["services"]
    return found


def documented() -> dict[str, str]:
    """The settings of .env.example, with their defaults."""
    return dict(re.findall(r"^#([A-Z][A-Z0-9_]+)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE))


@pytest.mark.parametrize("service", SERVICES)
def test_each_setting_of_a_service_is_passed_on_and_documented(
    services: dict[str, dict[str, Any]], service: str
) -> None:
    wanted = {name.upper() for name in SERVICES[service].model_fields} - SETTLED
    assert wanted - set(services[service]["environment"]) == set()
    assert (
        wanted - {"LOG_TIME", "BROKER_PROXY_PROTOCOL", "HAPROXY_SOCKET"} - _own_wiring(service) - set(documented())
        == set()
    )


def _own_wiring(service: str) -> set[str]:
    return {
        "api": {"MIRROR_URL", "MIRROR_USERNAME", "MIRROR_MAX_PAYLOAD"},
        "controller": {"REGISTRY", "GATE_URL", "ROUTES_FOLDER"},
        "autoscaler": {"COMPOSE_PROJECT", "DOCKER_HOST", "BROKER_OPS_PORT"},
    }.get(service, set())


def test_what_the_example_documents_is_used_and_what_the_file_uses_is_documented() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    asked = set(re.findall(r"\$\{([A-Z0-9_]+)", text)) - {"COMPOSE_PROJECT_NAME"}
    passed = set(re.findall(r"^ +([A-Z][A-Z0-9_]+):$", text, re.MULTILINE))
    assert asked - set(documented()) == set()
    assert set(documented()) - asked - passed == set()


def test_the_defaults_that_the_example_shows_are_those_of_the_file() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    for name, default in re.findall(r"\$\{([A-Z0-9_]+):-([^{}]*)\}", text):
        # The first has another default inside its own; the last is that of compose itself.
        if name not in {"TLS_FOLDER", "COMPOSE_PROJECT_NAME"}:
            assert documented()[name] == default, name


def test_a_broker_that_drains_when_it_is_stopped_has_the_time_for_it(services: dict[str, dict[str, Any]]) -> None:
    told = documented()
    assert (told["DRAIN_NOTICE"], told["DRAIN_SECONDS"]) == ("3", "20")
    for name in ("broker", "broker-next"):
        assert services[name]["stop_grace_period"] == "35s", name
    assert described(BROKER_STOP_GRACE="2m")["services"]["broker"]["stop_grace_period"] == "2m0s"


def test_the_budget_of_the_original_design_is_kept(services: dict[str, dict[str, Any]]) -> None:
    nodes = services["broker"]["deploy"]["replicas"]
    limits = {name: int(services[name]["mem_limit"]) for name in ("haproxy", "redis", "influxdb", "broker")}
    assert max(limits.values()) <= 256 * MIB
    assert sum(limits.values()) + (nodes - 1) * limits["broker"] <= 1.28 * 1000 * MIB


def test_what_influxdb_has_yet_to_write_to_disk_is_little_and_not_for_long(services: dict[str, dict[str, Any]]) -> None:
    """Each week of a bucket has a cache: with those of InfluxDB's defaults, a backfill of 60 days ends it at 256 MB."""
    environment = services["influxdb"]["environment"]
    assert environment["GOMEMLIMIT"] == "200MiB"
    assert environment["INFLUXD_STORAGE_CACHE_SNAPSHOT_MEMORY_SIZE"] == "4194304"
    assert environment["INFLUXD_STORAGE_CACHE_SNAPSHOT_WRITE_COLD_DURATION"] == "30s"
    manifest = (ROOT / "deploy/k8s/components/influxdb/influxdb.yaml").read_text()
    stateful = next(each for each in yaml.safe_load_all(manifest) if each["kind"] == "StatefulSet")
    in_k8s = {each["name"]: each["value"] for each in stateful["spec"]["template"]["spec"]["containers"][0]["env"]}
    bounds = {name for name in environment if name.startswith(("INFLUXD_STORAGE", "INFLUXD_QUERY", "GOMEMLIMIT"))}
    assert {name: in_k8s.get(name) for name in bounds} == {name: environment[name] for name in bounds}


def test_only_haproxy_is_reachable_and_from_this_machine_alone(services: dict[str, dict[str, Any]]) -> None:
    published = {name: service["ports"] for name, service in services.items() if service.get("ports")}
    # The others are of profiles, and on this machine whatever the rest is open to.
    assert set(published) == {
        *("haproxy", "node-red", "opensearch-dashboards"),
        *("prometheus", "alertmanager", "grafana", "graphite-web", "jaeger"),
    }
    assert {port["host_ip"] for name in published for port in published[name]} == {"127.0.0.1"}
    assert services["node-red"]["profiles"] == ["node-red"]
    opened = described(BIND_ADDRESS="0.0.0.0")["services"]  # noqa: S104
    for name in set(published) - {"haproxy"}:
        assert services[name]["profiles"], name
        assert {port["host_ip"] for port in opened[name]["ports"]} == {"127.0.0.1"}, name
    assert {port["host_ip"] for port in opened["haproxy"]["ports"]} == {
        "0.0.0.0",  # noqa: S104
        "127.0.0.1",
    }, "statistics stay on this machine"


def test_every_container_is_read_only_without_capabilities_and_bounded(services: dict[str, dict[str, Any]]) -> None:
    for name, service in services.items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service.get("read_only") or name in WRITES_WHERE_IT_IS, name
        assert service["pids_limit"], name
        assert service["logging"]["options"]["max-size"], name
        assert not service.get("privileged"), name
        assert service.get("user") != "0:0" or name in ROOT_ALLOWED, name


def test_no_secret_is_in_the_environment_of_a_container(services: dict[str, dict[str, Any]]) -> None:
    for name, service in services.items():
        for variable, value in (service.get("environment") or {}).items():
            secret = re.search(r"(PASSWORD|TOKEN|SECRET|APIKEY|_KEY|REDIS_URL)(_FILE)?$", variable)
            assert not secret or variable.endswith("_FILE") or value in {None, ""}, (name, variable)


def test_each_service_sees_its_own_secrets_alone(services: dict[str, dict[str, Any]]) -> None:
    for name, service in services.items():
        folders = [
            Path(mount["source"]).name for mount in service.get("volumes", []) if mount["target"] == "/run/secrets"
        ]
        assert folders in ([], [name]), name
        assert all(mount["read_only"] for mount in service.get("volumes", []) if mount["target"] == "/run/secrets")


def test_stores_are_in_a_network_that_leads_nowhere_else(services: dict[str, dict[str, Any]]) -> None:
    networks = described()["networks"]
    assert {name for name, network in networks.items() if network.get("internal")} == {
        "front",
        "back",
        "engine",
        "registry",
        "shown",
        "watch",
    }
    for store in ("redis", "redis-keys", "couchdb", "influxdb"):
        assert set(services[store]["networks"]) == {"back"}
    assert set(services["broker"]["networks"]) == {"front", "back"}


def test_a_gate_for_each_client_has_the_socket_of_the_engine_and_nobody_else(
    services: dict[str, dict[str, Any]],
) -> None:
    holders = {
        name
        for name, service in services.items()
        if any("docker.sock" in mount["source"] for mount in service.get("volumes", []))
    }
    assert holders == {"engine", "registry"}
    for gate, client in (("engine", "autoscaler"), ("registry", "controller")):
        assert set(services[gate]["networks"]) == {gate}
        beside = {name for name, service in services.items() if gate in (service.get("networks") or {})}
        assert beside == {gate, client}
        assert services[gate]["command"] == ["gate"]
        assert services[gate]["environment"].get("GATE_FOR", "autoscaler") == client


def test_what_has_versions_is_labelled_and_the_next_one_is_like_the_present_one(
    services: dict[str, dict[str, Any]],
) -> None:
    for name, port in (("api", "8081"), ("broker", "1883")):
        present, following = services[name], services[f"{name}-next"]
        assert present["labels"] == {"campus.app": name, "campus.version": "current", "campus.port": port}
        assert following["labels"] == {"campus.app": name, "campus.version": "next", "campus.port": port}
        assert following["profiles"] == ["next"]
        for part in ("environment", "networks", "mem_limit", "read_only", "depends_on", "deploy"):
            assert following.get(part) == present.get(part), part
        assert {mount["target"] for mount in following["volumes"]} == {mount["target"] for mount in present["volumes"]}
    chosen = described(NEXT_TAG="1.2.3", API_NEXT_FQDN="api-next", BROKER_NEXT_FQDN="broker-next")["services"]
    assert (chosen["api-next"]["image"], chosen["api"]["image"]) == ("campus/api:1.2.3", "campus/api:dev")
    told = chosen["haproxy"]["environment"]
    assert (told["API_NEXT_FQDN"], told["BROKER_NEXT_FQDN"]) == ("api-next", "broker-next")


def test_the_controller_reaches_haproxy_by_socket_and_maps_and_nothing_else_does(
    services: dict[str, dict[str, Any]],
) -> None:
    holders = {
        name
        for name, service in services.items()
        if any(mount["target"] == "/run/routes" for mount in service.get("volumes", []))
    }
    assert holders == {"controller", "haproxy"}
    assert services["controller"]["user"] == "10001:99"
    assert set(services["controller"]["networks"]) == {"front", "back", "registry"}


def test_four_variables_put_cloudant_in_the_place_of_couchdb() -> None:
    chosen = described(
        CLOUDANT_URL="https://example.cloudant", CLOUDANT_AUTH_TYPE="IAM", CLOUDANT_APIKEY="k", COUCHDB_REPLICAS="0"
    )["services"]
    assert chosen["couchdb"]["deploy"]["replicas"] == 0
    for service in ("decoder", "api"):
        environment = chosen[service]["environment"]
        assert (environment["CLOUDANT_URL"], environment["CLOUDANT_AUTH_TYPE"], environment["CLOUDANT_APIKEY"]) == (
            "https://example.cloudant",
            "IAM",
            "k",
        )
        assert not chosen[service]["depends_on"]["documents-setup"]["required"]
    assert chosen["documents-setup"]["deploy"]["replicas"] == 0


def test_who_uses_a_store_waits_for_users_and_tokens_and_nobody_for_the_store_itself(
    services: dict[str, dict[str, Any]],
) -> None:
    """Who came before its user is there would be locked out by its wrong passwords."""
    for name, service in services.items():
        needed: dict[str, tuple[str, bool]] = {
            each: (how["condition"], how["required"]) for each, how in (service.get("depends_on") or {}).items()
        }
        if name == "documents-setup":
            assert needed["couchdb"] == ("service_started", False)
        elif name == "timeseries-tokens":
            # It tries a few times, and ends.
            assert needed["influxdb"] == ("service_healthy", False)
        else:
            assert not {"couchdb", "influxdb"} & set(needed), name
    for name in ("decoder", "api", "api-next", "demo-judge", "demo-history", "analytics", "backup"):
        how = services[name]["depends_on"]
        assert how["documents-setup"]["condition"] == "service_healthy", name
        assert how["timeseries-tokens"]["condition"] == "service_completed_successfully", name


def test_whoever_has_a_token_of_influxdb_is_given_it_by_who_makes_them(services: dict[str, dict[str, Any]]) -> None:
    job = services["timeseries-tokens"]
    given = dict(reversed(each.split("=")) for each in job["command"])
    folders = {volume["target"]: volume["source"] for volume in job["volumes"]}
    mounted = {
        name: volume["source"]
        for name, service in services.items()
        for volume in service.get("volumes", [])
        if volume["target"] == "/run/secrets"
    }
    assert {path: folders[path.rpartition("/")[0]] for path in given} == {
        f"/tokens/{name}/INFLUXDB_V2_TOKEN": mounted[name]
        for name in ("decoder", "demo-history", "api", "api-next", "analytics", "backup")
    }
    assert {path for path, who in given.items() if who == "public"} == {
        f"/tokens/{name}/INFLUXDB_V2_TOKEN" for name in ("api", "api-next")
    }


def test_a_couchdb_that_runs_is_started_anew_where_its_configuration_has_changed(
    services: dict[str, dict[str, Any]],
) -> None:
    """Compose looks at no contents: an older one would go on without what the users of services need."""
    config = (ROOT / "deploy" / "compose" / "couchdb.ini").read_bytes()
    assert services["couchdb"]["labels"]["campus.couchdb-config"] == hashlib.sha256(config).hexdigest()[:8]


def test_data_is_in_named_volumes(services: dict[str, dict[str, Any]]) -> None:
    for store, folder in (
        ("redis", "/data"),
        ("redis-keys", "/data"),
        ("couchdb", "/opt/couchdb/data"),
        ("influxdb", "/var/lib/influxdb2"),
    ):
        [mount] = [mount for mount in services[store]["volumes"] if mount["target"] == folder]
        assert mount["type"] == "volume"
    assert "appendonly yes" in (ROOT / "deploy/compose/redis.conf").read_text()
    # What is told that a key is there has it on disk.
    told = services["redis-keys"]["command"]
    assert dict(zip(told[1::2], told[2::2], strict=True)).items() >= {
        ("--appendonly", "yes"),
        ("--appendfsync", "always"),
        ("--maxmemory-policy", "noeviction"),
    }
    manifest = (ROOT / "deploy/k8s/base/redis-keys.yaml").read_text()
    stateful = next(each for each in yaml.safe_load_all(manifest) if each["kind"] == "StatefulSet")
    assert stateful["spec"]["template"]["spec"]["containers"][0]["command"] == told


@pytest.mark.parametrize(
    "service", ["analytics", "backup", "broker", "decoder", "api", "autoscaler", "controller", "simulator"]
)
def test_an_image_holds_just_the_packages_that_its_row_of_the_design_allows(service: str) -> None:
    allowed = {
        "broker": {"core", "runtime", "state", "disclosure", "broker"},
        "decoder": {
            "core",
            "runtime",
            "state",
            "geofence",
            "documents",
            "timeseries",
            "payloads",
            "disclosure",
            "backfill",
            "lake",
            "decoder",
        },
        "analytics": {
            "core",
            "runtime",
            "state",
            "geofence",
            "documents",
            "timeseries",
            "payloads",
            "disclosure",
            "lake",
            "decoder",
            "analytics",
        },
        "api": {"core", "runtime", "state", "geofence", "documents", "timeseries", "payloads", "disclosure", "api"},
        "autoscaler": {"core", "runtime", "state", "autoscaler"},
        "backup": {"core", "runtime", "state", "documents", "timeseries", "backup"},
        "controller": {"core", "runtime", "state", "controller"},
        "simulator": {"core", "runtime", "geofence", "payloads", "simulator"},
    }
    text = (ROOT / service / "Dockerfile").read_text()
    copied = {source for source, _ in re.findall(r"^COPY (\w+) (\w+)$", text, re.MULTILINE)}
    assert copied == allowed[service]
    assert f"requirements/{service}.txt" in text
    assert "USER 10001:10001" in text


def test_every_dockerfile_takes_its_base_as_an_argument_and_labels_its_image() -> None:
    found = [*ROOT.glob("*/Dockerfile"), ROOT / "deploy/compose/Dockerfile"]
    assert len(found) >= 7
    for path in found:
        text = path.read_text()
        assert re.search(r"^ARG (PYTHON|HAPROXY)_IMAGE=\S+:\S+$", text, re.MULTILINE), path
        for label in ("title", "description", "version", "revision"):
            assert f"org.opencontainers.image.{label}=" in text, path
        assert 'org.opencontainers.image.licenses="Apache-2.0"' in text, path
        assert re.search(r"^COPY LICENSE NOTICE THIRD-PARTY-NOTICES.md ", text, re.MULTILINE), path
        assert re.search(r"^USER \d+:\d+$", text, re.MULTILINE), path


def test_what_builds_images_sees_neither_data_nor_secrets() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert lines[1] == "*"
    assert not any(re.match(r"!(secrets|data|\.env|\.git|tests)", line) for line in lines)


def test_a_table_of_kinds_is_given_to_all_who_read_it(services: dict[str, dict[str, Any]]) -> None:
    for found, file in ((services, "core/kinds.json"), (described(KINDS_FILE="./my.json")["services"], "my.json")):
        readers = {
            name
            for name, service in found.items()
            for volume in service.get("volumes", [])
            if (volume.get("source"), volume["target"], volume.get("read_only"))
            == (str(ROOT / file), "/kinds.json", True)
        }
        assert readers == {
            *("setup", "users", "broker", "broker-next", "decoder", "api", "api-next"),
            *("demo", "demo-judge", "demo-history-made", "demo-history", "backup"),
            *("dead-letters", "status", "migrate", "restore"),
            *("exporter", "analytics", "documents-setup", "timeseries-tokens"),
        }
        assert {found[name]["environment"]["KINDS_FILE"] for name in readers} == {"/kinds.json"}


def test_topics_of_apps_and_what_devices_hear_are_settings_of_compose_too() -> None:
    found = described(TOPIC_KINDS="owntracks/+/+=mobile", ECHO_REFUSALS="true")["services"]
    readers = {name for name, each in found.items() if each.get("environment", {}).get("TOPIC_KINDS")}
    assert {"users", "broker", "decoder", "api"} <= readers
    assert {found[name]["environment"]["TOPIC_KINDS"] for name in readers} == {"owntracks/+/+=mobile"}
    assert [name for name, each in found.items() if each.get("environment", {}).get("ECHO_REFUSALS")] == ["decoder"]


def test_the_history_of_a_demo_is_made_and_written_once_and_nothing_else_waits_for_it(
    services: dict[str, dict[str, Any]],
) -> None:
    made, written = services["demo-history-made"], services["demo-history"]
    assert {made["image"], services["demo"]["image"]} == {"campus/simulator:dev"}
    assert written["image"] == services["decoder"]["image"]
    [volume] = {
        mount["source"]
        for service in (made, written)
        for mount in service["volumes"]
        if mount["target"] == "/history" and mount["type"] == "volume"
    }
    assert volume == "demo-history"
    assert made["command"][-2:] == ["--out", "/history/lines.ndjson.gz"]
    assert written["entrypoint"] + written["command"] == [
        *("python", "-m", "backfill"),
        *("seed", "/history/lines.ndjson.gz", "--once", "/history/written"),
    ]
    assert written["depends_on"]["demo-history-made"]["condition"] == "service_completed_successfully"
    assert {made["restart"], written["restart"]} == {"on-failure:5", "on-failure:20"}
    assert services["demo"]["restart"] == "on-failure:5"
    for name, service in services.items():
        assert "demo-history" not in (service.get("depends_on") or {}), name


def test_the_demo_is_of_the_size_that_is_asked_for_and_so_is_its_history() -> None:
    asked = described(DEMO_DEVICES="2000", DEMO_DAYS="3", ARCHIVE="off")["services"]
    assert asked["demo-history"]["environment"]["ARCHIVE"] == "off"
    assert " ".join(asked["demo"]["command"]) == "campus --devices 2000 --hours busy --warm"
    assert " ".join(asked["demo-history-made"]["command"]).startswith("history --days 3 --devices 2000 ")
    for name in ("demo", "demo-judge", "demo-history-made", "demo-history"):
        assert asked[name]["profiles"] == ["demo"], name


def test_a_judge_of_its_own_comes_with_the_demo_whatever_the_archive_is(services: dict[str, dict[str, Any]]) -> None:
    for found in (services, described(ARCHIVE="off", STAGES="observe")["services"]):
        judge = found["demo-judge"]
        assert judge["image"] == services["decoder"]["image"]
        assert judge["environment"]["STAGES"] == "judge"
        assert "ARCHIVE" not in judge["environment"]


def test_what_is_exported_and_where_to_is_the_same_for_whoever_writes_and_reads_it() -> None:
    given = {"EXPORT": "parquet,kafka", "LAKE_URL": "s3://bucket/lake", "S3_ENDPOINT": "https://s3.example"}
    found = described(**given)["services"]
    for name in ("decoder", "exporter", "analytics"):
        environment = found[name]["environment"]
        assert {key: environment.get(key) for key in given} == given | ({"EXPORT": None} if name == "analytics" else {})
    assert found["exporter"]["environment"]["STAGES"] == "export"
    assert found["exporter"]["entrypoint"] == ["python", "-m", "decoder"]
    assert found["exporter"]["image"] == found["analytics"]["image"]
    for name in ("exporter", "analytics"):
        [mount] = [mount for mount in found[name]["volumes"] if mount["target"] == "/lake"]
        assert (mount["type"], mount["source"]) == ("volume", "lake")
    assert found["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"] == "CLIENTS://kafka:9092"
    assert found["exporter"]["environment"]["KAFKA_SERVERS"] == "kafka:9092"
    assert set(found["kafka"]["networks"]) == {"back"}


def test_the_calendar_is_given_where_there_is_one() -> None:
    without, given = (described(**each)["services"]["analytics"] for each in ({}, {"CALENDAR_FILE": "./my.ics"}))
    assert not without["environment"]["CALENDAR_FILE"]
    assert given["environment"]["CALENDAR_FILE"] == "/calendar.ics"
    assert [mount["source"] for mount in given["volumes"] if mount["target"] == "/calendar.ics"] == [
        str(ROOT / "my.ics")
    ]
