"""The whole system on a Kubernetes cluster of two nodes, with traffic, while all that happens to a cluster happens."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from core.clock import system_clock
from tests.containers.conftest import Figures
from tests.containers.numbered import Numbered
from tests.containers.results import differences, status, wait_until_done
from tests.containers.senders import LEAKS, Door, Sender, send_all
from tests.containers.stack import Stack, project
from tests.containers.test_track import FIXES, ON_CAMPUS, recorded
from tests.kubernetes.balancer import load_balancer
from tests.kubernetes.campus import DEPLOYMENTS, OURS, Campus, node_images, wait_for_replicas
from tests.kubernetes.control_plane import built, control_plane
from tests.kubernetes.machines import HERE, machines
from tests.kubernetes.nodes import cluster_dns, container_runtime, joined
from tests.kubernetes.traffic import Steady
from tests.ports import free_port
from tests.redis_servers.process import until

pytestmark = [pytest.mark.nodes, pytest.mark.timeout(3600), *LEAKS]
TRAFFIC = Numbered(prefix="nodes", day="2019-03-07")
RATE = 20.0
"""A second: a sender has 65,535 messages at the most."""
BUILD_SECONDS = 1800.0
BACK_SECONDS = 300.0
AWAY_SECONDS = 90.0
"""Longer than it takes the cluster to give up a node: GRACE_SECONDS and TOLERATED_SECONDS."""
GRACE_SECONDS = 30
TOLERATED_SECONDS = 20
PARTS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "coredns")


@pytest.fixture(scope="module")
def images(base_images: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, str], Path]:
    """Names of the images by those in the manifests, and the file that has them all."""
    folder = tmp_path_factory.mktemp("images")
    with project({**base_images, "IMAGE_PREFIX": "campus-e2e-run", "SECRETS_FOLDER": str(folder / "secrets")}) as stack:
        _build(stack)
    archive = folder / "images.tar"
    return node_images(base_images, "campus-e2e-run", archive, folder / "contexts"), archive


def _build(stack: Stack) -> None:
    stack.compose("build", *OURS, seconds=BUILD_SECONDS)


@pytest.fixture(scope="module")
def campus(
    images: tuple[dict[str, str], Path], figures: Figures, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Campus]:
    for part in PARTS:
        built(part)
    names, archive = images
    own = {name: tag for name, tag in names.items() if name != "pause"}
    # Not below pytest's folders: the path of a socket may have 107 bytes at the most.
    folder = tmp_path_factory.mktemp("n")
    with ExitStack() as stack:
        pair = stack.enter_context(machines(2, folder / "m"))
        plane = stack.enter_context(
            control_plane(
                folder / "plane",
                address=HERE,
                more={
                    "kube-apiserver": [
                        "--endpoint-reconciler-type=lease",
                        # No DNS knows nodes.
                        "--kubelet-preferred-address-types=InternalIP",
                        f"--default-not-ready-toleration-seconds={TOLERATED_SECONDS}",
                        f"--default-unreachable-toleration-seconds={TOLERATED_SECONDS}",
                        # Those of its own certificate speak to kubelets, for `kubectl exec`.
                        f"--kubelet-client-certificate={folder}/plane/certificates/administrator.pem",
                        f"--kubelet-client-key={folder}/plane/certificates/administrator.key",
                    ],
                    "kube-controller-manager": [f"--node-monitor-grace-period={GRACE_SECONDS}s"],
                },
            )
        )
        scheduler = plane.authority.kubeconfig("scheduler", plane.url, "system:kube-scheduler")
        plane.start(
            "kube-scheduler",
            *(built("kube-scheduler"), f"--kubeconfig={scheduler}", "--leader-elect=false"),
            *(f"--authentication-kubeconfig={scheduler}", f"--authorization-kubeconfig={scheduler}"),
            *("--bind-address=127.0.0.1", f"--secure-port={free_port()}"),
        )
        cluster_dns(plane, free_port())
        nodes = []
        for machine in pair:
            node = stack.enter_context(container_runtime(machine, f"docker.io/{names['pause']}"))
            node.load(archive)
            nodes.append(stack.enter_context(joined(node, plane)))
        figures.say("two nodes are ready")
        ports = stack.enter_context(load_balancer(pair, folder))
        url, door = f"http://127.0.0.1:{ports['http']}", Door("tcp", ports["mqtt"])
        made = Campus(plane, nodes, folder / "campus", own, url, door)
        made.folder.mkdir()
        began = time.monotonic()
        made.install()
        figures.say(f"all deployments are available: {time.monotonic() - began:.0f} s")
        yield made


def test_a_recorded_bus_is_counted_once(campus: Campus, figures: Figures) -> None:
    sent = send_all([campus.door], campus.users["gateway"], "bus", recorded())
    assert sent == FIXES
    wait_until_done(campus, limit=BACK_SECONDS)
    totals = status(campus)["totals"]
    assert (totals["messages"], totals["positions"]) == (FIXES, ON_CAMPUS)
    figures.say(f"the bus: {ON_CAMPUS} of {FIXES} positions are on the campus")


def test_nothing_acknowledged_is_lost_whatever_happens_to_the_cluster(campus: Campus, figures: Figures) -> None:
    def restart() -> None:
        for name in DEPLOYMENTS:
            campus.ask("rollout", "restart", f"deployment/{name}")
        campus.wait_until_available()

    def spread() -> None:
        for number in range(4):
            campus.ask("rollout", "restart", "deployment/haproxy")
            campus.wait_until_available()
            assert campus.nodes_of("haproxy") == ["node-1", "node-2"], f"rollout {number + 1}"

    def crash() -> None:
        campus.nodes[0].kill("campus-nodes/broker")
        campus.wait_until_available()

    def drain() -> None:
        campus.plane.kubectl("drain", "node-2", "--delete-emptydir-data", "--ignore-daemonsets", "--timeout=600s")
        campus.wait_until_available()
        campus.plane.kubectl("uncordon", "node-2")

    def part() -> None:
        redis = campus.nodes_of("redis")[0]
        # A pod of a StatefulSet is not made anew while nobody knows whether it still runs.
        [other] = [node.machine for node in campus.nodes if node.machine.name != redis]
        other.unplug()
        time.sleep(AWAY_SECONDS)
        other.plug()
        other.reach(next(node.machine for node in campus.nodes if node.machine.name == redis))
        campus.wait_until_available()

    def scale() -> None:
        campus.ask("patch", "hpa", "broker", "--patch", '{"spec": {"minReplicas": 4}}')
        wait_for_replicas(campus, "broker", 4)
        campus.ask("patch", "hpa", "broker", "--patch", '{"spec": {"minReplicas": 2, "maxReplicas": 2}}')
        wait_for_replicas(campus, "broker", 2)

    acts: dict[str, Callable[[], None]] = {
        "all are restarted": restart,
        "HAProxy is restarted four times": spread,
        "all brokers of a node are killed": crash,
        "a node is drained": drain,
        "a node is cut off": part,
        "brokers become four, and two again": scale,
    }
    before = status(campus)["totals"].get("messages", 0)
    with Steady(Sender(campus.door, campus.users["gateway"], "steady"), TRAFFIC.message, rate=RATE) as steady:
        for what, act in acts.items():
            beginning, began = steady.sender.acknowledgements, time.monotonic()
            steady.longest = 0.0
            act()
            until(partial(steady.has_gone_on, beginning), what, limit=BACK_SECONDS)
            figures.say(f"{what}: {time.monotonic() - began:.0f} s, {steady.longest:.1f} s without acknowledgement")
    wait_until_done(campus, limit=BACK_SECONDS)
    count = steady.count
    assert len(steady.sender.acknowledged()) == count
    assert status(campus)["totals"]["messages"] - before >= count
    key = bytes.fromhex(campus.secret("decoder", "DEVICE_KEY"))
    truth = TRAFFIC.truth(range(count), key, user=campus.users["gateway"].name, now=system_clock())
    assert differences(campus, campus, truth, TRAFFIC.day) == []
    assert campus.events("FailedPreStopHook") == []
    figures.say(f"{count} acknowledged, 0 lost")
