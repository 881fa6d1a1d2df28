"""The whole system on two nodes: images of `make e2e`, the overlay `local`, disks that both nodes have, its people."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tests.containers.engine import docker
from tests.containers.senders import Door, User
from tests.kubernetes.control_plane import ControlPlane, RefusedError
from tests.kubernetes.nodes import Node
from tests.redis_servers.process import until

ROOT = Path(__file__).parents[2]
KUBERNETES = ROOT / "deploy" / "k8s"
OURS = ("broker", "decoder", "api", "controller", "haproxy")
DEPLOYMENTS = ("haproxy", "broker", "decoder", "api")
"""Of which there is more than one pod."""
COUCHDB = (
    "exec node /app/couchdb/main.mjs --host 0.0.0.0 --port 5984 --dir /opt/couchdb/data /opt/couchdb/etc/local.d/*.ini"
)
"""How the double finds the files that the manifest makes; CouchDB itself looks there."""
PATH_OF_DEBIAN = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
OUTSIDE = {"mqtt": 31883, "http": 31080}
"""Ports of every node, by the names that HAProxy's pod has for them."""
DISKS = {"data-redis-0": 999, "data-redis-keys-0": 999, "data-couchdb-0": 5984, "series": 10001}
"""Claims, and whose their folder is."""
READY_SECONDS = 600.0


def node_images(images: Mapping[str, str], prefix: str, archive: Path, folder: Path) -> dict[str, str]:
    """Images that any container runtime can run, saved to `archive`; their names by those in the manifests.

    Docker adds a PATH by itself where an image has none, as those that tests make of debootstrap's Debian.
    """
    wanted = {f"campus/{name}": f"{prefix}/{name}:dev" for name in OURS}
    wanted |= {"redis": images["REDIS_IMAGE"], "couchdb": images["COUCHDB_IMAGE"], "pause": images["REDIS_IMAGE"]}
    made = {}
    for name, source in wanted.items():
        tag = f"campus-nodes/{name.rpartition('/')[2]}:{source.rpartition(':')[2]}"
        own = folder / tag.replace("/", "-").replace(":", "-")
        own.mkdir(parents=True)
        has = docker("image", "inspect", "--format", "{{range .Config.Env}}{{println .}}{{end}}", source)
        path = "" if "\nPATH=" in f"\n{has}" else f"ENV PATH={PATH_OF_DEBIAN}\n"
        waits = 'ENTRYPOINT ["sleep", "infinity"]\n' if name == "pause" else ""
        (own / "Dockerfile").write_text(f"FROM {source}\n{path}{waits}")
        docker("build", "--quiet", "--tag", tag, str(own), seconds=300)
        made[name] = tag
    docker("save", "--output", str(archive), *made.values(), seconds=600)
    return made


@dataclass
class Campus:
    """The namespace `campus` of a cluster; as `tests.containers.results` asks it, a `System`."""

    plane: ControlPlane
    nodes: Sequence[Node]
    folder: Path
    images: Mapping[str, str]
    url: str
    """HTTP, through whatever is in front of the nodes."""
    door: Door
    """MQTT, the same way."""

    @property
    def overlay(self) -> Path:
        """What is applied."""
        return self.folder / "k8s" / "overlays" / "nodes"

    def install(self) -> None:
        """Apply secrets, disks and everything, and wait until all of it is available."""
        self.plane.kubectl("apply", "--server-side", "-f", KUBERNETES / "base" / "namespace.yaml")
        self.plane.kubectl("apply", "--server-side", "-k", self._credentials())
        self.plane.apply("\n---\n".join(json.dumps(each) for each in [*self._disks(), _outside()]))
        self.plane.kubectl("apply", "--server-side", "-k", self._overlay())
        self.wait_until_available()

    def wait_until_available(self) -> None:
        """Wait until every deployment has all of its pods."""
        names = [f"deployment/{name}" for name in (*DEPLOYMENTS, "controller")]
        for name in [*names, "statefulset/redis", "statefulset/couchdb"]:
            self.ask("rollout", "status", name, f"--timeout={READY_SECONDS:.0f}s")

    def ask(self, *words: str) -> str:
        """What kubectl says of the namespace."""
        return self.plane.kubectl("--namespace=campus", *words)

    def pods(self, name: str) -> list[dict[str, object]]:
        """Those of a deployment that are not leaving."""
        found = self.plane.get("pods", "--namespace=campus", f"--selector=app.kubernetes.io/name={name}")
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def nodes_of(self, name: str) -> list[str]:
        """On which nodes the pods of a deployment are, in order."""
        return sorted(str(pod["spec"].get("nodeName")) for pod in self.pods(name))  # type: ignore[attr-defined]

    def replicas(self, name: str) -> int:
        """How many pods of a deployment are ready."""
        [found] = [
            each for each in self.plane.get("deployments", "--namespace=campus") if each["metadata"]["name"] == name
        ]
        return int(found["status"].get("readyReplicas", 0))

    def restarts(self, name: str) -> int:
        """How often containers of a deployment's pods were started anew."""
        found = self.plane.get("pods", "--namespace=campus", f"--selector=app.kubernetes.io/name={name}")
        return sum(int(each["restartCount"]) for pod in found for each in pod["status"].get("containerStatuses", ()))

    def ready_on(self, name: str, node: str) -> int:
        """How many pods of a deployment are ready on a node and are to stay."""
        return sum(
            each == {"type": "Ready", "status": "True"}
            for pod in self.pods(name)
            if pod["spec"].get("nodeName") == node  # type: ignore[attr-defined]
            for each in (
                {"type": condition["type"], "status": condition["status"]}
                for condition in pod["status"].get("conditions", ())  # type: ignore[attr-defined]
            )
        )

    def events(self, reason: str) -> list[str]:
        """The messages of all events for this reason."""
        found = self.plane.get("events", "--namespace=campus", f"--field-selector=reason={reason}")
        return [str(each["message"]) for each in found]

    def keep_logs(self, folder: Path) -> Path:
        """Write down what there is, what has happened, and what each container has said; the folder."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for name, words in {
            "pods": ("get", "pods", "--output=wide"),
            "described": ("describe", "pods"),
            "events": ("get", "events", "--sort-by=.lastTimestamp"),
        }.items():
            (folder / name).write_text(self._said(*words))
        for pod in self.plane.get("pods", "--namespace=campus"):
            name = pod["metadata"]["name"]
            for words in ((), ("--previous",)):
                said = self._said("logs", name, "--all-containers", "--prefix", *words)
                (folder / f"{name}{''.join(words)}.log").write_text(said)
        return folder

    def _said(self, *words: str) -> str:
        try:
            return self.ask(*words)
        except RefusedError as error:
            return str(error)

    @cached_property
    def users(self) -> dict[str, User]:
        """The demo's users, by role."""
        rows = [line.split(",") for line in (self.folder / "credentials/users/users.csv").read_text().splitlines()]
        return {role: User(name, password) for name, role, password in rows}

    @property
    def api_key(self) -> str:
        """An administrator's."""
        return self.secret("api-key", "api-key")

    def secret(self, service: str, name: str) -> str:
        """One of the secrets that a service was given."""
        return (self.folder / "credentials" / service / name).read_text().strip()

    def containers(self, service: str) -> list["InPod"]:
        """The pods of a service, as something that commands can be run in."""
        return [InPod(self, str(pod["metadata"]["name"])) for pod in self.pods(service)]  # type: ignore[index]

    def _credentials(self) -> Path:
        folder = self.folder / "credentials"
        folder.mkdir()
        shutil.copy(KUBERNETES / "credentials/local/kustomization.yaml", folder)
        subprocess.run(
            [sys.executable, "-m", "deploy.k8s.make_secrets", folder],
            cwd=ROOT,
            env={**os.environ, "REDIS_VERSION": "7.0", "PRIVACY": "open"},  # Debian 12 has that
            check=True,
            timeout=120,
        )
        return folder

    def _overlay(self) -> Path:
        """`local` with these images, and with SQLite on a disk of both nodes in place of InfluxDB."""
        # Where `.github/release/render` finds `base` beside it.
        self.overlay.mkdir(parents=True)
        folder = self.overlay
        (folder.parents[1] / "base").symlink_to(KUBERNETES / "base")
        original = (KUBERNETES / "overlays/local/kustomization.yaml").read_text()
        relative = os.path.relpath(KUBERNETES, folder)
        text = original.replace("../../", f"{relative}/")
        text = text.replace(f"  - {relative}/components/influxdb\n", "")
        # Single devices are counted here, which nobody can where counts are protected.
        settings = "configMapGenerator:\n  - {name: settings, behavior: merge, literals: [PRIVACY=open]}\n"
        text = text.replace("configMapGenerator:\n", settings)
        # Tracks of years ago are documents, too.
        text = text.replace("      # Empty: documents are kept for ever.\n      - DOCUMENTS_KEEP=30d\n", "")
        text = text.replace("TIMESERIES_STORE=influxdb", "TIMESERIES_STORE=sqlite\n      - DATA_DIR=/data")
        images = [
            f"  - {{name: {name}, newName: {tag.rpartition(':')[0]}, newTag: {tag.rpartition(':')[2]}}}"
            for name, tag in self.images.items()
        ]
        mounts = f"""\
  - target: {{kind: StatefulSet, name: couchdb}}
    patch: |
      - op: add
        path: /spec/template/spec/containers/0/command
        value: [sh, -c, "{COUCHDB}"]
  - target: {{kind: Deployment, name: "decoder|api"}}
    patch: |
      - op: add
        path: /spec/template/spec/volumes/-
        value: {{name: series, persistentVolumeClaim: {{claimName: series}}}}
      - op: add
        path: /spec/template/spec/containers/0/volumeMounts/-
        value: {{name: series, mountPath: /data}}
"""
        (folder / "kustomization.yaml").write_text("\n".join([text, "images:", *images, "patches:", mounts]))
        return folder

    def _disks(self) -> list[dict[str, object]]:
        """A folder of this machine for each claim: both nodes have it, as they would have a disk of a network."""
        made: list[dict[str, object]] = []
        for claim, owner in DISKS.items():
            disk = self.folder / "disks" / claim
            disk.mkdir(parents=True)
            os.chown(disk, owner, owner)
            disk.chmod(0o770)
            made.append(_volume(claim, disk))
        return [*made, _claim("series")]


@dataclass(frozen=True, slots=True)
class InPod:
    """A pod that commands are run in."""

    campus: Campus
    name: str

    @property
    def running(self) -> bool:
        return self.campus.ask("get", "pod", self.name, "-o", "jsonpath={.status.phase}") == "Running"

    def run(self, *command: str) -> str:
        """What a command prints that runs in it. Raises AssertionError with its complaint."""
        try:
            return self.campus.ask("exec", self.name, "--", *command)
        except RefusedError as error:
            raise AssertionError(str(error)) from error


def _volume(claim: str, disk: Path) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": claim},
        "spec": {
            "capacity": {"storage": "100Gi"},
            "accessModes": ["ReadWriteOnce", "ReadWriteMany"],
            "persistentVolumeReclaimPolicy": "Retain",
            "claimRef": {"namespace": "campus", "name": claim},
            "hostPath": {"path": str(disk), "type": "Directory"},
        },
    }


def _claim(name: str) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": "campus"},
        "spec": {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}},
    }


def _outside() -> dict[str, object]:
    """Where traffic comes in: on each node to its own HAProxy alone, as behind a load balancer that keeps addresses."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "outside", "namespace": "campus"},
        "spec": {
            "type": "NodePort",
            "externalTrafficPolicy": "Local",
            "selector": {"app.kubernetes.io/name": "haproxy"},
            "ports": [
                {"name": name, "port": port, "targetPort": name, "nodePort": port} for name, port in OUTSIDE.items()
            ],
        },
    }


def wait_for_replicas(campus: Campus, name: str, count: int) -> None:
    """Wait until so many pods of a deployment are ready, and no more."""
    until(
        lambda: (campus.replicas(name), len(campus.pods(name))) == (count, count),
        f"{name} has {count} pods",
        limit=READY_SECONDS,
    )
