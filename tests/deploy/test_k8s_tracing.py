"""The component `tracing`: who sends spans where, and that the way there is open at both ends."""

from pathlib import Path

import pytest

from tests.deploy.k8s_manifests import K8S, OVERLAYS, Document, documents, kustomization, of_kind, workloads
from tests.deploy.test_k8s_schemas import VERSIONS, validate


def with_tracing(folder: Path, overlay: str = "local") -> list[Document]:
    return documents(
        kustomization(
            folder / "with", namespace="campus", resources=[f"overlays/{overlay}"], components=["components/tracing"]
        )
    )


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_decoders_and_apis_are_told_where_spans_go(tmp_path: Path, overlay: str) -> None:
    found = with_tracing(tmp_path, overlay)
    [name] = [each for each in of_kind(found, "ConfigMap") if each.startswith("settings-")]
    settings = of_kind(found, "ConfigMap")[name]["data"]
    assert settings["TRACES_URL"] == "http://jaeger.campus-observability:4318"
    assert settings["TRACES_SHARE"] == "0.001"
    assert settings["LOG_FORMAT"] == "json", "and the rest is as it was"
    told = {
        workload.name
        for workload in workloads(found)
        for container in workload.containers
        if {"configMapRef": {"name": name}} in container.get("envFrom", [])
    }
    assert {"decoder", "api"} <= told
    for document in found:
        validate(document, VERSIONS[-1])


def test_the_way_is_open_at_both_ends_and_for_nobody_else(tmp_path: Path) -> None:
    services, watching = with_tracing(tmp_path), documents(K8S / "observability")
    [out] = of_kind(services, "NetworkPolicy")["to-traces"]["spec"]["egress"]
    [way] = of_kind(watching, "NetworkPolicy")["jaeger"]["spec"]["ingress"]
    assert out["ports"] == way["ports"] == [{"port": 4318}]
    [target] = out["to"]
    assert target["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "campus-observability"}
    jaeger = of_kind(watching, "Deployment")["jaeger"]
    assert target["podSelector"]["matchLabels"].items() <= jaeger["spec"]["template"]["metadata"]["labels"].items()
    [sender] = way["from"]
    assert sender["podSelector"]["matchLabels"] == {"app.kubernetes.io/part-of": "campus"}
    who = [{"key": "app.kubernetes.io/name", "operator": "In", "values": ["decoder", "api"]}]
    assert sender["podSelector"]["matchExpressions"] == who
    assert of_kind(services, "NetworkPolicy")["to-traces"]["spec"]["podSelector"]["matchExpressions"] == who
    for name in ("decoder", "api"):
        labels = of_kind(services, "Deployment")[name]["spec"]["template"]["metadata"]["labels"]
        assert labels["app.kubernetes.io/part-of"] == "campus"


def test_without_it_nothing_is_traced() -> None:
    for overlay in OVERLAYS:
        for settings in of_kind(documents(K8S / "overlays" / overlay), "ConfigMap").values():
            assert "TRACES_URL" not in settings.get("data", {})
