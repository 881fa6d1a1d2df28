"""What the chart is made of: documents that kustomize renders, with expressions where a template has them."""

import functools
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from deploy.k8s.chart.tree import Hole, Lines, Node
from deploy.k8s.render import kubectl

K8S = Path(__file__).resolve().parents[1]
NAMESPACE = "campus"
LABELS = {"app.kubernetes.io/part-of": "campus"}
GENERATED = ("settings", "ingest", "stores", "proxies", "kinds", "redis", "make-cluster", "couchdb", "backup")
"""ConfigMaps that kustomize names after their content."""
VALUES_OF = ("settings", "ingest", "stores", "proxies", "backup")
"""Those whose content is values: deploy/chart/templates/settings.yaml makes them."""
_OURS = re.compile(r"(?:.*/)?(api|backup|broker|controller|decoder|haproxy):[a-z0-9]+")
_HASHED = re.compile(rf"({'|'.join(GENERATED)})(-[a-z0-9]{{10}})?")

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""Ten times as fast, where PyYAML has it."""

Name = tuple[str, str]
"""Kind and name of a document."""
Documents = dict[Name, Node]


@dataclass(frozen=True, slots=True)
class Source:
    """A file of manifests, below deploy/k8s."""

    path: str

    @property
    def names(self) -> list[Name]:
        """What is in it, in its order."""
        found = yaml.load_all((K8S / self.path).read_text(), _LOADER)
        return [(each["kind"], each["metadata"]["name"]) for each in found]


def base(*components: str) -> Documents:
    """The base with some components."""
    return _documents(("base",), components)


def upon(overlay: str, *components: str) -> Documents:
    """An overlay with some components."""
    return _documents((f"overlays/{overlay}",), components)


def _documents(resources: Sequence[str], components: Sequence[str]) -> Documents:
    made = yaml.load_all(_rendered(tuple(resources), tuple(components)), _LOADER)
    config = "redis-cluster" if "redis-cluster" in components else "redis"
    found = {}
    for each in made:
        name = _HASHED.fullmatch(each["metadata"]["name"]) if each["kind"] == "ConfigMap" else None
        found[each["kind"], name[1] if name else each["metadata"]["name"]] = _with_holes(each, config)
    return found


@functools.cache
def _rendered(resources: Sequence[str], components: Sequence[str]) -> str:
    """Raises subprocess.CalledProcessError where kustomize refuses it."""
    with tempfile.TemporaryDirectory() as folder:
        # Kustomize takes no absolute paths.
        here = os.path.relpath(K8S, Path(folder).resolve())
        content = {
            "namespace": NAMESPACE,
            "labels": [{"pairs": LABELS, "includeTemplates": True}],
            "resources": [f"{here}/{path}" for path in resources],
            "components": [f"{here}/components/{name}" for name in components],
        }
        Path(folder, "kustomization.yaml").write_text(yaml.safe_dump(content))
        return subprocess.run(  # noqa: S603 - no shell
            [kubectl(), "kustomize", folder], stdout=subprocess.PIPE, text=True, check=True
        ).stdout


def _with_holes(document: dict[str, Any], redis: str) -> Node:
    """`redis` is which ConfigMap of that name it is about."""
    metadata = document["metadata"]
    rest = {key: value for key, value in metadata.pop("labels").items() if key not in LABELS}
    made: Node = _holes(document, redis)
    first = {"apiVersion": made.pop("apiVersion"), "kind": made.pop("kind")}
    about = made.pop("metadata")
    about["labels"] = Lines('include "campus.labels" .', rest)
    if document["kind"] == "ConfigMap":
        about["annotations"] = Lines('include "campus.before" .')
        name = _HASHED.fullmatch(about["name"])
        about["name"] = _config(name[1], redis) if name else about["name"]
    return {**first, "metadata": about, **made}


def _holes(node: Node, redis: str) -> Node:
    if isinstance(node, dict):
        return {key: _hole(key, value, redis) for key, value in node.items()}
    return [_holes(each, redis) for each in node] if isinstance(node, list) else node


def _hole(key: str, value: Node, redis: str) -> Node:
    if key == "namespace" and value == NAMESPACE:
        return Hole(".Release.Namespace")
    if key == "image" and (ours := _OURS.fullmatch(value)):
        return Hole(f'include "campus.image" (list $ "{ours[1]}")')
    if key in {"configMapRef", "configMap"} and (config := _HASHED.fullmatch(value["name"])):
        return {**value, "name": _config(config[1], redis)}
    # A number that YAML would take for another one is quoted, as kustomize does.
    return _holes(value, redis)


def _config(name: str, redis: str) -> Hole:
    content = f' "{redis}"' if name == "redis" and redis != name else ""
    return Hole(f'include "campus.config" (list $ "{name}"{content})')


def manifests(folder: str) -> Iterator[Source]:
    """The files of manifests of a folder, in the order in which its kustomization names them."""
    content = yaml.safe_load((K8S / folder / "kustomization.yaml").read_text())
    for name in content.get("resources", []):
        if (K8S / folder / name).is_file():
            yield Source(f"{folder}/{name}")
