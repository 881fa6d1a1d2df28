"""What kustomize makes of deploy/k8s, as the documents that a cluster would be given."""

import copy
import functools
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.conftest import missing

ROOT = Path(__file__).resolve().parents[2]
K8S = ROOT / "deploy" / "k8s"
OVERLAYS = ("local", "local-cluster", "ibm-cloud", "staging")
Document = dict[str, Any]
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""Ten times as fast as the other one, where PyYAML has it."""
UNITS = {"m": 0.001, "Ki": 1024, "Mi": 1024**2, "Gi": 1024**3}


def kubectl() -> str:
    """A kubectl whose kustomize knows components and labels; that of Debian 12 does not."""
    beside = Path(sys.executable).with_name("kubectl")
    found = str(beside) if beside.exists() else shutil.which("kubectl")
    if found is None:
        missing("kubectl", "`make kubectl` installs one")
    said = subprocess.run([found, "version", "--client"], capture_output=True, text=True, check=False).stdout
    version = re.search(r"Kustomize Version: v(\d+)", said)
    if version is None or int(version[1]) < 5:
        missing("kubectl 1.27 or later", f"`make kubectl` installs one; {found} is older")
    return found


@functools.cache
def _parsed(folder: Path) -> list[Document]:
    return list(yaml.load_all(rendered(folder), LOADER))


@functools.cache
def rendered(folder: Path) -> str:
    """The documents of a kustomization as YAML."""
    made = subprocess.run([kubectl(), "kustomize", str(folder)], capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    assert not made.stderr, made.stderr
    return made.stdout


def documents(folder: Path) -> list[Document]:
    """The documents of a kustomization, fresh ones each time."""
    return copy.deepcopy(_parsed(folder))


def overlay(name: str) -> list[Document]:
    """The documents of an overlay."""
    return documents(K8S / "overlays" / name)


def kustomization(folder: Path, **content: object) -> Path:
    """A kustomization of the test's own; paths in it are below deploy/k8s."""
    folder.mkdir(parents=True, exist_ok=True)
    for key in ("resources", "components"):
        paths = content.get(key, [])
        assert isinstance(paths, list)
        # Kustomize takes no absolute paths.
        content[key] = [os.path.relpath(K8S / path, folder.resolve()) for path in paths]
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(content))
    return folder


def monitored(folder: Path) -> list[Document]:
    """The overlay of IBM Cloud, with every optional component."""
    components = ["components/monitoring", "components/monitoring-logs", "components/custom-metrics"]
    return documents(
        kustomization(folder / "monitored", namespace="campus", resources=["overlays/ibm-cloud"], components=components)
    )


def of_kind(all_of_them: list[Document], kind: str) -> dict[str, Document]:
    """The documents of one kind by name."""
    return {each["metadata"]["name"]: each for each in all_of_them if each["kind"] == kind}


@dataclass(frozen=True, slots=True)
class Workload:
    """Whatever runs pods."""

    kind: str
    name: str
    document: Document

    @property
    def labels(self) -> Mapping[str, str]:
        labels: dict[str, str] = self.document["spec"]["template"]["metadata"]["labels"]
        return labels

    @property
    def pod(self) -> Document:
        pod: Document = self.document["spec"]["template"]["spec"]
        return pod

    @property
    def containers(self) -> list[Document]:
        return [*self.pod.get("initContainers", []), *self.pod["containers"]]

    @property
    def main(self) -> Document:
        """The container that the pod is there for; others are beside it."""
        first: Document = self.pod["containers"][0]
        return first


def workloads(all_of_them: list[Document]) -> Iterator[Workload]:
    """Everything that has a pod template."""
    for each in all_of_them:
        if "template" in each.get("spec", {}):
            yield Workload(each["kind"], each["metadata"]["name"], each)


def quantity(text: str) -> float:
    """A quantity of Kubernetes: processors, or bytes."""
    for unit, factor in UNITS.items():
        if text.endswith(unit):
            return float(text.removesuffix(unit)) * factor
    return float(text)


def selects(selector: Document, labels: Mapping[str, str]) -> bool:
    """Whether a label selector holds for labels; of expressions it knows `In`."""
    for each in selector.get("matchExpressions", []):
        assert each["operator"] == "In"
        if labels.get(each["key"]) not in each["values"]:
            return False
    return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())


def environment(workload: Workload, container: Document, all_of_them: list[Document]) -> dict[str, str]:
    """The variables that a container is given, with those of its ConfigMaps; `of pod` where Kubernetes fills one in."""
    maps = of_kind(all_of_them, "ConfigMap")
    found: dict[str, str] = {}
    for source in container.get("envFrom", []):
        found |= maps[source["configMapRef"]["name"]]["data"]
    for variable in container.get("env", []):
        assert variable["name"] not in found, f"{workload.name}: {variable['name']} twice"
        found[variable["name"]] = variable.get("value", "of pod")
    return found
