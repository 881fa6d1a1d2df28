"""The component `zones`: a front in each of three zones, and what works behind it in different ones."""

from pathlib import Path

import pytest

from tests.deploy.k8s_kinds import ibm_cloud_with, validate
from tests.deploy.k8s_manifests import Document, of_kind, workloads

ZONE = "service.kubernetes.io/ibm-load-balancer-cloud-provider-zone"


@pytest.fixture
def found(tmp_path: Path) -> list[Document]:
    return ibm_cloud_with(tmp_path, "zones")


def test_its_documents_are_valid(found: list[Document]) -> None:
    for document in found:
        validate(document)


def test_each_zone_has_a_load_balancer_and_they_are_alike_otherwise(found: list[Document]) -> None:
    fronts = [each for each in of_kind(found, "Service").values() if each["spec"].get("type") == "LoadBalancer"]
    assert {each["metadata"]["name"]: each["metadata"]["annotations"].pop(ZONE) for each in fronts} == {
        "mqtt": "eu-de-1",
        "mqtt-2": "eu-de-2",
        "mqtt-3": "eu-de-3",
    }
    first, *others = fronts
    assert len(first["metadata"]["annotations"]) == 2
    for each in others:
        assert each["spec"] == first["spec"]
        assert each["metadata"]["annotations"] == first["metadata"]["annotations"]


def test_there_is_a_front_for_each_of_them(found: list[Document]) -> None:
    assert of_kind(found, "Deployment")["haproxy"]["spec"]["replicas"] == 3
    assert of_kind(found, "HorizontalPodAutoscaler")["broker"]["spec"]["minReplicas"] == 3


def test_what_works_behind_is_spread_over_zones_and_nodes(found: list[Document]) -> None:
    spread = {
        each.name: {
            (constraint["topologyKey"], constraint["whenUnsatisfiable"])
            for constraint in each.pod["topologySpreadConstraints"]
            if constraint["labelSelector"]["matchLabels"] == {"app.kubernetes.io/name": each.name}
            and constraint["matchLabelKeys"] == ["pod-template-hash"]
        }
        for each in workloads(found)
        if each.name in {"haproxy", "broker", "decoder", "api"}
    }
    both = {("kubernetes.io/hostname", "ScheduleAnyway"), ("topology.kubernetes.io/zone", "ScheduleAnyway")}
    assert spread == {"haproxy": both, "broker": both, "decoder": both, "api": both}
