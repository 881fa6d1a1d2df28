"""The components `quota` and `api-scaling`: who comes first, how much all may take, how many APIs there may be."""

from pathlib import Path

import pytest

from tests.deploy.k8s_manifests import (
    Document,
    Workload,
    documents,
    environment,
    kustomization,
    of_kind,
    quantity,
    workloads,
)

GIB = 1024**3
FIRST = {"redis", "redis-keys", "haproxy", "broker"}
every_overlay = pytest.mark.parametrize("name", ["local", "local-cluster", "ibm-cloud"])


def bounded(folder: Path, name: str) -> list[Document]:
    """An overlay with both."""
    return documents(
        kustomization(
            folder / name,
            namespace="campus",
            resources=[f"overlays/{name}"],
            components=["components/quota", "components/api-scaling"],
        )
    )


def most(found: list[Document], workload: Workload) -> int:
    """Pods of it while all of it is rolled out with as many as its scaling may make: also those that are leaving."""
    counts = {
        each["spec"]["scaleTargetRef"]["name"]: each["spec"].get("maxReplicas") or each["spec"]["maxReplicaCount"]
        for kind in ("HorizontalPodAutoscaler", "ScaledObject")
        for each in of_kind(found, kind).values()
    }
    count = int(counts.get(workload.name, workload.document["spec"].get("replicas", 1)))
    surges = "rollingUpdate" in workload.document["spec"].get("strategy", {})
    # Brokers and HAProxies drain for a minute and more.
    return count * (2 if workload.name in {"broker", "haproxy"} else 1) + surges


def needed(found: list[Document], kind: str, what: str) -> float:
    """All that pods of an installation may ask for at once. A pod needs what its greatest init container does, too."""
    total = 0.0
    for workload in workloads(found):
        beside = sum(quantity(each["resources"][kind][what]) for each in workload.pod["containers"])
        before = [quantity(each["resources"][kind][what]) for each in workload.pod.get("initContainers", [])]
        total += most(found, workload) * max([beside, *before])
    return total


@every_overlay
def test_what_scaling_and_a_rollout_may_take_is_within_the_quota(tmp_path: Path, name: str) -> None:
    found = bounded(tmp_path, name)
    hard = of_kind(found, "ResourceQuota")["campus"]["spec"]["hard"]
    assert hard.keys() == {
        *("requests.cpu", "requests.memory", "limits.memory", "pods", "persistentvolumeclaims", "requests.storage"),
        *("count/jobs.batch", "services.nodeports", "services.loadbalancers"),
    }
    for key, kind, what in (
        ("requests.cpu", "requests", "cpu"),
        ("requests.memory", "requests", "memory"),
        ("limits.memory", "limits", "memory"),
    ):
        wanted = needed(found, kind, what)
        assert 1.2 * wanted <= quantity(hard[key]) <= 2 * wanted, key
    assert sum(most(found, each) for each in workloads(found)) * 1.2 <= int(hard["pods"])
    claims = [
        (each.document["spec"]["replicas"], quantity(claim["spec"]["resources"]["requests"]["storage"]))
        for each in workloads(found)
        for claim in each.document["spec"].get("volumeClaimTemplates", [])
    ]
    assert sum(count for count, _ in claims) <= int(hard["persistentvolumeclaims"])
    assert sum(count * size for count, size in claims) <= quantity(hard["requests.storage"])


@every_overlay
def test_who_acknowledges_comes_first(tmp_path: Path, name: str) -> None:
    found = bounded(tmp_path, name)
    classes = {name: each["value"] for name, each in of_kind(found, "PriorityClass").items()}
    assert classes["campus-first"] > classes["campus-next"] > 0
    for workload in workloads(found):
        wanted = "campus-first" if workload.name in FIRST else "campus-next"
        assert workload.pod["priorityClassName"] == wanted, workload.name


@every_overlay
def test_haproxy_has_room_for_every_api_and_its_successor(tmp_path: Path, name: str) -> None:
    found = bounded(tmp_path, name)
    scaled = of_kind(found, "HorizontalPodAutoscaler")["api"]["spec"]
    api = of_kind(found, "Deployment")["api"]
    assert scaled["minReplicas"] >= 2
    assert "replicas" not in api["spec"], "each apply would take them back"
    haproxy = Workload("Deployment", "haproxy", of_kind(found, "Deployment")["haproxy"])
    assert 2 * scaled["maxReplicas"] <= int(environment(haproxy, haproxy.main, found)["API_SLOTS"])
    # Half of the processor that its limit is, by what is requested.
    request = quantity(api["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"]["cpu"])
    [metric] = scaled["metrics"]
    assert metric["resource"]["target"]["averageUtilization"] / 100 * request == pytest.approx(0.5)
