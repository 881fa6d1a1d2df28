"""What each pod may do, what it runs, and what it is told."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from api.settings import ApiSettings
from broker.settings import BrokerSettings
from controller.settings import ControllerSettings
from decoder.settings import DecoderSettings
from runtime.settings import Settings
from tests.deploy.k8s_manifests import (
    K8S,
    OVERLAYS,
    ROOT,
    Document,
    Workload,
    documents,
    environment,
    kustomization,
    monitored,
    of_kind,
    overlay,
    rendered,
    workloads,
)

SERVICES: dict[str, type[Settings]] = {
    "broker": BrokerSettings,
    "decoder": DecoderSettings,
    "api": ApiSettings,
    "controller": ControllerSettings,
}
SDK = {"CLOUDANT_AUTH_TYPE", "CLOUDANT_USERNAME"}
"""Variables that IBM's SDK reads itself."""
OURS = r"(haproxy|broker|decoder|api|controller)"
IMAGES = {
    "local": re.compile(rf"campus/{OURS}:dev|redis:7\.2-bookworm|couchdb:3\.5|influxdb:2\.7"),
    "ibm-cloud": re.compile(rf"de\.icr\.io/campus-occupancy/{OURS}:dev|redis:7\.2-bookworm|influxdb:2\.7"),
}
IMAGES["staging"] = IMAGES["ibm-cloud"]
IMAGES["local-cluster"] = IMAGES["local"]
PROBES = {"startupProbe", "readinessProbe", "livenessProbe"}
every_overlay = pytest.mark.parametrize("name", OVERLAYS)


def containers(all_of_them: list[Document]) -> list[tuple[Workload, Document]]:
    return [(each, container) for each in workloads(all_of_them) for container in each.containers]


@every_overlay
def test_every_container_is_restricted(name: str) -> None:
    for workload, container in containers(overlay(name)):
        pod, own = workload.pod["securityContext"], container["securityContext"]
        assert pod["runAsNonRoot"] is True, workload.name
        assert pod["runAsUser"] > 0, workload.name
        assert pod["seccompProfile"] == {"type": "RuntimeDefault"}, workload.name
        assert own["allowPrivilegeEscalation"] is False, workload.name
        assert own["readOnlyRootFilesystem"] is True, workload.name
        assert own["capabilities"] == {"drop": ["ALL"]}, workload.name
        assert "privileged" not in own, workload.name
        for shared in ("hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"):
            assert shared not in workload.pod, workload.name


@every_overlay
def test_the_namespace_admits_nothing_else(name: str) -> None:
    (namespace,) = of_kind(overlay(name), "Namespace").values()
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


@every_overlay
def test_no_pod_has_a_token_for_the_cluster_or_variables_of_its_services(name: str) -> None:
    for workload in workloads(overlay(name)):
        assert workload.pod["automountServiceAccountToken"] is (workload.name == "controller"), workload.name
        # A service `api` would set API_PORT to tcp://..., which is no port.
        assert workload.pod["enableServiceLinks"] is False, workload.name


@every_overlay
def test_the_one_token_reads_endpoint_slices_of_its_namespace_and_nothing_else(name: str) -> None:
    found = overlay(name)
    assert of_kind(found, "ClusterRole") == {}
    [role] = of_kind(found, "Role").values()
    assert role["rules"] == [
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["get", "list"]}
    ]
    [binding] = of_kind(found, "RoleBinding").values()
    [subject] = binding["subjects"]
    assert (subject["kind"], subject["name"], binding["roleRef"]["name"]) == (
        "ServiceAccount",
        "controller",
        "controller",
    )
    [account] = of_kind(found, "ServiceAccount").values()
    assert account["automountServiceAccountToken"] is False
    users = [each.name for each in workloads(found) if each.pod.get("serviceAccountName")]
    assert users == ["controller"]


@every_overlay
def test_beside_each_haproxy_is_who_applies_the_rules_to_it(name: str) -> None:
    found = overlay(name)
    workload = Workload("Deployment", "haproxy", of_kind(found, "Deployment")["haproxy"])
    maps, haproxy, apply = workload.containers
    assert maps["image"] == haproxy["image"]
    told = environment(workload, apply, found)
    assert told["CONTROLLER_STAGES"] == "apply"
    shared = {"/run/haproxy": "haproxy", "/run/routes": "routes"}
    for container in (haproxy, apply):
        mounted = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
        assert shared.items() <= mounted.items()
    assert {mount["name"]: mount["mountPath"] for mount in maps["volumeMounts"]} == {"routes": "/routes"}
    # Maps that the init container has copied are the group's, which both have.
    assert workload.pod["securityContext"]["runAsGroup"] == 99


@every_overlay
def test_every_image_is_one_of_the_agreed_names(name: str) -> None:
    for workload, container in containers(overlay(name)):
        assert IMAGES[name].fullmatch(container["image"]), f"{workload.name}: {container['image']}"


@every_overlay
def test_nothing_secret_is_in_an_environment_or_a_manifest(name: str) -> None:
    found = overlay(name)
    assert not of_kind(found, "Secret")
    assert "secretKeyRef" not in rendered(K8S / "overlays" / name)
    for workload, container in containers(found):
        assert all("secretRef" not in source for source in container.get("envFrom", []))
        for variable, value in environment(workload, container, found).items():
            secret = re.search(r"PASSWORD|TOKEN|APIKEY|DEVICE_KEY|REDIS_URL", variable)
            # The name of a file that holds one is none.
            assert not secret or (variable.endswith("_FILE") and value.startswith("/run/secrets/")), variable


@every_overlay
def test_every_variable_of_a_service_is_one_of_its_settings(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = overlay(name)
    for deployment in of_kind(found, "Deployment").values():
        workload = Workload("Deployment", deployment["metadata"]["name"], deployment)
        if workload.name not in SERVICES:
            continue
        settings = SERVICES[workload.name]
        given = environment(workload, workload.main, found)
        fields = {field.upper() for field in settings.model_fields}
        # PRIVACY is told to all, whoever asks for it.
        known = fields | SDK | {"SECRETS_DIR", "PRIVACY"}
        assert set(given) <= known, f"{workload.name}: {set(given) - known}"
        with monkeypatch.context() as patch:
            for variable, value in given.items():
                patch.setenv(variable, value)
            patch.setenv("INFLUXDB_V2_TOKEN", "a token")
            settings()


def test_every_variable_of_haproxy_is_one_that_it_asks_for() -> None:
    files = ("haproxy.cfg", "leave")
    known = {name for file in files for name in re.findall(r"[A-Z][A-Z_0-9]+", (ROOT / "haproxy" / file).read_text())}
    found = overlay("local")
    workload = Workload("Deployment", "haproxy", of_kind(found, "Deployment")["haproxy"])
    given = environment(workload, workload.main, found)
    assert set(given) - {"NAMESPACE"} <= known
    # Search domains are not tried.
    assert given["BROKER_FQDN"] == "broker.$(NAMESPACE).svc.cluster.local"
    assert given["API_FQDN"] == "api.$(NAMESPACE).svc.cluster.local"


def test_haproxy_and_the_nodes_agree_on_the_proxy_protocol() -> None:
    found = overlay("local")
    deployments = of_kind(found, "Deployment")
    told = {
        name: environment(workload, workload.main, found)
        for name in ("haproxy", "broker", "api")
        for workload in [Workload("Deployment", name, deployments[name])]
    }
    assert told["haproxy"]["BROKER_SEND_PROXY"]
    assert told["broker"]["BROKER_PROXY_PROTOCOL"] == "true"
    # So the mirror, which does not speak it, goes by way of HAProxy.
    assert told["api"]["MIRROR_URL"] == "mqtt://haproxy:1883"


@every_overlay
def test_what_runs_for_good_has_all_three_probes(name: str) -> None:
    for workload in workloads(overlay(name)):
        if workload.kind == "Job":
            continue
        for container in workload.pod["containers"]:
            # What waits for a day, beside CouchDB, hangs for no longer than its server does.
            probes = {"readinessProbe"} if container["name"] == "setup" else PROBES
            assert probes <= set(container), workload.name


@every_overlay
def test_an_api_serves_also_where_a_store_is_away_from_the_start(name: str) -> None:
    [api] = [each for each in workloads(overlay(name)) if each.name == "api"]
    [container] = api.pod["containers"]
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"]["path"] == "/healthz"


@every_overlay
def test_a_store_that_is_away_restarts_nothing(name: str) -> None:
    for workload in workloads(overlay(name)):
        for container in workload.pod["containers"]:
            path = container.get("livenessProbe", {}).get("httpGet", {}).get("path")
            assert path in {None, "/healthz", "/health", "/_up"}, workload.name


def test_every_port_of_a_service_is_one_of_its_pods(tmp_path: Path) -> None:
    for found in (*map(overlay, OVERLAYS), monitored(tmp_path)):
        pods = list(workloads(found))
        for service in of_kind(found, "Service").values():
            selected = [each for each in pods if _has(each, service["spec"]["selector"])]
            assert selected, service["metadata"]["name"]
            for each in selected:
                ports = {port["name"]: port["containerPort"] for c in each.containers for port in c.get("ports", [])}
                for port in service["spec"]["ports"]:
                    assert port["targetPort"] in ports, f"{each.name}: {port}"
                    if service["spec"].get("clusterIP") == "None":
                        # There is nothing between that could translate it.
                        assert port["port"] == ports[port["targetPort"]], each.name
        for monitor in of_kind(found, "PodMonitor").values():
            (scraped,) = [each for each in pods if _has(each, monitor["spec"]["selector"]["matchLabels"])]
            for endpoint in monitor["spec"]["podMetricsEndpoints"]:
                assert endpoint["port"] in {port["name"] for port in scraped.main["ports"]}


def test_every_backend_of_an_ingress_is_a_port_of_a_service() -> None:
    for name in ("ibm-cloud", "staging"):
        found = overlay(name)
        services = of_kind(found, "Service")
        for ingress in of_kind(found, "Ingress").values():
            (rule,) = ingress["spec"]["rules"]
            assert [{"hosts": [rule["host"]], "secretName": "campus-tls"}] == ingress["spec"]["tls"]
            for path in rule["http"]["paths"]:
                backend = path["backend"]["service"]
                ports = {port["name"] for port in services[backend["name"]]["spec"]["ports"]}
                assert backend["port"]["name"] in ports


def test_operations_are_not_for_the_internet() -> None:
    found = overlay("ibm-cloud")
    paths = [path for each in of_kind(found, "Ingress").values() for path in each["spec"]["rules"][0]["http"]["paths"]]
    for operation in ("/metrics", "/healthz", "/readyz", "/stats"):
        for path in paths:
            assert operation != path["path"]
            assert not (path["pathType"] == "Prefix" and f"{operation}/".startswith(path["path"].rstrip("/") + "/"))
    (outside,) = [each for each in of_kind(found, "Service").values() if each["spec"].get("type") == "LoadBalancer"]
    assert [port["targetPort"] for port in outside["spec"]["ports"]] == ["mqtts"]


def test_staging_has_no_load_balancer() -> None:
    assert not [each for each in of_kind(overlay("staging"), "Service").values() if "type" in each["spec"]]


def _has(workload: Workload, labels: dict[str, Any]) -> bool:
    return labels.items() <= workload.labels.items()


def test_an_overlay_that_has_a_table_of_kinds_gives_it_to_all_who_read_it(tmp_path: Path) -> None:
    """As the README shows it."""
    shown = re.search(r"```yaml\n(configMapGenerator:\n.*?)```", (K8S / "README.md").read_text(), re.DOTALL)
    assert shown
    folder = kustomization(
        tmp_path / "own", namespace="campus", resources=["overlays/local"], **yaml.safe_load(shown[1])
    )
    shutil.copy(ROOT / "core" / "kinds.json", folder)
    found = documents(folder)

    maps = of_kind(found, "ConfigMap")
    [name] = [name for name in maps if name.startswith("kinds-")]
    assert [kind["id"] for kind in json.loads(maps[name]["data"]["kinds.json"])["kinds"]] == ["car", "mobile"]
    readers = {
        workload.name
        for workload in workloads(found)
        for volume in workload.pod["volumes"]
        if volume.get("configMap", {}).get("name") == name
    }
    assert readers == {"broker", "decoder", "api", "users", "couchdb"}
    for workload in workloads(found):
        if workload.name in readers:
            [container] = [each for each in workload.containers if "campus/" in each["image"]]
            assert environment(workload, container, found)["KINDS_FILE"] == "/etc/campus/kinds.json"
            assert {"name": "kinds", "mountPath": "/etc/campus", "readOnly": True} in container["volumeMounts"]
