"""The whole system on a Kubernetes cluster of two nodes, with traffic, while all that happens to a cluster happens."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
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
from tests.kubernetes.traffic import Asking, Steady
from tests.ports import free_port
from tests.redis_servers.process import until

pytestmark = [pytest.mark.nodes, pytest.mark.timeout(3600), *LEAKS]
ROOT = Path(__file__).parents[2]
RELEASE = ROOT / ".github" / "release"
ARTEFACTS = ROOT / "artefacts" / "nodes"
"""Where logs are kept when something fails; git ignores it."""
TRAFFIC = Numbered(prefix="nodes", day="2019-03-07")
RATE = 20.0
"""A second."""
SENDERS = 4
"""So that whatever happens happens to one of them. Each has some of the 20 devices of TRAFFIC."""
BUILD_SECONDS = 1800.0
BACK_SECONDS = 300.0
GRACE_SECONDS = 30
"""After which a node that says nothing is not ready."""
TOLERATED_SECONDS = 20
"""For which pods stay on such a node."""
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
    images: tuple[dict[str, str], Path],
    figures: Figures,
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
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
        try:
            made.install()
            figures.say(f"all deployments are available: {time.monotonic() - began:.0f} s")
            yield made
        except BaseException:
            figures.say(f"logs: {made.keep_logs(ARTEFACTS)}")
            raise
        if request.session.testsfailed:
            figures.say(f"logs: {made.keep_logs(ARTEFACTS)}")


def test_a_recorded_bus_is_counted_once(campus: Campus, figures: Figures) -> None:
    sent = send_all([campus.door], campus.users["gateway"], "bus", recorded())
    assert sent == FIXES
    wait_until_done(campus, limit=BACK_SECONDS)
    totals = status(campus)["totals"]
    assert (totals["messages"], totals["positions"]) == (FIXES, ON_CAMPUS)
    figures.say(f"the bus: {ON_CAMPUS} of {FIXES} positions are on the campus")


@dataclass(frozen=True, slots=True)
class Happenings:
    """What happens to a cluster; each returns when all is there again."""

    campus: Campus

    def restart(self) -> None:
        for name in DEPLOYMENTS:
            self.campus.ask("rollout", "restart", f"deployment/{name}")
        self.campus.wait_until_available()

    def spread(self) -> None:
        for number in range(4):
            self.campus.ask("rollout", "restart", "deployment/haproxy")
            self.campus.wait_until_available()
            assert self.campus.nodes_of("haproxy") == ["node-1", "node-2"], f"rollout {number + 1}"

    def crash(self) -> None:
        before = self.campus.restarts("broker")
        self.campus.nodes[0].kill("campus-nodes/broker")
        until(lambda: self.campus.restarts("broker") > before, "they are started anew", limit=BACK_SECONDS)
        self.campus.wait_until_available()

    def drain(self) -> None:
        self.campus.plane.kubectl("drain", "node-2", "--delete-emptydir-data", "--ignore-daemonsets", "--timeout=600s")
        self.campus.wait_until_available()
        self.campus.plane.kubectl("uncordon", "node-2")

    def part(self) -> None:
        redis = self.campus.nodes_of("redis")[0]
        # A pod of a StatefulSet is not made anew while nobody knows whether it still runs.
        [other] = [node.machine for node in self.campus.nodes if node.machine.name != redis]
        assert all(other.name in self.campus.nodes_of(name) for name in ("haproxy", "broker"))
        other.unplug()
        # The cluster gives the node up, and has all of it on the one that is left.
        for name in ("haproxy", "broker"):
            until(partial(self.all_are_on, name, redis), f"{name} is on {redis}", limit=BACK_SECONDS)
        other.plug()
        other.reach(next(node.machine for node in self.campus.nodes if node.machine.name == redis))
        self.campus.wait_until_available()

    def all_are_on(self, name: str, node: str) -> bool:
        return self.campus.ready_on(name, node) == 2

    def scale(self) -> None:
        self.campus.ask("patch", "hpa", "broker", "--patch", '{"spec": {"minReplicas": 4}}')
        wait_for_replicas(self.campus, "broker", 4)
        self.campus.ask("patch", "hpa", "broker", "--patch", '{"spec": {"minReplicas": 2, "maxReplicas": 2}}')
        wait_for_replicas(self.campus, "broker", 2)

    def in_order(self) -> dict[str, Callable[[], None]]:
        """All of them."""
        return {
            "all are restarted": self.restart,
            "HAProxy is restarted four times": self.spread,
            "all brokers of a node are killed": self.crash,
            "a node is drained": self.drain,
            # All are on the other node by now.
            "all are restarted, on both nodes": self.restart,
            "a node is cut off": self.part,
            "brokers become four, and two again": self.scale,
        }


def test_nothing_acknowledged_is_lost_whatever_happens_to_the_cluster(campus: Campus, figures: Figures) -> None:
    before = status(campus)["totals"].get("messages", 0)
    senders = [Sender(campus.door, campus.users["gateway"], f"steady-{number}") for number in range(SENDERS)]
    with Steady(senders, TRAFFIC.message, rate=RATE) as steady:
        for what, act in Happenings(campus).in_order().items():
            beginning, began = steady.acknowledgements, time.monotonic()
            steady.longest = 0.0
            act()
            until(partial(steady.has_gone_on, beginning), what, limit=BACK_SECONDS)
            figures.say(f"{what}: {time.monotonic() - began:.0f} s, {steady.longest:.1f} s without acknowledgement")
    wait_until_done(campus, limit=BACK_SECONDS)
    numbers = steady.numbers
    assert steady.acknowledged == numbers
    assert status(campus)["totals"]["messages"] - before >= len(numbers)
    key = bytes.fromhex(campus.secret("decoder", "DEVICE_KEY"))
    truth = TRAFFIC.truth(sorted(numbers), key, user=campus.users["gateway"].name, now=system_clock())
    assert differences(campus, campus, truth, TRAFFIC.day) == []
    assert campus.events("FailedPreStopHook") == []
    figures.say(f"{len(numbers)} acknowledged, 0 lost")


def test_people_get_a_release_by_a_canary_and_it_replaces_what_runs(
    campus: Campus, figures: Figures, tmp_path: Path
) -> None:
    """`.github/release/promote`. The images have other names and the same content: nothing is compared but the way."""
    names: dict[str, str] = {}
    for node in campus.nodes:
        names = {name.rpartition("/")[2]: node.by_digest(campus.images[name]) for name in map("campus/{}".format, OURS)}
    images = tmp_path / "images"
    images.write_text("".join(f"{name}={image}\n" for name, image in names.items()))
    began = time.monotonic()
    with Asking(campus.url, rate=RATE) as people:
        done = subprocess.run(
            [RELEASE / "promote", campus.overlay, images, "0123456789" * 4],
            env={
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                "HOME": str(tmp_path),
                "KUBECONFIG": str(campus.plane.administrator),
                "API_URL": campus.url,
                "API_KEY": campus.api_key,
                "PROMOTE_STEPS": "20,50,100",
                "PROMOTE_SECONDS": "10",
                "PROMOTE_REQUESTS": "20",
                "PROMOTE_EVERY": "1",
                "PROMOTE_LIMIT": "900",
            },
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    assert "canary: done" in done.stdout
    told = ", ".join(f"{count} of {version or 'no version'}" for (_, version), count in people.answers.items())
    figures.say(f"promoted in {time.monotonic() - began:.0f} s; answers: {told}; connections lost: {people.failures}")
    assert {status for status, _ in people.answers} == {200}
    assert {version for _, version in people.answers} == {"current", "next"}
    assert {pod["spec"]["containers"][0]["image"] for pod in campus.pods("api")} == {names["api"]}  # type: ignore[index]
    assert campus.pods("api-next") == []
