"""The scripts of a release, with a registry, a cluster and scanners that only note what they are told."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import missing
from tests.deploy.k8s_manifests import kubectl

ROOT = Path(__file__).resolve().parents[2]
RELEASE = ROOT / ".github" / "release"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
OLDER = "f" * 40
IMAGES = ("api", "broker", "controller", "decoder", "haproxy")
PREFIX = "registry.example/campus"

# A command that appends its arguments, and what it reads where it reads, to the file CALLS, and answers with what the
# test has put into the folder ANSWERS.
FAKE = """#!/usr/bin/env bash
set -eu
name=$(basename "$0")
printf '%s' "$name" >>"$CALLS"
printf ' %s' "$@" >>"$CALLS"
echo >>"$CALLS"
for argument in "$@"; do
  if [ "$argument" = - ]; then cat >>"$ANSWERS/read"; fi
done
if [ "$name" = kubectl ] && [ "$1" = kustomize ]; then exec "$KUBECTL" "$@"; fi
if [ "$name" = kubectl ] && [ "$1" = apply ]; then cp "${3:--}" "$ANSWERS/applied" 2>/dev/null || true; fi
while IFS='|' read -r pattern code text; do
  if [[ "$name $*" == *$pattern* ]]; then
    printf '%b' "$text"
    exit "$code"
  fi
done <"$ANSWERS/answers"
"""


class Tools:
    """The PATH of a script, and what it did with it."""

    def __init__(self, folder: Path, *names: str) -> None:
        self._bin = folder / "bin"
        self._answers = folder / "answers"
        self._bin.mkdir()
        self._answers.mkdir()
        self._calls = folder / "calls"
        self._calls.touch()
        for name in names:
            fake = self._bin / name
            fake.write_text(FAKE)
            fake.chmod(0o755)
        self.answer()

    def answer(self, *answers: tuple[str, int, str]) -> None:
        """Exit code and output of the first command line that holds a text; of all others 0 and none."""
        lines = [f"{text}|{code}|{output}\n" for text, code, output in answers]
        (self._answers / "answers").write_text("".join(lines))

    def run(self, script: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        if shutil.which("jq") is None:
            missing("jq", "apt install jq")
        return subprocess.run(
            [str(RELEASE / script), *arguments],
            cwd=ROOT,
            env={
                "PATH": f"{self._bin}:{os.environ['PATH']}",
                "CALLS": str(self._calls),
                "ANSWERS": str(self._answers),
                "KUBECTL": kubectl() if (self._bin / "kubectl").exists() else "",
                "IMAGE_PREFIX": PREFIX,
                "GITHUB_SERVER_URL": "https://github.example",
                "GITHUB_REPOSITORY": "someone/campus",
                **environment,
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    @property
    def calls(self) -> list[str]:
        return self._calls.read_text().splitlines()

    @property
    def applied(self) -> list[dict[str, Any]]:
        return list(yaml.safe_load_all((self._answers / "applied").read_text()))


def digest(image: str) -> str:
    return f"sha256:{image.encode().hex():0>64}"


def named(images: Sequence[str] = IMAGES) -> str:
    return "".join(f"{image}={PREFIX}/{image}@{digest(image)}\n" for image in images)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    path = tmp_path / "images"
    path.write_text(named())
    return path


@pytest.fixture
def overlays(tmp_path: Path) -> Path:
    """A copy of them: what is rendered lies beside them for a moment, also that of other tests."""
    shutil.copytree(ROOT / "deploy" / "k8s", tmp_path / "k8s")
    return tmp_path / "k8s" / "overlays"


def test_the_images_of_a_commit_are_those_that_kubernetes_runs_by_digest(tmp_path: Path) -> None:
    tools = Tools(tmp_path, "kubectl", "docker")
    tools.answer(*[(f"/{image}:{COMMIT}", 0, digest(image)) for image in IMAGES])
    done = tools.run("resolve", str(ROOT), COMMIT)
    assert done.returncode == 0, done.stderr
    assert done.stdout == named()


def test_a_commit_that_was_never_delivered_is_told(tmp_path: Path) -> None:
    tools = Tools(tmp_path, "kubectl", "docker")
    tools.answer((":" + COMMIT, 1, ""))
    done = tools.run("resolve", str(ROOT), COMMIT)
    assert done.returncode == 1
    assert "was it delivered?" in done.stderr


@pytest.mark.parametrize(
    "line",
    ["broker=registry.example/broker:latest", f"broker=--x@{digest('b')}", "", f"a=b@{digest('b')} --flag", "$(id)=x"],
)
def test_a_line_that_names_no_digest_is_refused(tmp_path: Path, line: str) -> None:
    path = tmp_path / "images"
    path.write_text(named() + line + "\n" if line else "")
    assert Tools(tmp_path).run("images-of", str(path)).returncode == 1


def test_each_image_must_be_signed_by_the_delivery_of_that_commit(tmp_path: Path, images: Path) -> None:
    tools = Tools(tmp_path, "cosign")
    assert tools.run("verify", str(images), COMMIT).returncode == 0
    assert len(tools.calls) == len(IMAGES)
    identity = "https://github.example/someone/campus/.github/workflows/deliver.yml@refs/heads/main"
    for call in tools.calls:
        assert f"--certificate-identity {identity} " in call
        assert call.endswith(f"--certificate-github-workflow-sha {COMMIT}")
    tools.answer(("/decoder@", 1, ""))
    assert tools.run("verify", str(images), COMMIT).returncode == 1


@pytest.mark.parametrize(("name", "namespace"), [("staging", "campus-staging"), ("ibm-cloud", "campus")])
def test_an_overlay_is_applied_with_the_digests_and_waited_for(
    tmp_path: Path, images: Path, overlays: Path, name: str, namespace: str
) -> None:
    overlay = overlays / name
    beside = sorted(overlay.parent.iterdir())
    tools = Tools(tmp_path, "kubectl")
    tools.answer(("get deployments", 0, "deployment.apps/api\\ndeployment.apps/broker\\n"))
    done = tools.run("apply", str(overlay), str(images), COMMIT)
    assert done.returncode == 0, done.stderr
    run = {
        container["image"]
        for document in tools.applied
        if document["kind"] in {"Deployment", "StatefulSet", "Job"}
        for container in document["spec"]["template"]["spec"]["containers"]
    }
    assert {image for image in run if "@" in image} == {f"{PREFIX}/{image}@{digest(image)}" for image in IMAGES}
    assert {image.partition(":")[0] for image in run if "@" not in image} <= {"influxdb", "redis"}
    jobs = {document["metadata"]["name"] for document in tools.applied if document["kind"] == "Job"}
    assert {re.sub("-[0-9a-f]{8}$", "", job) for job in jobs} == {"users", "api-key"}
    assert not jobs & {"users", "api-key"}, "a Job of the last release would be changed, which cannot be"
    changes = [call for call in tools.calls if "kustomize" not in call]
    assert not [call for call in changes if " delete " in call]
    assert changes[0].startswith("kubectl apply --filename ")
    waits = [
        f"kubectl --namespace {namespace} rollout status deployment.apps/{each} --timeout 10m"
        for each in ("api", "broker")
    ]
    assert changes[2:4] == waits
    assert f"create configmap release --from-literal commit={COMMIT}" in changes[-2] + changes[-1]
    assert sorted(overlay.parent.iterdir()) == beside


def test_a_rollout_that_does_not_end_well_is_not_written_down(tmp_path: Path, images: Path, overlays: Path) -> None:
    tools = Tools(tmp_path, "kubectl")
    tools.answer(("get deployments", 0, "deployment.apps/api\\n"), ("rollout status", 1, ""))
    assert tools.run("apply", str(overlays / "staging"), str(images), COMMIT).returncode == 1
    assert not [call for call in tools.calls if "configmap release" in call]


def test_nothing_is_applied_while_an_image_is_missing(tmp_path: Path, images: Path, overlays: Path) -> None:
    images.write_text(named(IMAGES[1:]))
    tools = Tools(tmp_path, "kubectl")
    done = tools.run("apply", str(overlays / "staging"), str(images), COMMIT)
    assert done.returncode == 1
    assert "api" in done.stderr
    assert not [call for call in tools.calls if "kubectl apply" in call]


def test_what_runs_is_what_was_written_down(tmp_path: Path) -> None:
    tools = Tools(tmp_path, "kubectl")
    before = tmp_path / "before"
    record = json.dumps({"data": {"commit": OLDER, "images": named()}}).replace("\\n", "\\\\n")
    tools.answer(("get configmap release", 0, record))
    done = tools.run("running", "deploy/k8s/overlays/staging", str(before))
    assert done.stdout == OLDER + "\n", done.stderr
    assert before.read_text() == named()
    assert "--namespace campus-staging " in tools.calls[0]


def test_where_nothing_runs_yet_there_is_nothing_to_go_back_to(tmp_path: Path) -> None:
    done = Tools(tmp_path, "kubectl").run("running", "deploy/k8s/overlays/staging", str(tmp_path / "before"))
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize(
    "data", [{"commit": "main", "images": named()}, {"commit": OLDER, "images": "broker=x"}, {"commit": OLDER}]
)
def test_a_record_that_was_tampered_with_is_refused(tmp_path: Path, data: dict[str, str]) -> None:
    tools = Tools(tmp_path, "kubectl")
    tools.answer(("get configmap release", 0, json.dumps({"data": data}).replace("\\n", "\\\\n")))
    assert tools.run("running", "deploy/k8s/overlays/staging", str(tmp_path / "before")).returncode == 1


def test_both_platforms_of_each_image_are_scanned_and_one_finding_fails_all(tmp_path: Path) -> None:
    tools = Tools(tmp_path, "grype")
    assert tools.run("scan", "one@sha256:1", "two@sha256:2", GRYPE="grype").returncode == 0
    assert len(tools.calls) == 4
    assert all("--only-fixed --fail-on high" in call for call in tools.calls)
    tools.answer(("registry:one@sha256:1 --platform linux/arm64", 2, ""))
    done = tools.run("scan", "one@sha256:1", "two@sha256:2", GRYPE="grype")
    assert done.returncode == 1
    assert "one@sha256:1 (linux/arm64)" in done.stdout
    assert len(tools.calls) == 8


def report(*fixes: str) -> str:
    found = {"name": "broken", "version": "1", "vulns": [{"id": "PYSEC-1", "fix_versions": list(fixes)}]}
    return json.dumps({"dependencies": [found, {"name": "sound", "version": "2", "vulns": []}]})


def test_a_vulnerability_that_is_fixed_elsewhere_fails_the_audit_and_is_named(tmp_path: Path) -> None:
    tools = Tools(tmp_path, "pip-audit", "npm")
    tools.answer(("requirements/api.txt", 1, report("2", "3")), ("pip-audit", 0, '{"dependencies": []}'))
    done = tools.run("audit")
    assert done.returncode == 1
    assert "broken 1: PYSEC-1, fixed in 2, 3" in done.stdout
    locks = {f"requirements/{path.name}" for path in (ROOT / "requirements").glob("*.txt")}
    assert {call.split()[-1] for call in tools.calls if call.startswith("pip-audit")} == locks
    assert len([call for call in tools.calls if call.startswith("npm audit")]) >= 3


def test_a_vulnerability_that_nobody_has_fixed_does_not_fail_the_audit(tmp_path: Path) -> None:
    tools = Tools(tmp_path, "pip-audit", "npm")
    tools.answer(("pip-audit", 1, report()))
    done = tools.run("audit")
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("code", "text"), [(1, ""), (0, '{"dependencies": [{"name": "broken", "skip_reason": "not found"}]}')]
)
def test_an_audit_that_cannot_ask_fails(tmp_path: Path, code: int, text: str) -> None:
    tools = Tools(tmp_path, "pip-audit", "npm")
    tools.answer(("pip-audit", code, text))
    done = tools.run("audit")
    assert done.returncode == 1
    assert "could not be looked at" in done.stdout


def test_an_npm_package_with_a_high_vulnerability_fails_the_audit(tmp_path: Path) -> None:
    tools = Tools(tmp_path, "pip-audit", "npm")
    tools.answer(("npm audit --prefix tests/node", 1, ""), ("pip-audit", 0, '{"dependencies": []}'))
    done = tools.run("audit")
    assert done.returncode == 1
    assert "tests/node/package-lock.json" in done.stdout


class Tree:
    """A checkout with a version and a changelog."""

    def __init__(self, folder: Path, version: str, changelog: str) -> None:
        self.folder = folder / "tree"
        self.folder.mkdir()
        (self.folder / "pyproject.toml").write_text(f'[project]\nname = "x"\nversion = "{version}"\n')
        (self.folder / "CHANGELOG.md").write_text(changelog)


RELEASED = "# Changelog\n\n## Unreleased\n\n## 0.2.0 - 2026-12-01\n\n- A thing.\n\n## 0.1.0 - 2026-11-01\n\n- Old.\n"
CREATES = "gh release create v0.2.0 --repo someone/campus --target " + COMMIT


def released(tools: Tools) -> list[str]:
    return [call for call in tools.calls if call.startswith("gh release create")]


def test_a_commit_whose_changelog_gives_its_version_a_date_becomes_a_release(tmp_path: Path, images: Path) -> None:
    tools = Tools(tmp_path, "gh")
    done = tools.run("tag", str(Tree(tmp_path, "0.2.0", RELEASED).folder), COMMIT, str(images))
    assert done.returncode == 0, done.stderr
    [call] = released(tools)
    assert call.startswith(CREATES)


def test_the_text_of_a_release_is_its_section_and_the_digests_of_its_images(tmp_path: Path, images: Path) -> None:
    tools = Tools(tmp_path, "gh")
    fake = tmp_path / "bin" / "gh"
    fake.write_text(FAKE + 'if [ "$1" = release ]; then cp "${@: -1}" "$ANSWERS/notes"; fi\n')
    done = tools.run("tag", str(Tree(tmp_path, "0.2.0", RELEASED).folder), COMMIT, str(images))
    assert done.returncode == 0, done.stderr
    notes = (tmp_path / "answers" / "notes").read_text()
    assert notes.startswith("\n- A thing.\n")
    assert "Old" not in notes
    assert f"- {PREFIX}/broker@{digest('broker')}\n" in notes


@pytest.mark.parametrize(
    ("version", "changelog", "tags"),
    [
        ("0.3.0", RELEASED, ""),
        ("0.2.0", "## Unreleased\n\n- A thing.\n", ""),
        ("0.2.0", "## 0.2.0 - soon\n\n- A thing.\n", ""),
        ("0.2.0", RELEASED, "refs/tags/v0.2.0\\n"),
    ],
    ids=["another version", "unreleased", "no date", "tagged already"],
)
def test_any_other_commit_becomes_none_and_that_is_no_failure(
    tmp_path: Path, version: str, changelog: str, tags: str
) -> None:
    tools = Tools(tmp_path, "gh")
    tools.answer(("gh api", 0, tags))
    done = tools.run("tag", str(Tree(tmp_path, version, changelog).folder), COMMIT)
    assert done.returncode == 0, done.stderr
    assert released(tools) == []


def test_a_tag_of_a_longer_version_is_not_taken_for_this_one(tmp_path: Path) -> None:
    tools = Tools(tmp_path, "gh")
    tools.answer(("gh api", 0, "refs/tags/v0.2.0-rc1\\n"))
    assert tools.run("tag", str(Tree(tmp_path, "0.2.0", RELEASED).folder), COMMIT).returncode == 0
    assert len(released(tools)) == 1


@pytest.mark.parametrize(
    ("version", "changelog", "commit", "answer"),
    [
        ("0.2.0", RELEASED, "main", 0),
        ("next", RELEASED, COMMIT, 0),
        ("0.2.0", "## 0.2.0 - 2026-12-01\n\n## 0.1.0 - 2026-11-01\n", COMMIT, 0),
        ("0.2.0", RELEASED, COMMIT, 1),
    ],
    ids=["no commit", "no version", "nothing said", "tags unknown"],
)
def test_a_release_that_cannot_be_right_fails_and_makes_nothing(
    tmp_path: Path, version: str, changelog: str, commit: str, answer: int
) -> None:
    tools = Tools(tmp_path, "gh")
    tools.answer(("gh api", answer, ""))
    done = tools.run("tag", str(Tree(tmp_path, version, changelog).folder), commit)
    assert done.returncode != 0
    assert released(tools) == []


def test_the_images_say_the_version_of_the_project() -> None:
    [version] = re.findall(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    found = [*ROOT.glob("*/Dockerfile"), ROOT / "deploy/compose/Dockerfile"]
    assert {re.findall(r"^ARG VERSION=(.+)$", path.read_text(), re.MULTILINE)[0] for path in found} == {version}
