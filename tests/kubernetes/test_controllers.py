"""What the controllers of Kubernetes make of an overlay that is applied. No node runs it: tests say who is ready."""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from controller.kubernetes_registry import KubernetesRegistry
from core.errors import UnavailableError
from deploy.k8s.make_secrets import make
from deploy.k8s.render import with_named_jobs
from tests.deploy.k8s_manifests import K8S, kustomization, rendered
from tests.kubernetes.control_plane import ControlPlane, RefusedError
from tests.redis_servers.process import until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]  # with the start of a control plane
LIMIT_SECONDS = 120.0
PODS = {
    "haproxy": 2,
    "broker": 2,
    "decoder": 2,
    "api": 2,
    "controller": 1,
    "redis": 1,
    "redis-keys": 1,
    "couchdb": 1,
    "influxdb": 1,
    "users": 1,
    "api-key": 1,
}
"""Of the overlay `local`."""
NAMESPACE = "campus-running"
"""Of its own: where something lies already, a dry run of the same is another thing, and other tests make such."""
ACCOUNT = f"system:serviceaccount:{NAMESPACE}:controller"


def pods(plane: ControlPlane, namespace: str = NAMESPACE) -> Counter[str]:
    """How many there are, by what they are."""
    return Counter(
        each["metadata"]["labels"]["app.kubernetes.io/name"] for each in plane.get("pods", "--namespace", namespace)
    )


def jobs(plane: ControlPlane) -> set[str]:
    return {each["metadata"]["name"] for each in plane.get("jobs", "--namespace", NAMESPACE)}


def generations(plane: ControlPlane) -> dict[str, int]:
    """How often what runs pods was changed."""
    found = plane.get("deployments,statefulsets,jobs", "--namespace", NAMESPACE)
    return {f"{each['kind']}/{each['metadata']['name']}": each["metadata"]["generation"] for each in found}


@pytest.fixture(scope="module")
def overlay(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The overlay `local` in this namespace."""
    return kustomization(tmp_path_factory.mktemp("here") / "own", namespace=NAMESPACE, resources=["overlays/local"])


@pytest.fixture(scope="module")
def local(plane: ControlPlane, overlay: Path, tmp_path_factory: pytest.TempPathFactory) -> ControlPlane:
    """It is applied with its secrets, as deploy/k8s/README.md says."""
    manifest = with_named_jobs(rendered(overlay))
    secrets = tmp_path_factory.mktemp("credentials")
    make(secrets, [])
    text = (K8S / "credentials/local/kustomization.yaml").read_text()
    assert text.count("namespace: campus\n") == 1
    (secrets / "kustomization.yaml").write_text(text.replace("namespace: campus\n", f"namespace: {NAMESPACE}\n"))
    [namespace] = [each for each in yaml.safe_load_all(manifest) if each["kind"] == "Namespace"]
    plane.kubectl("apply", "--filename", "-", given=yaml.safe_dump(namespace))
    plane.kubectl("apply", "--kustomize", secrets)
    plane.kubectl("apply", "--filename", "-", given=manifest)
    return plane


def test_every_secret_that_a_pod_mounts_is_there(local: ControlPlane) -> None:
    there = {each["metadata"]["name"] for each in local.get("secrets", "--namespace", NAMESPACE)}
    mounted = {
        volume["secret"]["secretName"]
        for each in local.get("deployments,statefulsets,jobs", "--namespace", NAMESPACE)
        for volume in each["spec"]["template"]["spec"].get("volumes", [])
        if "secret" in volume
    }
    assert {"broker", "decoder", "api", "redis", "campus-tls"} <= mounted
    assert mounted <= there


def test_the_pods_are_made(local: ControlPlane) -> None:
    until(lambda: pods(local) == Counter(PODS), "all pods are made", limit=LIMIT_SECONDS)


def test_each_budget_knows_its_pods(local: ControlPlane) -> None:
    def expected() -> dict[str, int]:
        budgets = local.get("poddisruptionbudgets", "--namespace", NAMESPACE)
        return {each["metadata"]["name"]: each.get("status", {}).get("expectedPods", 0) for each in budgets}

    wanted = {name: PODS[name] for name in ("haproxy", "broker", "decoder", "api")}
    until(lambda: expected() == wanted, "the budgets have counted", limit=LIMIT_SECONDS)


def test_applied_again_nothing_changes_and_a_new_image_changes_what_has_it(local: ControlPlane, overlay: Path) -> None:
    manifest = with_named_jobs(rendered(overlay))
    before, made = generations(local), jobs(local)
    local.kubectl("apply", "--filename", "-", given=manifest)
    assert (generations(local), jobs(local)) == (before, made)

    newer = with_named_jobs(rendered(overlay).replace("campus/broker:dev", "campus/broker:newer"))
    for _ in range(2):
        local.kubectl("apply", "--filename", "-", given=newer)
    after = generations(local)
    [new] = jobs(local) - made
    assert re.fullmatch("users-[0-9a-f]{8}", new)
    assert made <= jobs(local), "the old one goes by itself when it has ended"
    assert {name for name in before if after[name] != before[name]} == {"Deployment/broker"}
    until(lambda: pods(local)["users"] == 2, "the new Job has made its pod", limit=LIMIT_SECONDS)


def test_a_job_that_keeps_its_name_cannot_get_another_image(local: ControlPlane, overlay: Path) -> None:
    """What `python -m deploy.k8s.render` is there for."""
    [users] = [
        each
        for each in yaml.safe_load_all(rendered(overlay))
        if (each["kind"], each["metadata"]["name"]) == ("Job", "users")
    ]
    local.apply(yaml.safe_dump(users))
    with pytest.raises(RefusedError, match="field is immutable"):
        local.apply(yaml.safe_dump(users).replace("campus/broker:dev", "campus/broker:newer"))
    local.kubectl("delete", "job", "--namespace", NAMESPACE, "users")


def test_the_pods_of_a_rollout_are_spread_by_themselves(local: ControlPlane) -> None:
    """The API server puts the hash of the version into each constraint: others are not counted."""
    for each in local.get("pods", "--namespace", NAMESPACE, "--selector", "app.kubernetes.io/name=haproxy"):
        version = each["metadata"]["labels"]["pod-template-hash"]
        for constraint in each["spec"]["topologySpreadConstraints"]:
            assert constraint["matchLabelKeys"] == ["pod-template-hash"]
            assert {"key": "pod-template-hash", "operator": "In", "values": [version]} in constraint["labelSelector"][
                "matchExpressions"
            ]


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        (("list", "endpointslices.discovery.k8s.io", "--namespace", NAMESPACE), "yes"),
        (("list", "endpointslices.discovery.k8s.io", "--namespace", "kube-system"), "no"),
        (("get", "secrets", "--namespace", NAMESPACE), "no"),
        (("create", "pods", "--namespace", NAMESPACE), "no"),
        (("list", "pods", "--namespace", NAMESPACE), "no"),
    ],
)
def test_the_controller_may_read_endpoint_slices_and_nothing_else(
    local: ControlPlane, question: tuple[str, ...], answer: str
) -> None:
    try:
        said = local.kubectl("auth", "can-i", *question, f"--as={ACCOUNT}").strip()
    except RefusedError as no:  # its exit code says it, too
        said = str(no).strip()
    assert said.splitlines()[-1] == answer


async def test_the_controller_finds_an_application_with_its_own_token(local: ControlPlane, tmp_path: Path) -> None:
    local.kubectl("apply", "--filename", "-", given=yaml.safe_dump_all(an_application()))
    local.kubectl(
        *("patch", "pod", "--namespace", NAMESPACE, "update-schuman-2", "--subresource=status", "--patch"),
        json.dumps(
            {
                "status": {
                    "phase": "Running",
                    "podIP": "10.244.1.7",
                    "podIPs": [{"ip": "10.244.1.7"}],
                    "conditions": [{"type": "Ready", "status": "True"}],
                }
            }
        ),
    )
    until(lambda: "10.244.1.7" in slices(local), "the slice has the pod", limit=LIMIT_SECONDS)
    account = tmp_path / "account"
    account.mkdir()
    (account / "token").write_text(local.kubectl("create", "token", "--namespace", NAMESPACE, "controller"))
    (account / "ca.crt").write_bytes(local.authority.pair.certificate.read_bytes())
    (account / "namespace").write_text(NAMESPACE)
    async with aiohttp.ClientSession() as session:
        registry = KubernetesRegistry(session=session, url=local.url, namespace="", account=account)
        [found] = await registry.instances()
        assert (found.app, found.version, found.name) == ("update-schuman", "2", "update-schuman-2")
        assert (found.address, found.port, found.healthy) == ("10.244.1.7", 8090, True)
        elsewhere = KubernetesRegistry(session=session, url=local.url, namespace="kube-system", account=account)
        with pytest.raises(UnavailableError, match="403"):
            await elsewhere.instances()


def slices(plane: ControlPlane) -> str:
    return plane.kubectl("get", "endpointslices", "--namespace", NAMESPACE, "--selector", "campus.app", "-o", "yaml")


def an_application() -> list[dict[str, Any]]:
    name = "update-schuman-2"
    of = {"app.kubernetes.io/name": name}
    restricted = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    # A pod without a node that exists is in no slice.
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "somewhere"}}
    versioned = {"campus.app": "update-schuman", "campus.version": "2"}
    return [
        node,
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name, "namespace": NAMESPACE, "labels": {**of, **versioned}},
            "spec": {"clusterIP": "None", "selector": of, "ports": [{"name": "http", "port": 8090}]},
        },
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": NAMESPACE, "labels": of},
            "spec": {
                "nodeName": "somewhere",
                "containers": [{"name": "app", "image": "app:2", "securityContext": restricted}],
            },
        },
    ]


def test_priorities_and_the_quota_hold(plane: ControlPlane, tmp_path: Path) -> None:
    folder = kustomization(
        tmp_path / "quota",
        namespace="campus-quota",
        resources=["overlays/local"],
        components=["components/quota", "components/api-scaling"],
    )
    manifest = rendered(folder)
    [namespace] = [each for each in yaml.safe_load_all(manifest) if each["kind"] == "Namespace"]
    plane.apply(yaml.safe_dump(namespace))
    plane.apply(with_named_jobs(manifest))
    until(lambda: pods(plane, "campus-quota") == Counter(PODS), "all pods are made", limit=LIMIT_SECONDS)
    priorities = {
        each["metadata"]["labels"]["app.kubernetes.io/name"]: each["spec"]["priority"]
        for each in plane.get("pods", "--namespace", "campus-quota")
    }
    first = {name for name, priority in priorities.items() if priority == 2000}
    assert first == {"haproxy", "broker", "redis", "redis-keys"}
    assert {priority for name, priority in priorities.items() if name not in first} == {1000}

    [quota] = plane.get("resourcequotas", "--namespace", "campus-quota")
    assert quota["status"]["used"]["pods"] == "15"
    plane.kubectl("scale", "--namespace", "campus-quota", "deployment/haproxy", "--replicas=100")

    def refused() -> str:
        [haproxy] = plane.get("deployments", "--namespace", "campus-quota", "--field-selector", "metadata.name=haproxy")
        conditions = {each["type"]: each["message"] for each in haproxy["status"].get("conditions", [])}
        return str(conditions.get("ReplicaFailure", ""))

    said = until(refused, "the quota has stopped it", limit=LIMIT_SECONDS)
    assert "exceeded quota: campus" in said
    assert pods(plane, "campus-quota")["haproxy"] < 40
    plane.kubectl("delete", "namespace", "campus-quota", "--wait=false")
