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
LIMIT_SECONDS = 600.0
NAMESPACE = "chart"
NAME = "app.kubernetes.io/name"
SERVICES = {"haproxy", "broker", "decoder", "api", "controller"}
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
    documents = [each for each in yaml.safe_load_all(rendered(*values)) if each]
    assert ("Pod", "smoke") in {(each["kind"], each["metadata"]["name"]) for each in documents}
    # Pods are refused whose class there is not, also by a dry run.
    classes = yaml.safe_dump_all([each for each in documents if each["kind"] == "PriorityClass"])
    if classes:
        namespaces.apply(classes)
    try:
        said = namespaces.apply(yaml.safe_dump_all(documents), "--dry-run=server")
    finally:
        if classes:
            namespaces.kubectl("delete", "--filename", "-", given=classes)
    assert len(applied(said)) == len(documents)


class Release:
    """One of the chart, in a namespace of its own. No node runs its pods: those that are to end, the test says have."""

    def __init__(self, plane: ControlPlane, folder: Path) -> None:
        self._plane = plane
        self._folder = folder

    def helm(self, *arguments: str | Path) -> str:
        with (self._folder / "helm.log").open("w+") as log:
            process = subprocess.Popen(
                [helm(), *arguments, "--namespace", NAMESPACE, "--timeout", "10m"],
                env={
                    "PATH": os.environ["PATH"],
                    "HOME": str(self._folder),
                    "KUBECONFIG": str(self._plane.administrator),
                },
                stdout=log,
                stderr=subprocess.STDOUT,
            )
            until(lambda: self._ended(process), f"helm {arguments[0]} ends", limit=LIMIT_SECONDS)
            log.seek(0)
            said = log.read()
        assert process.returncode == 0, said
        return said

    def _ended(self, process: subprocess.Popen[bytes]) -> bool:
        selector = f"{NAME} in (users, api-key, smoke)"
        for pod in self._plane.get("pods", "--namespace", NAMESPACE, "--selector", selector):
            if pod["status"]["phase"] == "Pending":
                self._plane.kubectl(
                    *("patch", "pod", "--namespace", NAMESPACE, pod["metadata"]["name"], "--subresource=status"),
                    *("--patch", '{"status": {"phase": "Succeeded"}}'),
                )
        return process.poll() is not None

    def kinds(self) -> Counter[str]:
        """What there is, without what others make of it."""
        workloads = "deployments,statefulsets,services,horizontalpodautoscalers,poddisruptionbudgets"
        rest = "configmaps,networkpolicies,roles,rolebindings,serviceaccounts"
        found = self._plane.get(
            f"{workloads},{rest}", "--namespace", NAMESPACE, "--selector", "app.kubernetes.io/managed-by=Helm"
        )
        return Counter(each["kind"] for each in found if each["kind"] != "EndpointSlice")

    def generations(self) -> dict[str, int]:
        found = self._plane.get("deployments,statefulsets", "--namespace", NAMESPACE)
        return {each["metadata"]["name"]: each["metadata"]["generation"] for each in found}

    def image(self, deployment: str) -> str:
        found = self._plane.get("deployments", "--namespace", NAMESPACE)
        [image] = [
            str(each["spec"]["template"]["spec"]["containers"][0]["image"])
            for each in found
            if each["metadata"]["name"] == deployment
        ]
        return image


def test_it_is_installed_tested_changed_taken_back_and_taken_away(plane: ControlPlane, tmp_path: Path) -> None:
    namespace = (CHART.parent / "k8s/base/namespace.yaml").read_text().replace("name: campus\n", f"name: {NAMESPACE}\n")
    plane.apply(namespace)
    plane.kubectl("wait", "--namespace", NAMESPACE, "--for=create", "--timeout=120s", "serviceaccount/default")
    release = Release(plane, tmp_path)
    # Where this is tried again, what the first try left is in the way.
    release.helm("uninstall", "campus", "--ignore-not-found")

    release.helm("install", "campus", CHART)
    assert release.kinds() == {
        "Deployment": 5,
        "StatefulSet": 4,
        "Service": 7,
        "HorizontalPodAutoscaler": 1,
        "PodDisruptionBudget": 4,
        "ConfigMap": 6,
        "NetworkPolicy": 14,
        "Role": 1,
        "RoleBinding": 1,
        "ServiceAccount": 1,
    }
    until(
        lambda: len(plane.get("pods", "--namespace", NAMESPACE, "--selector", f"{NAME} notin (users, api-key)")) == 13,
        "there are pods of all of them, which Pod Security has let in",
        limit=LIMIT_SECONDS,
    )
    assert "Phase:          Succeeded" in release.helm("test", "campus")

    before = release.generations()
    release.helm("upgrade", "campus", CHART, "--reuse-values")
    assert release.generations() == before, "what is as it was is left alone"

    changed = ("--set", "image.digests.broker=sha256:" + "a" * 64, "--set", "settings.LOG_LEVEL=debug")
    release.helm("upgrade", "campus", CHART, "--reuse-values", *changed)
    assert release.image("broker") == "campus/broker@sha256:" + "a" * 64
    after = release.generations()
    # CouchDB has a container of ours beside it, which sets it up.
    assert {name for name in after if after[name] != before[name]} == SERVICES | {"couchdb"}
    assert release.kinds()["ConfigMap"] == 7, "that of the release before is still there for its pods"

    release.helm("rollback", "campus", "1")
    assert release.image("broker") == "campus/broker:dev"

    release.helm("uninstall", "campus")
    # Of the last, the policy of `helm test`.
    assert release.kinds() == {"ConfigMap": 7, "NetworkPolicy": 1}
