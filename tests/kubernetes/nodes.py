"""What makes a machine a node of a cluster: containerd with Debian's CNI plugins, kubelet, kube-proxy."""

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.kubernetes.control_plane import ControlPlane, built, running
from tests.kubernetes.machines import HERE, Machine
from tests.missing import missing
from tests.redis_servers.process import until

PLUGINS = Path("/usr/lib/cni")
ALL_PODS = "10.244.0.0/16"
CLUSTER_DNS = "10.96.0.10"
IMAGES = "k8s.io"
"""The namespace of containerd that kubelet's images and containers are in."""
START_SECONDS = 180.0
IMPORT_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Node:
    """A machine with containerd; kubelet and kube-proxy as well, where the machine has joined a cluster."""

    machine: Machine
    socket: Path
    """Of containerd."""

    def ctr(self, *words: str | Path) -> str:
        """What containerd's own command says."""
        return self.machine.run("ctr", "--address", self.socket, "--namespace", IMAGES, *words)

    def load(self, archive: Path) -> None:
        """Have the images of a file that `docker save` wrote."""
        self.ctr("images", "import", archive)

    def by_digest(self, image: str) -> str:
        """The name of an image that says its content, known to this node from now on: REPOSITORY@sha256:..."""
        known = f"docker.io/{image}"
        [line] = self.ctr("images", "list", f"name=={known}").splitlines()[1:]
        named = f"{known.rpartition(':')[0]}@{line.split()[2]}"
        self.ctr("images", "tag", "--force", known, named)
        return named.removeprefix("docker.io/")

    def kill(self, container: str) -> None:
        """End all containers whose image has these words in its name with SIGKILL, as a crash would."""
        for line in self.ctr("containers", "list").splitlines()[1:]:
            name, image, *_ = line.split()
            if container in image:
                self.machine.run(
                    *("ctr", "--address", self.socket, "--namespace", IMAGES),
                    *("tasks", "kill", "--signal", "SIGKILL", name),
                    check=False,  # it may have ended
                )


@contextmanager
def container_runtime(machine: Machine, pause: str) -> Iterator[Node]:
    """containerd on a machine; `pause` is the image of what holds a pod's network."""
    for tool, package in {"containerd": "containerd", "runc": "runc", "ctr": "containerd"}.items():
        if shutil.which(tool) is None:
            missing(tool, f"install Debian's {package}")
    if not (PLUGINS / "bridge").exists():
        missing("CNI plugins", "install Debian's containernetworking-plugins")
    folder = machine.folder / "containerd"
    folder.mkdir()
    socket = folder / "s"
    network = _network(machine, folder / "net.d")
    configuration = folder / "config.toml"
    configuration.write_text(
        f"""\
version = 2
root = "{folder / "root"}"
state = "{folder / "state"}"
disabled_plugins = ["io.containerd.internal.v1.opt"]
[grpc]
address = "{socket}"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{pause}"
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{PLUGINS}"
conf_dir = "{network}"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = false
"""
    )
    command = machine.command("containerd", "--config", configuration)
    with running("containerd", command, machine.folder) as process:
        node = Node(machine, socket)

        def answers() -> bool:
            assert process.poll() is None, (machine.folder / "containerd.log").read_text()[-4000:]
            return socket.exists() and bool(
                machine.run("ctr", "--address", socket, "version", check=False).count("Version:") > 1
            )

        until(answers, f"containerd of {machine.name} answers", limit=START_SECONDS)
        yield node


def _network(machine: Machine, folder: Path) -> Path:
    """The folder where containerd finds how a pod gets its network."""
    folder.mkdir()
    bridge = {
        "type": "bridge",
        "bridge": "pods",
        "isGateway": True,
        "hairpinMode": True,
        "ipam": {
            "type": "host-local",
            "ranges": [[{"subnet": machine.pods}]],
            "routes": [{"dst": "0.0.0.0/0"}],
            "dataDir": str(machine.folder / "addresses"),
        },
    }
    told = {"cniVersion": "0.4.0", "name": "pods", "plugins": [bridge]}
    (folder / "pods.conflist").write_text(json.dumps(told))
    return folder


@contextmanager
def joined(node: Node, plane: ControlPlane) -> Iterator[Node]:
    """kubelet and kube-proxy of a node, which is ready then."""
    machine = node.machine
    kubelet, proxy = built("kubelet"), built("kube-proxy")
    with ExitStack() as stack:
        for name, command in {
            "kubelet": _kubelet(node, plane, kubelet),
            "kube-proxy": _kube_proxy(machine, plane, proxy),
        }.items():
            stack.enter_context(running(name, machine.command(*command), machine.folder))

        def is_ready() -> bool:
            return [*_ready(plane)].count(machine.name) == 1

        until(is_ready, f"{machine.name} is ready", limit=START_SECONDS)
        yield node


def _ready(plane: ControlPlane) -> Iterator[str]:
    for each in plane.get("nodes"):
        for condition in each["status"].get("conditions", ()):
            if condition["type"] == "Ready" and condition["status"] == "True":
                yield each["metadata"]["name"]


def _kubelet(node: Node, plane: ControlPlane, program: Path) -> Sequence[str | Path]:
    machine = node.machine
    who = plane.authority.kubeconfig(
        f"kubelet-{machine.name}", plane.url, f"system:node:{machine.name}", groups=["system:nodes"]
    )
    # Of this machine's own resolver nothing reaches a pod.
    resolver = machine.folder / "resolv.conf"
    resolver.write_text("")
    configuration = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": machine.address,
        "authentication": {
            "anonymous": {"enabled": False},
            "x509": {"clientCAFile": str(plane.authority.pair.certificate)},
        },
        "authorization": {"mode": "Webhook"},
        "containerRuntimeEndpoint": f"unix://{node.socket}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{machine.cgroup}",
        "clusterDNS": [CLUSTER_DNS],
        "clusterDomain": "cluster.local",
        "enforceNodeAllocatable": [],
        "failSwapOn": False,
        "evictionHard": dict.fromkeys(("memory.available", "nodefs.available", "imagefs.available"), "0%"),
        "imageGCHighThresholdPercent": 100,
        "podLogsDir": str(machine.folder / "pod-logs"),
        "resolvConf": str(resolver),
        "volumePluginDir": str(machine.folder / "volume-plugins"),
        "registerNode": True,
        # A busy machine: what takes longer than two minutes by default may take longer here.
        "runtimeRequestTimeout": "5m",
        "shutdownGracePeriod": "0s",
    }
    file = machine.folder / "kubelet.json"
    file.write_text(json.dumps(configuration))
    return (
        *(program, f"--config={file}", f"--kubeconfig={who}", f"--root-dir={machine.folder / 'kubelet'}"),
        *(f"--cert-dir={machine.folder / 'kubelet-pki'}", f"--hostname-override={machine.name}"),
        f"--node-ip={machine.address}",
    )


def _kube_proxy(machine: Machine, plane: ControlPlane, program: Path) -> Sequence[str | Path]:
    who = plane.authority.kubeconfig(f"kube-proxy-{machine.name}", plane.url, "system:kube-proxy")
    configuration = {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "clientConnection": {"kubeconfig": str(who)},
        "clusterCIDR": ALL_PODS,
        "conntrack": {"maxPerCore": 0},
        "hostnameOverride": machine.name,
    }
    file = machine.folder / "kube-proxy.json"
    file.write_text(json.dumps(configuration))
    return (program, f"--config={file}")


def cluster_dns(plane: ControlPlane, port: int) -> None:
    """CoreDNS, on this machine, and the service by which pods find it."""
    who = plane.authority.kubeconfig("coredns", plane.url, "coredns", groups=["system:masters"])
    file = plane.folder / "Corefile"
    # No cache of what there is not: a name that is asked for too early shall be there soon.
    file.write_text(
        f"""\
.:{port} {{
    bind {HERE}
    errors
    kubernetes cluster.local {{
        kubeconfig {who}
        ttl 5
    }}
}}
"""
    )
    plane.start("coredns", built("coredns"), "-conf", file)
    ports = [
        {"name": name, "protocol": protocol, "port": port} for name, protocol in (("dns", "UDP"), ("dns-tcp", "TCP"))
    ]
    plane.apply(json.dumps(_dns_service(ports)))
    plane.apply(json.dumps(_dns_endpoints(ports)))


def _dns_service(ports: Sequence[Mapping[str, object]]) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "kube-dns", "namespace": "kube-system"},
        "spec": {
            "clusterIP": CLUSTER_DNS,
            "ports": [{**each, "port": 53, "targetPort": each["port"]} for each in ports],
        },
    }


def _dns_endpoints(ports: Sequence[Mapping[str, object]]) -> dict[str, object]:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": "kube-dns",
            "namespace": "kube-system",
            "labels": {"kubernetes.io/service-name": "kube-dns"},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": [HERE]}],
        "ports": list(ports),
    }
