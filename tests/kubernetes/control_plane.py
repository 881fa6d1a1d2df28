"""A control plane of the tests' own: etcd, the API server, its controllers. There is no node, so no pod ever runs."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from tests.conftest import missing
from tests.deploy.k8s_manifests import kubectl
from tests.kubernetes.certificates import Authority
from tests.ports import free_port
from tests.redis_servers.process import until

BUILD = Path(__file__).with_name("build")
START_SECONDS = 300.0
"""A machine that is busy otherwise takes its time."""
STOP_SECONDS = 60.0
SERVICES = "10.96.0.0/16"
"""Addresses of services, of which the first is the API server's."""
API_SERVICE = "10.96.0.1"
ADMINISTRATORS = "system:masters"
"""The group that may do all."""


class RefusedError(Exception):
    """kubectl has failed; its words are the message."""


def built(part: str) -> Path:
    """A program, or the folder `crds`, that `tests/kubernetes/build` has made; skips where it has not, fails in CI."""
    folder = subprocess.run([BUILD, "--where"], capture_output=True, text=True, check=True).stdout.strip()
    path = Path(folder, part)
    return path if path.exists() else _missing(part)


def _missing(part: str) -> NoReturn:
    missing(part, "`tests/kubernetes/build api` makes it, once (Go 1.24 or later)")


@contextmanager
def running(name: str, command: Sequence[str | Path], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A part of the cluster, with what it says in `folder`/NAME.log; ended at the end."""
    with (folder / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@dataclass
class ControlPlane:
    """A running one; whoever asks it is its administrator, unless another kubeconfig is given."""

    folder: Path
    url: str
    authority: Authority
    administrator: Path
    """The kubeconfig of one who may do all."""
    _stack: ExitStack = field(default_factory=ExitStack)

    def kubectl(self, *arguments: str | Path, given: str | None = None, who: Path | None = None) -> str:
        """What kubectl prints on standard output; `given` is what it reads. Raises RefusedError with its words."""
        done = subprocess.run(
            [kubectl(), *arguments],
            input=given,
            env={"PATH": os.environ["PATH"], "HOME": str(self.folder), "KUBECONFIG": str(who or self.administrator)},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RefusedError(done.stderr + done.stdout)
        return done.stdout

    def apply(self, manifest: str, *options: str) -> str:
        """`kubectl apply` on the side of the server. A warning of it, such as of Pod Security, is a refusal here."""
        return self.kubectl(
            "apply", "--server-side", "--warnings-as-errors", *options, "--filename", "-", given=manifest
        )

    def get(self, *arguments: str) -> list[dict[str, Any]]:
        """The objects that `kubectl get ARGUMENTS` finds."""
        found: list[dict[str, Any]] = json.loads(self.kubectl("get", *arguments, "-o", "json"))["items"]
        return found

    def log(self, part: str) -> str:
        """What a part has said."""
        return (self.folder / f"{part}.log").read_text(errors="replace")

    def start(self, name: str, *command: str | Path) -> subprocess.Popen[bytes]:
        """One more part, which ends with the others."""
        return self._stack.enter_context(running(name, command, self.folder))


@contextmanager
def control_plane(
    folder: Path,
    *,
    address: str = "127.0.0.1",
    more: Mapping[str, Sequence[str]] | None = None,
) -> Iterator[ControlPlane]:
    """etcd, kube-apiserver at `address` and kube-controller-manager, with their files in `folder`.

    `more` has further options of a part by its name. The API server refuses what Kubernetes refuses by itself: RBAC,
    Pod Security, quotas, priorities. Skips where a part is missing, fails in CI.
    """
    etcd = shutil.which("etcd") or missing("etcd", "install Debian's etcd-server")
    programs = {name: built(name) for name in ("kube-apiserver", "kube-controller-manager")}
    more = more or {}
    folder.mkdir(parents=True, exist_ok=True)
    authority = Authority(folder / "certificates")
    url = f"https://{address}:{free_port()}"
    store, peers = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
    names = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local")
    server = authority.issue(
        "kube-apiserver",
        "kube-apiserver",
        names=[f"IP:{address}", "IP:127.0.0.1", f"IP:{API_SERVICE}", *(f"DNS:{name}" for name in names)],
    )
    tokens = authority.issue("tokens", "tokens")
    plane = ControlPlane(
        folder=folder,
        url=url,
        authority=authority,
        administrator=authority.kubeconfig("administrator", url, "administrator", groups=[ADMINISTRATORS]),
    )
    controllers = authority.kubeconfig("controllers", url, "system:kube-controller-manager")
    with plane._stack:
        plane.start(
            "etcd",
            *(etcd, "--name=tests", f"--data-dir={folder / 'etcd'}", "--log-level=warn"),
            *(f"--listen-client-urls={store}", f"--advertise-client-urls={store}"),
            *(f"--listen-peer-urls={peers}", f"--initial-advertise-peer-urls={peers}"),
            f"--initial-cluster=tests={peers}",
            # On a busy machine nobody shall be taken for dead.
            *("--heartbeat-interval=1000", "--election-timeout=10000"),
            *more.get("etcd", ()),
        )
        api = plane.start(
            "kube-apiserver",
            *(programs["kube-apiserver"], f"--etcd-servers={store}"),
            *(f"--bind-address={address}", f"--secure-port={url.rpartition(':')[2]}", f"--advertise-address={address}"),
            *(f"--tls-cert-file={server.certificate}", f"--tls-private-key-file={server.key}"),
            *(f"--client-ca-file={authority.pair.certificate}", "--anonymous-auth=false"),
            f"--cert-dir={folder / 'kube-apiserver'}",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            f"--service-account-key-file={tokens.certificate}",
            f"--service-account-signing-key-file={tokens.key}",
            f"--service-cluster-ip-range={SERVICES}",
            "--authorization-mode=Node,RBAC",
            # What may be privileged is what Pod Security says.
            *("--enable-admission-plugins=NodeRestriction", "--allow-privileged=true"),
            # An address of the loopback network is no endpoint.
            "--endpoint-reconciler-type=none",
            # Debian's etcd is too old for it, and each look would end in a line in the log.
            "--feature-gates=SizeBasedListCostEstimate=false",
            *more.get("kube-apiserver", ()),
        )
        until(lambda: _is_ready(plane, api), "the API server is ready", limit=START_SECONDS)
        plane.start(
            "kube-controller-manager",
            *(programs["kube-controller-manager"], f"--kubeconfig={controllers}"),
            *(f"--authentication-kubeconfig={controllers}", f"--authorization-kubeconfig={controllers}"),
            *("--bind-address=127.0.0.1", f"--secure-port={free_port()}", f"--cert-dir={folder / 'controllers'}"),
            *("--leader-elect=false", "--use-service-account-credentials=true"),
            f"--service-account-private-key-file={tokens.key}",
            f"--root-ca-file={authority.pair.certificate}",
            *more.get("kube-controller-manager", ()),
        )
        yield plane


def _is_ready(plane: ControlPlane, api: subprocess.Popen[bytes]) -> bool:
    if api.poll() is not None:
        raise AssertionError(f"the API server has ended:\n{plane.log('kube-apiserver')[-4000:]}")
    try:
        return plane.kubectl("get", "--raw", "/readyz") == "ok"
    except RefusedError:
        return False
