"""The Helm chart in a real API server: all that it can render is taken, and it is installed, changed and taken away."""

import os
import subprocess
from collections import Counter
from pathlib import Path

import pytest
import yaml

from tests.helm.executable import CHART, helm, rendered
from tests.kubernetes.control_plane import ControlPlane
from tests.kubernetes.test_apply import applied
from tests.redis_servers.process import until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]  # with the start of a control plane
NAMESPACE = "chart"
IBM = ("-f", str(CHART / "values-ibm-cloud.yaml"))
COMPONENTS = (
    "keda",
    "monitoring",
    "tracing",
    "customMetrics",
    "apiScaling",
    "quota",
    "backup",
    "certManager",
    "externalSecrets",
)


def on(*values: str) -> tuple[str, str]:
    return ("--set", ",".join(f"{each}.enabled=true" for each in values))


@pytest.mark.parametrize(
    "values",
    [
        (),
        ("--set", "redis.mode=cluster", *on(*COMPONENTS, "gateway", "gatewayMqtts")),
        (*IBM, *on(*COMPONENTS, "zones")),
    ],
    ids=["by itself", "everything", "ibm-cloud"],
)
def test_all_that_it_renders_is_taken(namespaces: ControlPlane, values: tuple[str, ...]) -> None:
    manifest = rendered(*values)
    documents = [each for each in yaml.safe_load_all(manifest) if each]
    assert ("Pod", "smoke") in {(each["kind"], each["metadata"]["name"]) for each in documents}
    assert len(applied(namespaces.apply(manifest, "--dry-run=server"))) == len(documents)


class Release:
    """One of the chart, in a namespace of its own. No pod ever runs there, so nobody waits, and there are no hooks."""

    def __init__(self, plane: ControlPlane, folder: Path) -> None:
        self._plane = plane
        self._folder = folder

    def helm(self, *arguments: str | Path) -> str:
        done = subprocess.run(
            [helm(), *arguments, "--namespace", NAMESPACE],
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(self._folder),
                "KUBECONFIG": str(self._plane.administrator),
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def kinds(self) -> Counter[str]:
        """What there is, without what others make of it."""
        kinds = (
            "deployments,statefulsets,services,configmaps,networkpolicies,horizontalpodautoscalers,poddisruptionbudgets"
        )
        found = self._plane.get(f"{kinds},roles,rolebindings,serviceaccounts", "--namespace", NAMESPACE)
        label = "app.kubernetes.io/managed-by"
        return Counter(each["kind"] for each in found if each["metadata"].get("labels", {}).get(label) == "Helm")

    def generations(self) -> dict[str, int]:
        found = self._plane.get("deployments,statefulsets", "--namespace", NAMESPACE)
        return {each["metadata"]["name"]: each["metadata"]["generation"] for each in found}

    def image(self, deployment: str) -> str:
        [found] = [
            each
            for each in self._plane.get("deployments", "--namespace", NAMESPACE)
            if each["metadata"]["name"] == deployment
        ]
        image: str = found["spec"]["template"]["spec"]["containers"][0]["image"]
        return image


def test_it_is_installed_changed_taken_back_and_taken_away(plane: ControlPlane, tmp_path: Path) -> None:
    namespace = (CHART.parent / "k8s/base/namespace.yaml").read_text().replace("name: campus\n", f"name: {NAMESPACE}\n")
    plane.apply(namespace)
    plane.kubectl("wait", "--namespace", NAMESPACE, "--for=create", "--timeout=120s", "serviceaccount/default")
    release = Release(plane, tmp_path)

    release.helm("install", "campus", CHART, "--no-hooks")
    installed = release.kinds()
    assert installed == {
        "Deployment": 5,
        "StatefulSet": 3,
        "Service": 6,
        "ConfigMap": 6,
        "NetworkPolicy": 12,
        "HorizontalPodAutoscaler": 1,
        "PodDisruptionBudget": 4,
        "Role": 1,
        "RoleBinding": 1,
        "ServiceAccount": 1,
    }
    until(
        lambda: len(plane.get("pods", "--namespace", NAMESPACE)) >= 9 + 3,
        "there are pods of all of them, which Pod Security has let in",
        limit=120.0,
    )

    before = release.generations()
    release.helm("upgrade", "campus", CHART, "--no-hooks", "--reuse-values")
    assert release.generations() == before, "what is as it was is left alone"

    changed = ("--set", "image.digests.broker=sha256:" + "a" * 64, "--set", "settings.LOG_LEVEL=debug")
    release.helm("upgrade", "campus", CHART, "--no-hooks", "--reuse-values", *changed)
    assert release.image("broker") == "campus/broker@sha256:" + "a" * 64
    after = release.generations()
    assert {name for name in after if after[name] != before[name]} == {
        "haproxy",
        "broker",
        "decoder",
        "api",
        "controller",
    }
    assert release.kinds()["ConfigMap"] == 7, "that of the release before is still there for its pods"

    release.helm("rollback", "campus", "1", "--no-hooks")
    assert release.image("broker") == "campus/broker:dev"

    release.helm("uninstall", "campus", "--no-hooks")
    assert release.kinds() == {"ConfigMap": 7}
