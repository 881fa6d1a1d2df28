"""The documents of the chart, by template, and what decides about them: base, overlays and components put together."""

import copy
from dataclasses import dataclass
from typing import Final

from deploy.k8s.chart import sources, tree
from deploy.k8s.chart.sources import GENERATED, VALUES_OF, Documents, Name, Source
from deploy.k8s.chart.tree import Each, Hole, Lines, Node, When

ALWAYS: Final = ""
_HOSTED: Final = 'eq .Values.redis.mode "hosted"'
_INGRESS: Final = "and .Values.ingress.enabled (not .Values.gateway.enabled)"
_ADDING: Final = {
    "redis": 'eq .Values.redis.mode "single"',
    "couchdb": ".Values.couchdb.enabled",
    "influxdb": ".Values.influxdb.enabled",
    "keda": ".Values.keda.enabled",
    "monitoring": ".Values.monitoring.enabled",
    "backup": ".Values.backup.enabled",
    "tracing": ".Values.tracing.enabled",
    "external-secrets": ".Values.externalSecrets.enabled",
}
"""Components that add documents and change none, with the condition under which they are there."""
_CHANGING: Final = {
    "api-scaling": ".Values.apiScaling.enabled",
    "cert-manager": ".Values.certManager.enabled",
    "custom-metrics": ".Values.customMetrics.enabled",
    "quota": ".Values.quota.enabled",
    "gateway": ".Values.gateway.enabled",
    "gateway-mqtts": ".Values.gatewayMqtts.enabled",
}
"""Components that change documents of others, too."""
_CLUSTER: Final = ("redis-cluster", 'eq .Values.redis.mode "cluster"')
_ZONES: Final = ("zones", "and .Values.zones.enabled .Values.loadBalancer.enabled")
_BY_DOCUMENT: Final = {
    ("hosted", "to-redis"): _HOSTED,
    ("hosted", "to-https"): ".Values.network.https",
    ("hosted", "from-ingress"): _INGRESS,
    ("hosted", "dns-on-the-node"): ".Values.network.nodeDns",
    ("backup", "backup-redis"): 'ne .Values.redis.mode "hosted"',
    ("quota", "campus-first"): ".Values.quota.priorityClasses",
    ("quota", "campus-next"): ".Values.quota.priorityClasses",
}
_OF_THE_OVERLAY: Final = {
    "mqtt.yaml": ("load-balancer", "and .Values.loadBalancer.enabled (not .Values.gatewayMqtts.enabled)"),
    "ingress.yaml": ("ingress", _INGRESS),
    "network.yaml": ("hosted", ALWAYS),
}
"""Of ibm-cloud: what is for any cluster whose stores are elsewhere."""
LEFT_OUT: Final = {
    "analytics": "a lake is what few have; with kustomize it is there",
    "gateway-api": "an example with an application of somebody else's",
    "monitoring-logs": "it asks the store of deploy/k8s/observability, which the chart does not have",
}
"""Components that the chart does not have, and why."""
ZONE: Final = "service.kubernetes.io/ibm-load-balancer-cloud-provider-zone"


@dataclass(frozen=True, slots=True)
class Template:
    """A file of templates: its documents, the condition for all of them, and of what it was made."""

    condition: str
    documents: Documents
    of: tuple[str, ...]


Templates = dict[str, Template]


def templates() -> Templates:
    """All of them by name, with everything but values."""
    local, hosted = sources.upon("local"), sources.upon("ibm-cloud")
    everything, clustered = sources.base(*_ADDING), sources.base(_CLUSTER[0])
    quota = sources.base(_CLUSTER[0], "quota")
    in_zones = sources.upon("ibm-cloud", _ZONES[0])

    found: Templates = {}
    for source in sources.manifests("base"):
        if source.path != "base/namespace.yaml":
            _take(found, source, everything, _stem(source), ALWAYS)
    for component, condition in _ADDING.items():
        for source in sources.manifests(f"components/{component}"):
            _take(found, source, everything, component, condition)
        _take_config(found, component, everything)
    for source in sources.manifests(f"components/{_CLUSTER[0]}"):
        _take(found, source, clustered, *_CLUSTER)
    _take_config(found, _CLUSTER[0], clustered)
    for source in sources.manifests("overlays/ibm-cloud"):
        _take(found, source, hosted, *_OF_THE_OVERLAY[source.path.rpartition("/")[2]])

    # Replicas of decoders, which are KEDA's otherwise.
    _change(found, everything, local, "not .Values.keda.enabled", but=_CLUSTER[0])
    workloads = {name: _without_pull_secrets(each) for name, each in hosted.items() if name[0] in {"Deployment", "Job"}}
    _change(found, everything, workloads, ".Values.redis.authority", but=_CLUSTER[0])
    for component, condition in _CHANGING.items():
        changed = sources.base(*_ADDING, component)
        for source in sources.manifests(f"components/{component}"):
            _take(found, source, changed, component, condition)
        _change(found, everything, changed, condition, but=_CLUSTER[0])
    _change({_CLUSTER[0]: found[_CLUSTER[0]]}, clustered, quota, _CHANGING["quota"])
    for source in sources.manifests(f"components/{_ZONES[0]}"):
        _take(found, source, in_zones, *_ZONES)
    # How many of them there are is a value.
    spread = {name: _spread_as(in_zones[name], each) for name, each in hosted.items() if name[0] == "Deployment"}
    _change(found, hosted, spread, ".Values.zones.enabled", but=_CLUSTER[0])
    _special(found)
    return found


def _stem(source: Source) -> str:
    return source.path.rpartition("/")[2].removesuffix(".yaml")


def _take(found: Templates, source: Source, made: Documents, template: str, condition: str) -> None:
    """What is in a file, as kustomize has made it, into a template."""
    into = found.setdefault(template, Template(condition, {}, ()))
    for name in source.names:
        own = _BY_DOCUMENT.get((template, name[1]))
        document = copy.deepcopy(made[name])
        into.documents[name] = When(own, document) if own else document
    found[template] = Template(into.condition, into.documents, (*into.of, source.path))


def _take_config(found: Templates, component: str, made: Documents) -> None:
    """The ConfigMaps that a component makes of files, before what reads them."""
    into = found[component]
    config: dict[Name, Node] = {
        name: copy.deepcopy(made[name])
        for name in made
        if name[0] == "ConfigMap" and name[1] in GENERATED and name[1] not in VALUES_OF
        if name[1] == component or component == _CLUSTER[0]
    }
    found[component] = Template(into.condition, config | into.documents, into.of)


def _change(found: Templates, before: Documents, after: Documents, condition: str, *, but: str = "") -> None:
    for template, made in found.items():
        if template == but:
            continue
        for name, document in made.documents.items():
            if name[0] != "ConfigMap" and name in before and name in after:
                tree.change(document, before[name], after[name], condition)


def _spread_as(other: Node, document: Node) -> Node:
    """The document, over nodes and zones as another one."""
    document, key = copy.deepcopy(document), "topologySpreadConstraints"
    if key in (pod := other["spec"]["template"]["spec"]):
        document["spec"]["template"]["spec"][key] = pod[key]
    return document


def _without_pull_secrets(document: Node) -> Node:
    """They are a value."""
    document = copy.deepcopy(document)
    document["spec"]["template"]["spec"].pop("imagePullSecrets")
    return document


def _special(found: Templates) -> None:
    """What is neither a value in one place nor a component."""
    rule = found["monitoring"].documents["PrometheusRule", "campus"]
    rule["spec"] = Lines('.Files.Get "files/alerts.yaml"')
    scaled = found["keda"].documents["ScaledObject", "decoder"]["spec"]
    [trigger] = scaled["triggers"]
    trigger["metadata"]["stream"] = Hole('printf "raw:{%d}" $partition | quote')
    scaled["triggers"] = [Each("$partition := until (int $.Values.settings.PARTITIONS)", trigger)]
    # A Job cannot be changed: another one has another name, as deploy.k8s.render gives it.
    job = found[_CLUSTER[0]].documents["Job", "redis-cluster"]
    job["metadata"]["name"] = Hole(
        'printf "redis-cluster-%s" (include "campus.makes-redis-cluster" . | sha256sum | trunc 8)'
    )
    for number, (template, name) in enumerate((("load-balancer", "mqtt"), ("zones", "mqtt-2"), ("zones", "mqtt-3"))):
        metadata = found[template].documents["Service", name]["metadata"]
        zone: Node = Hole(f"index .Values.zones.names {number}")
        metadata["annotations"] = Lines(
            'include "campus.annotations" .Values.loadBalancer.annotations',
            {ZONE: zone if number else When(".Values.zones.enabled", zone)},
        )
