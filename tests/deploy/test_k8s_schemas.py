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

from tests.deploy.k8s_manifests import K8S, OVERLAYS, Document, documents, kustomization, monitored, of_kind, overlay

OPTIONAL = (
    "monitoring",
    "monitoring-logs",
    "custom-metrics",
    "gateway-api",
    "gateway",
    "gateway-mqtts",
    "cert-manager",
    "external-secrets",
    "zones",
    "api-scaling",
    "quota",
    "backup",
    "tracing",
    "analytics",
)
"""Components that no overlay has: people add them to theirs."""
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
LABELS: Document = {"type": "object", "minProperties": 1, "additionalProperties": TEXT}
PODS = strict(["labelSelectors"], labelSelectors=LABELS)
RELABELING = strict(["targetLabel"], sourceLabels=listed(TEXT), targetLabel=TEXT, replacement=TEXT)
RULE = strict(
    ["expr"],
    alert=TEXT,
    record=TEXT,
    expr=TEXT,
    labels=LABELS,
    annotations=LABELS,
    **{"for": {"type": "string", "pattern": r"^(\d+[smhd])+$"}},
)
REFERENCE = strict(["name"], name=TEXT, port=NUMBER, weight=NUMBER)
PATH = strict(["type", "value"], type={"enum": ["Exact", "PathPrefix"]}, value={"type": "string", "pattern": "^/"})
# Written by hand, of the fields that are used here, after the CRDs of KEDA 2, the Prometheus Operator, the Gateway API
# 1.3, Flagger 1.36 and Chaos Mesh 2: no package of PyPI carries those as schemas.
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
    ("gateway.networking.k8s.io/v1", "HTTPRoute"): strict(
        ["parentRefs", "rules"],
        parentRefs=listed(strict(["name"], name=TEXT)),
        rules=listed(
            strict(
                ["backendRefs"],
                matches=listed(
                    strict(["path"], path=PATH, headers=listed(strict(["name", "value"], name=TEXT, value=TEXT)))
                ),
                backendRefs=listed(REFERENCE),
            )
        ),
    ),
    ("flagger.app/v1beta1", "Canary"): strict(
        ["targetRef", "service", "analysis"],
        provider={"const": "gatewayapi:v1"},
        targetRef=strict(["kind", "name"], apiVersion=TEXT, kind={"enum": ["Deployment"]}, name=TEXT),
        service=strict(
            ["port"],
            port=NUMBER,
            targetPort={"type": ["string", "integer"]},
            gatewayRefs=listed(strict(["name"], group=TEXT, kind=TEXT, name=TEXT)),
        ),
        analysis=strict(
            ["interval", "threshold"],
            interval=DURATION,
            threshold=NUMBER,
            stepWeights=listed(NUMBER),
            metrics=listed(
                strict(["name"], name=TEXT, interval=DURATION, thresholdRange=strict([], min=NUMBER, max=NUMBER))
            ),
        ),
    ),
    ("chaos-mesh.org/v1alpha1", "NetworkChaos"): strict(
        ["action", "mode", "selector"],
        action={"enum": ["netem", "delay", "loss", "duplicate", "corrupt", "partition", "bandwidth"]},
        mode={"enum": ["one", "all", "fixed", "fixed-percent", "random-max-percent"]},
        selector=PODS,
        direction={"enum": ["to", "from", "both"]},
        target=strict(["mode", "selector"], mode=TEXT, selector=PODS),
        delay=strict(["latency"], latency=DURATION),
        duration=DURATION,
    ),
    ("monitoring.coreos.com/v1", "PodMonitor"): strict(
        ["selector", "podMetricsEndpoints"],
        jobLabel=TEXT,
        selector=strict(["matchLabels"], matchLabels={"type": "object", "additionalProperties": TEXT}),
        podMetricsEndpoints=listed(
            strict(
                ["port"],
                port=TEXT,
                path=TEXT,
                interval=DURATION,
                params={"type": "object", "additionalProperties": listed(TEXT)},
                relabelings=listed(RELABELING),
            )
        ),
    ),
    ("monitoring.coreos.com/v1", "PrometheusRule"): strict(
        ["groups"], groups=listed(strict(["name", "rules"], name=TEXT, rules=listed(RULE)))
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
    services = {"haproxy", "broker", "decoder", "api", "controller"}
    assert of_kind(found, "PodMonitor").keys() == services | {"certificate", "logs"}
    for document in found:
        validate(document, VERSIONS[-1])


@pytest.mark.parametrize("name", ["local", "ibm-cloud"])
def test_every_document_with_a_quota_and_an_api_that_is_scaled_is_valid(tmp_path: Path, name: str) -> None:
    components = ["components/quota", "components/api-scaling"]
    found = documents(
        kustomization(tmp_path / "more", namespace="campus", resources=[f"overlays/{name}"], components=components)
    )
    assert of_kind(found, "PriorityClass").keys() == {"campus-first", "campus-next"}
    for document in found:
        validate(document, VERSIONS[-1])


def test_versions_by_the_gateway_api_flagger_and_chaos_mesh_are_valid(tmp_path: Path) -> None:
    found = documents(kustomization(tmp_path / "gateway", namespace="campus", components=["components/gateway-api"]))
    assert sorted(document["kind"] for document in found) == ["Canary", "HTTPRoute", "NetworkChaos"]
    for document in found:
        validate(document, VERSIONS[-1])
    [route] = of_kind(found, "HTTPRoute").values()
    weights = [backend["weight"] for backend in route["spec"]["rules"][-1]["backendRefs"]]
    assert sum(weights) == 100
    [chaos] = of_kind(found, "NetworkChaos").values()
    assert chaos["spec"]["duration"] == "60s", "a fault that nobody ends stays"


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
    used = {f"components/{name}" for name in OPTIONAL}
    for name in OVERLAYS:
        made = yaml.safe_load((K8S / "overlays" / name / "kustomization.yaml").read_text())
        used |= {path.removeprefix("../../") for path in made.get("components", [])}
    assert used == {f"components/{path.name}" for path in (K8S / "components").iterdir()}


def test_the_base_renders_by_itself() -> None:
    assert of_kind(documents(K8S / "base"), "Deployment").keys() == {
        "haproxy",
        "broker",
        "decoder",
        "api",
        "controller",
    }
