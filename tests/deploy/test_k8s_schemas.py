"""Each manifest is what Kubernetes knows: no field too many, none missing, no value of another type."""

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from kubernetes_validate import utils as kubernetes

from tests.deploy.k8s_manifests import K8S, OVERLAYS, Document, documents, monitored, of_kind, overlay

VERSIONS = ("1.32", kubernetes.latest_version())
"""The oldest that the manifests are for, and the newest whose schemas there are."""


def strict(required: list[str], **properties: Any) -> Document:
    return {"type": "object", "additionalProperties": False, "required": required, "properties": properties}


def listed(items: Document) -> Document:
    return {"type": "array", "minItems": 1, "items": items}


TEXT: Document = {"type": "string"}
NUMBER: Document = {"type": "integer", "minimum": 0}
DURATION: Document = {"type": "string", "pattern": r"^\d+[smh]$"}
POLICY = strict(
    ["type", "value", "periodSeconds"], type={"enum": ["Pods", "Percent"]}, value=NUMBER, periodSeconds=NUMBER
)
RULES = strict(["policies"], stabilizationWindowSeconds=NUMBER, policies=listed(POLICY))
HPA = strict(["behavior"], behavior=strict([], scaleUp=RULES, scaleDown=RULES))
TRIGGER = strict(
    ["type", "metadata"],
    type={"const": "redis-streams"},
    metadata=strict(["stream", "streamLength"], stream=TEXT, streamLength=TEXT),
    authenticationRef=strict(["name"], name=TEXT),
)
# Written by hand, of the fields that are used here, after the CRDs of KEDA 2 and the Prometheus Operator: no package of
# PyPI carries those as schemas.
CUSTOM: dict[tuple[str, str], Document] = {
    ("keda.sh/v1alpha1", "ScaledObject"): strict(
        ["scaleTargetRef", "triggers"],
        scaleTargetRef=strict(["name"], name=TEXT),
        minReplicaCount=NUMBER,
        maxReplicaCount=NUMBER,
        pollingInterval=NUMBER,
        advanced=strict([], horizontalPodAutoscalerConfig=HPA),
        triggers=listed(TRIGGER),
    ),
    ("keda.sh/v1alpha1", "TriggerAuthentication"): strict(
        ["secretTargetRef"],
        secretTargetRef=listed(strict(["parameter", "name", "key"], parameter=TEXT, name=TEXT, key=TEXT)),
    ),
    ("monitoring.coreos.com/v1", "PodMonitor"): strict(
        ["selector", "podMetricsEndpoints"],
        selector=strict(["matchLabels"], matchLabels={"type": "object", "additionalProperties": TEXT}),
        podMetricsEndpoints=listed(strict(["port"], port=TEXT, path=TEXT, interval=DURATION)),
    ),
}


@pytest.fixture(autouse=True, scope="module")
def _schemas_are_read_once() -> Iterator[None]:
    """They are a megabyte for each document, which would take most of the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kubernetes, "schema_contents", functools.cache(kubernetes.schema_contents))
        yield


def validate(document: Document, version: str) -> None:
    schema = CUSTOM.get((document["apiVersion"], document["kind"]))
    if schema is None:
        kubernetes.validate(document, version, strict=True)
    else:
        assert set(document) == {"apiVersion", "kind", "metadata", "spec"}
        Draft202012Validator(schema).validate(document["spec"])


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", OVERLAYS)
def test_every_document_of_an_overlay_is_valid(name: str, version: str) -> None:
    for document in overlay(name):
        validate(document, version)


def test_every_document_of_the_optional_components_is_valid(tmp_path: Path) -> None:
    found = monitored(tmp_path)
    assert of_kind(found, "PodMonitor").keys() == {"haproxy", "broker", "decoder", "api"}
    for document in found:
        validate(document, VERSIONS[-1])


def test_a_field_that_kubernetes_does_not_know_is_noticed() -> None:
    broker = of_kind(overlay("local"), "Deployment")["broker"]
    broker["spec"]["template"]["spec"]["terminationGracePeriod"] = 90
    with pytest.raises(kubernetes.ValidationError):
        validate(broker, VERSIONS[-1])


def test_a_field_that_keda_does_not_know_is_noticed() -> None:
    scaled = of_kind(overlay("ibm-cloud"), "ScaledObject")["decoder"]
    scaled["spec"]["minReplicas"] = 1
    with pytest.raises(ValidationError):
        validate(scaled, VERSIONS[-1])


@pytest.mark.parametrize(
    ("name", "namespace"),
    [("local", "campus"), ("local-cluster", "campus"), ("ibm-cloud", "campus"), ("staging", "campus-staging")],
)
def test_everything_of_an_overlay_is_in_its_namespace(name: str, namespace: str) -> None:
    for document in overlay(name):
        if document["kind"] == "Namespace":
            assert document["metadata"]["name"] == namespace
        else:
            assert document["metadata"]["namespace"] == namespace, document


@pytest.mark.parametrize("name", OVERLAYS)
def test_everything_of_an_overlay_can_be_found_by_its_label(name: str) -> None:
    for document in overlay(name):
        assert document["metadata"]["labels"]["app.kubernetes.io/part-of"] == "campus", document["metadata"]["name"]


def test_every_component_is_part_of_something() -> None:
    used = {"components/monitoring", "components/custom-metrics"}
    for name in OVERLAYS:
        made = yaml.safe_load((K8S / "overlays" / name / "kustomization.yaml").read_text())
        used |= {path.removeprefix("../../") for path in made.get("components", [])}
    assert used == {f"components/{path.name}" for path in (K8S / "components").iterdir()}


def test_the_base_renders_by_itself() -> None:
    assert of_kind(documents(K8S / "base"), "Deployment").keys() == {"haproxy", "broker", "decoder", "api"}
