"""Everything in deploy/k8s is what a real API server takes: schemas, admission, definitions of the kinds of others."""

import re
from pathlib import Path

import pytest
import yaml

from deploy.k8s.render import with_named_jobs
from tests.deploy.k8s_manifests import K8S, OVERLAYS, kustomization, rendered
from tests.kubernetes.control_plane import ControlPlane, RefusedError

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]  # with the start of a control plane
DRY = "--dry-run=server"
UPON = {"redis": "", "redis-cluster": "", "couchdb": ""}
"""Which overlay a component is added to, where that is not `ibm-cloud`; nothing: an overlay has it already."""
OBSERVABILITY = K8S / "observability"


def applied(said: str) -> list[str]:
    """What kubectl says of each object: KIND/NAME."""
    return re.findall(r"^(\S+) serverside-applied", said, re.MULTILINE)


@pytest.mark.parametrize("name", OVERLAYS)
def test_an_overlay_is_taken(namespaces: ControlPlane, name: str) -> None:
    manifest = with_named_jobs(rendered(K8S / "overlays" / name))
    assert len(applied(namespaces.apply(manifest, DRY))) == len(list(yaml.safe_load_all(manifest)))


@pytest.mark.parametrize("component", sorted(path.name for path in (K8S / "components").iterdir()))
def test_a_component_is_taken(namespaces: ControlPlane, tmp_path: Path, component: str) -> None:
    overlay = UPON.get(component, "ibm-cloud")
    used = yaml.safe_load((K8S / "overlays" / (overlay or "local") / "kustomization.yaml").read_text())["components"]
    if not overlay or f"../../components/{component}" in used:
        everywhere = [
            path
            for name in OVERLAYS
            for path in yaml.safe_load((K8S / "overlays" / name / "kustomization.yaml").read_text()).get(
                "components", []
            )
        ]
        assert f"../../components/{component}" in everywhere, "no overlay has it, and nothing says what it is added to"
        return
    folder = kustomization(
        tmp_path / "with", namespace="campus", resources=[f"overlays/{overlay}"], components=[f"components/{component}"]
    )
    manifest = with_named_jobs(rendered(folder))
    assert manifest != with_named_jobs(rendered(K8S / "overlays" / overlay)), "it changes nothing"
    assert len(applied(namespaces.apply(manifest, DRY))) == len(list(yaml.safe_load_all(manifest)))


@pytest.mark.skipif(not OBSERVABILITY.exists(), reason="there is none")
def test_what_watches_is_taken_in_its_own_namespace(namespaces: ControlPlane) -> None:
    manifest = rendered(OBSERVABILITY)
    [namespace] = [each for each in yaml.safe_load_all(manifest) if each["kind"] == "Namespace"]
    namespaces.apply(yaml.safe_dump(namespace))
    assert len(applied(namespaces.apply(manifest, DRY))) == len(list(yaml.safe_load_all(manifest)))


def pod(**container: object) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "somebody-elses", "namespace": "campus"},
        "spec": {"containers": [{"name": "shell", "image": "debian:12", **container}]},
    }


@pytest.mark.parametrize(
    ("security", "words"),
    [({}, "allowPrivilegeEscalation"), ({"privileged": True}, "privileged"), ({"runAsUser": 0}, "runAsUser=0")],
)
def test_a_pod_that_is_not_restricted_is_refused(
    namespaces: ControlPlane, security: dict[str, object], words: str
) -> None:
    with pytest.raises(RefusedError, match='violates PodSecurity "restricted:latest"') as refused:
        namespaces.apply(yaml.safe_dump(pod(securityContext=security)), DRY)
    assert words in str(refused.value)


def test_a_deployment_whose_pods_would_be_refused_is_a_warning_and_a_warning_fails(namespaces: ControlPlane) -> None:
    [broker] = [
        each
        for each in yaml.safe_load_all(rendered(K8S / "overlays" / "local"))
        if (each["kind"], each["metadata"]["name"]) == ("Deployment", "broker")
    ]
    broker["spec"]["template"]["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = True
    with pytest.raises(RefusedError, match=r"would violate PodSecurity.*allowPrivilegeEscalation"):
        namespaces.apply(yaml.safe_dump(broker), DRY)


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("minReplicaCount: 1", "minReplicas: 1", "minReplicas"),
        ("pollingInterval: 15", "pollingInterval: often", "pollingInterval"),
        ("terminationGracePeriodSeconds: 90", "terminationGracePeriod: 90", "terminationGracePeriod"),
    ],
)
def test_what_no_kind_has_is_refused(namespaces: ControlPlane, before: str, after: str, words: str) -> None:
    """Else these tests would say nothing of the kinds that others define."""
    manifest = rendered(K8S / "overlays" / "ibm-cloud")
    assert before in manifest
    with pytest.raises(RefusedError, match=words):
        namespaces.apply(manifest.replace(before, after), DRY)
