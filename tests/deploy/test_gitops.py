"""The examples for Argo CD and Flux: fields that their APIs have, and an overlay that there is."""

from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from tests.deploy.k8s_manifests import OVERLAYS, ROOT, Document, of_kind, overlay
from tests.deploy.test_k8s_schemas import DURATION, NUMBER, TEXT, listed, strict

FOLDER = ROOT / "examples" / "gitops"
YES: Document = {"const": True}
# Written by hand, of the fields that are used here, after the definitions of Argo CD 3 and Flux 2.
KNOWN: dict[tuple[str, str], Document] = {
    ("argoproj.io/v1alpha1", "Application"): strict(
        ["project", "source", "destination"],
        project=TEXT,
        source=strict(["repoURL", "path"], repoURL=TEXT, targetRevision=TEXT, path=TEXT),
        destination=strict(["server", "namespace"], server=TEXT, namespace=TEXT),
        syncPolicy=strict(
            [],
            automated=strict([], prune=YES, selfHeal=YES),
            syncOptions=listed({"type": "string", "pattern": r"^[A-Z]\w+=true$"}),
            retry=strict([], limit=NUMBER, backoff=strict([], duration=DURATION, factor=NUMBER, maxDuration=DURATION)),
        ),
    ),
    ("source.toolkit.fluxcd.io/v1", "GitRepository"): strict(
        ["interval", "url"], interval=DURATION, url=TEXT, ref=strict(["branch"], branch=TEXT)
    ),
    ("kustomize.toolkit.fluxcd.io/v1", "Kustomization"): strict(
        ["interval", "prune", "sourceRef"],
        interval=DURATION,
        retryInterval=DURATION,
        timeout=DURATION,
        wait=YES,
        prune=YES,
        deletionPolicy={"enum": ["MirrorPrune", "Delete", "WaitForTermination", "Orphan"]},
        sourceRef=strict(["kind", "name"], kind=TEXT, name=TEXT),
        path=TEXT,
    ),
}
FILES = sorted(FOLDER.glob("*.yaml"))


def documents(path: Path) -> list[Document]:
    return list(yaml.safe_load_all(path.read_text()))


def everything() -> list[Document]:
    return [each for path in FILES for each in documents(path)]


def validate(document: Document) -> None:
    assert set(document) == {"apiVersion", "kind", "metadata", "spec"}
    Draft202012Validator(KNOWN[document["apiVersion"], document["kind"]]).validate(document["spec"])


def test_each_document_has_fields_that_its_api_has() -> None:
    found = everything()
    assert {(each["apiVersion"], each["kind"]) for each in found} == set(KNOWN)
    for each in found:
        validate(each)


@pytest.mark.parametrize("wrong", [{"pathh": "x"}, {"deletionPolicy": "Keep"}, {"interval": 60}, {"prune": False}])
def test_what_is_not_of_the_api_is_noticed(wrong: Document) -> None:
    [flux] = of_kind(everything(), "Kustomization").values()
    with pytest.raises(ValidationError):
        validate({**flux, "spec": {**flux["spec"], **wrong}})


def test_both_apply_the_overlay_that_there_is_where_it_belongs() -> None:
    [argo] = of_kind(everything(), "Application").values()
    [flux] = of_kind(everything(), "Kustomization").values()
    for path in (argo["spec"]["source"]["path"], flux["spec"]["path"]):
        folder = (ROOT / path).relative_to(ROOT / "deploy" / "k8s" / "overlays")
        assert str(folder) in OVERLAYS
        [namespace] = of_kind(overlay(str(folder)), "Namespace")
        assert namespace == argo["spec"]["destination"]["namespace"]


def test_flux_takes_it_from_the_repository_beside_it() -> None:
    [repository] = of_kind(everything(), "GitRepository").values()
    [flux] = of_kind(everything(), "Kustomization").values()
    assert flux["spec"]["sourceRef"] == {"kind": "GitRepository", "name": repository["metadata"]["name"]}
    assert flux["metadata"]["namespace"] == repository["metadata"]["namespace"]


def test_to_delete_either_leaves_the_data_alone() -> None:
    [argo] = of_kind(everything(), "Application").values()
    [flux] = of_kind(everything(), "Kustomization").values()
    assert "finalizers" not in argo["metadata"]
    assert flux["spec"]["deletionPolicy"] == "Orphan"


def test_what_scaling_decides_is_in_no_deployment() -> None:
    """Else the two would take it back, again and again."""
    found = overlay("ibm-cloud")
    scaled = {
        each["spec"]["scaleTargetRef"]["name"]
        for kind in ("HorizontalPodAutoscaler", "ScaledObject")
        for each in of_kind(found, kind).values()
    }
    assert scaled == {"broker", "decoder"}
    for name in scaled:
        assert "replicas" not in of_kind(found, "Deployment")[name]["spec"]


def test_jobs_can_be_made_anew_by_both() -> None:
    jobs = of_kind(overlay("ibm-cloud"), "Job")
    assert jobs.keys() == {"users", "api-key"}
    for job in jobs.values():
        annotations = job["metadata"]["annotations"]
        assert annotations["argocd.argoproj.io/hook"] == "Sync"
        assert annotations["argocd.argoproj.io/hook-delete-policy"] == "BeforeHookCreation"
        assert annotations["kustomize.toolkit.fluxcd.io/force"] == "enabled"


def test_no_document_is_said_to_have_been_run() -> None:
    text = (FOLDER / "README.md").read_text()
    for path in FILES:
        [line] = [line for line in text.splitlines() if f"kubectl apply -f examples/gitops/{path.name}" in line]
        assert "(not run)" in line
