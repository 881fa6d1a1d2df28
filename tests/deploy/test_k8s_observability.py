"""Logs in Kubernetes: a namespace beside that of the services, and what each of its pods may do."""

import re

import pytest

from tests.deploy.k8s_manifests import K8S, ROOT, Document, documents, of_kind, workloads
from tests.deploy.test_k8s_schemas import VERSIONS, validate


@pytest.fixture(scope="module")
def found() -> list[Document]:
    return documents(K8S / "observability")


@pytest.mark.parametrize("version", VERSIONS)
def test_every_document_is_valid(found: list[Document], version: str) -> None:
    for document in found:
        validate(document, version)


def test_all_of_it_is_in_a_namespace_of_its_own(found: list[Document]) -> None:
    (namespace,) = of_kind(found, "Namespace")
    assert namespace == "campus-observability"
    assert {each["metadata"].get("namespace") for each in found if each["kind"] != "Namespace"} == {namespace}


def test_only_what_reads_the_logs_of_a_node_is_root_and_it_can_do_no_more_than_read(found: list[Document]) -> None:
    for workload in workloads(found):
        assert workload.pod["automountServiceAccountToken"] is False, workload.name
        paths = [volume["hostPath"]["path"] for volume in workload.pod.get("volumes", []) if "hostPath" in volume]
        assert paths == (["/var/log/pods"] if workload.name == "logs" else []), workload.name
        for container in workload.containers:
            own = container["securityContext"]
            user = own.get("runAsUser", workload.pod["securityContext"].get("runAsUser"))
            reads = (workload.name, container["name"]) == ("logs", "logs")
            assert (user == 0) is reads, container["name"]
            assert own["allowPrivilegeEscalation"] is False, container["name"]
            wanted = {"drop": ["ALL"], "add": ["DAC_READ_SEARCH"]} if reads else {"drop": ["ALL"]}
            assert own["capabilities"] == wanted, container["name"]
            assert container["resources"]["limits"]["memory"], container["name"]
    [shipper] = of_kind(found, "DaemonSet")["logs"]["spec"]["template"]["spec"]["containers"]
    [mount] = [each for each in shipper["volumeMounts"] if each["name"] == "pods"]
    assert mount["readOnly"] is True


def test_files_are_those_of_the_pods_of_the_namespace_of_the_services(found: list[Document]) -> None:
    [shipper] = of_kind(found, "DaemonSet")["logs"]["spec"]["template"]["spec"]["containers"]
    told = {each["name"]: each["value"] for each in shipper["env"]}
    assert told == {"LOG_STORE_URL": "http://opensearch:9200", "LOG_FILES": "/var/log/pods/campus_*/*/*.lo*[g0-9]"}


def test_logs_take_no_more_than_the_volume_has_and_this_is_looked_at_each_five_minutes(found: list[Document]) -> None:
    job = of_kind(found, "CronJob")["logs-retention"]["spec"]
    assert job["schedule"] == "*/5 * * * *"
    [retention] = job["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    told = {each["name"]: each["value"] for each in retention["env"]}
    assert (told["LOG_KEEP_DAYS"], told["LOG_KEEP_BYTES"]) == ("7", "12000000000")
    [volume] = of_kind(found, "StatefulSet")["opensearch"]["spec"]["volumeClaimTemplates"]
    assert volume["spec"]["resources"]["requests"]["storage"] == "20Gi"


def test_the_store_is_reached_by_what_ships_shows_and_forgets_alone(found: list[Document]) -> None:
    policies = of_kind(found, "NetworkPolicy")
    assert policies["nothing"]["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    [rule] = policies["opensearch"]["spec"]["ingress"]
    peer, asking = rule["from"]
    assert asking == {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "campus"}},
        "podSelector": {"matchLabels": {"app.kubernetes.io/name": "blackbox-exporter"}},
    }
    assert peer["podSelector"]["matchExpressions"] == [
        {
            "key": "app.kubernetes.io/name",
            "operator": "In",
            "values": ["logs", "logs-retention", "opensearch-dashboards"],
        }
    ]


def test_images_are_those_of_the_compose_file(found: list[Document]) -> None:
    images = {container["image"] for workload in workloads(found) for container in workload.containers}
    compose = (ROOT / "docker-compose.yml").read_text()
    for image in images - {"campus/logs:dev", "campus/setup:dev"}:
        assert re.search(rf"_IMAGE:-{re.escape(image)}\}}", compose), image
