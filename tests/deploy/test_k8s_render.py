"""What `kubectl apply` is given: Jobs that never have to be changed."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from deploy.k8s.render import with_named_jobs
from tests.deploy.k8s_manifests import K8S, OVERLAYS, ROOT, Document, kubectl, kustomization, of_kind, rendered

every_overlay = pytest.mark.parametrize("name", OVERLAYS)


def jobs(text: str) -> dict[str, Document]:
    """By the name without digits."""
    return {
        re.sub("-[0-9a-f]{8}$", "", name): job for name, job in of_kind(list(yaml.safe_load_all(text)), "Job").items()
    }


@every_overlay
def test_only_the_names_of_jobs_differ_from_what_kustomize_renders(name: str) -> None:
    plain = rendered(K8S / "overlays" / name)
    before, after = list(yaml.safe_load_all(plain)), list(yaml.safe_load_all(with_named_jobs(plain)))
    assert len(before) == len(after)
    named = 0
    for was, is_now in zip(before, after, strict=True):
        if was["kind"] == "Job":
            name_now = is_now["metadata"].pop("name")
            assert re.fullmatch(was["metadata"].pop("name") + "-[0-9a-f]{8}", name_now)
            named += 1
        assert was == is_now
    assert named == (3 if name == "local-cluster" else 2)


def test_another_image_is_another_job_and_what_is_the_same_keeps_its_name() -> None:
    plain = rendered(K8S / "overlays" / "local")
    first = jobs(with_named_jobs(plain))
    again = jobs(with_named_jobs(plain))
    newer = jobs(with_named_jobs(plain.replace("campus/broker:dev", "campus/broker:newer")))
    names = [{name: job["metadata"]["name"] for name, job in each.items()} for each in (first, again, newer)]
    assert names[0] == names[1]
    assert names[0]["users"] != names[2]["users"]
    assert names[0]["api-key"] == names[2]["api-key"], "the API's image is as it was"


def test_another_setting_of_a_job_is_another_job(tmp_path: Path) -> None:
    folder = kustomization(
        tmp_path / "kinds",
        namespace="campus",
        resources=["overlays/local"],
        configMapGenerator=[{"name": "settings", "behavior": "merge", "literals": ["LOG_LEVEL=debug"]}],
    )
    first = jobs(with_named_jobs(rendered(K8S / "overlays" / "local")))
    other = jobs(with_named_jobs(rendered(folder)))
    # That of the API key is told no setting.
    assert first["users"]["metadata"]["name"] != other["users"]["metadata"]["name"]


def test_what_is_no_rendered_job_is_refused_and_not_passed_on() -> None:
    with pytest.raises(ValueError, match="no Job as kustomize writes one"):
        with_named_jobs("apiVersion: batch/v1\nkind: Job\nmetadata: {name: users}\nspec: {}\n")


@pytest.mark.parametrize("python", [sys.executable, "python3"])
def test_the_command_renders_an_overlay_and_reads_what_was_rendered(python: str) -> None:
    """Also by a Python where nothing is installed."""
    overlay = K8S / "overlays" / "local"
    wanted = with_named_jobs(rendered(overlay))
    piped = subprocess.run(
        [python, "-I", "deploy/k8s/render.py", "-"],
        cwd=ROOT,
        input=rendered(overlay),
        capture_output=True,
        text=True,
        check=True,
    )
    assert piped.stdout == wanted
    made = subprocess.run(
        [python, "deploy/k8s/render.py", str(overlay)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": f"{Path(kubectl()).parent}:/usr/bin:/bin"},
    )
    assert made.stdout == wanted


@every_overlay
def test_those_who_apply_by_themselves_know_how_to_replace_a_job(name: str) -> None:
    for job, document in jobs(rendered(K8S / "overlays" / name)).items():
        notes = document["metadata"]["annotations"]
        assert notes["argocd.argoproj.io/hook"] == "Sync"
        assert notes["argocd.argoproj.io/hook-delete-policy"] == "BeforeHookCreation"
        assert notes["kustomize.toolkit.fluxcd.io/force"] == "enabled"
        # What makes a cluster of the members must not wait until all is ready, as a hook of Helm may.
        assert ("helm.sh/hook" in notes) is (job != "redis-cluster")
        # Those of former releases go by themselves.
        assert document["spec"]["ttlSecondsAfterFinished"] == 600
