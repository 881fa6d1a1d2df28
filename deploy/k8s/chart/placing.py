"""Values, put into the documents where the table says, with the defaults that stand there."""

import copy
import functools

from deploy.k8s.chart import sources, tree
from deploy.k8s.chart.parts import Templates
from deploy.k8s.chart.table import FROM_MANIFESTS, TABLE, Data, Value
from deploy.k8s.chart.tree import Hole, Lines, Node, When, With

Defaults = dict[str, Node]
"""By the path of a value."""
_MAXMEMORY = "maxmemory 160mb"


def place(found: Templates) -> Defaults:
    """Put expressions into all places; the defaults are those of the manifests. Raises ValueError if those disagree."""
    defaults = {value.path: _place(found, value) for section in TABLE for value in section.values}
    for template in ("redis", "redis-cluster"):
        content = found[template].documents["ConfigMap", "redis"]["data"]
        if (
            _MAXMEMORY.removeprefix("maxmemory ") != defaults["redis.maxmemory"]
            or _MAXMEMORY not in content["redis.conf"]
        ):
            raise ValueError(f"redis.conf has no {_MAXMEMORY}")
    return defaults


def _place(found: Templates, value: Value) -> Node:
    stood = [_put(found, at.split(" "), value) for at in value.at]
    if value.default is FROM_MANIFESTS:
        if any(each != stood[0] for each in stood):
            raise ValueError(f"{value.path} has several defaults: {stood}")
        return stood[0]
    if isinstance(value.default, Data):
        data = _data(value.default.component)["ConfigMap", value.default.name]["data"]
        return data[value.default.key] if value.default.key else data
    return value.default


@functools.cache
def _data(component: str) -> sources.Documents:
    return sources.base(component) if component else sources.upon("local")


def _put(found: Templates, at: list[str], value: Value) -> Node:
    template, kind, name, *keys = at
    holder, key = tree.find(found[template].documents[kind, name], keys)
    made = _expression(value)
    if isinstance(holder, dict) and key not in holder:
        if value.default is FROM_MANIFESTS:
            raise KeyError(f"{value.path}: {' '.join(at)}")
        holder[key] = made
        return None
    stood = holder[key]
    holder[key] = When(stood.condition, made) if isinstance(stood, When) else made
    return copy.deepcopy(tree.plain(stood))


def _expression(value: Value) -> Node:
    here = f".Values.{value.path}"
    match value.shape:
        case "number":
            return Hole(here)
        case "yaml":
            return Lines(f"toYaml {here}")
        case "with":
            return With(value.path)
        case "text-if":
            return When(here, Hole(f"{here} | quote"))
        case _:
            return Hole(f"{here} | quote")


def with_maxmemory(content: str) -> str:
    """A redis.conf as a template has it."""
    return content.replace(_MAXMEMORY, "maxmemory {{ .Values.redis.maxmemory }}")
