"""Which values the chart has: what each is for, what it may be, and which places of the manifests it stands in.

The default of a value is what the manifests have there, so there is one text of it. What is no value here is for an
overlay of kustomize: a chart with everything in it would be the manifests once more, and harder to read.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from deploy.k8s.chart import schema as s

FROM_MANIFESTS: Final = object()


@dataclass(frozen=True, slots=True)
class Data:
    """The data of a ConfigMap of the overlay `local`, or the base with a component, as a default; or a key of it."""

    name: str
    key: str = ""
    component: str = ""


@dataclass(frozen=True, slots=True)
class Value:
    """A value by its path, such as `haproxy.replicas`.

    `at` has places: template, kind, name and the keys that lead there, parted by blanks. `default` where the manifests
    have none. `shape`: `text` is quoted, `number` is not, `yaml` is a mapping or a list, `with` one that may be empty.
    """

    path: str
    says: str
    schema: s.Schema
    at: Sequence[str] = ()
    default: Any = FROM_MANIFESTS
    shape: str = "text"


@dataclass(frozen=True, slots=True)
class Section:
    """Values that belong together, with a comment above them."""

    name: str
    says: str
    values: Sequence[Value] = field(default_factory=tuple)


def _container(template: str, kind: str, name: str, container: str | None = None) -> str:
    return f"{template} {kind} {name} spec template spec containers {container or name}"


def _count(path: str, says: str, *at: str) -> Value:
    return Value(path, says, s.COUNT, at, shape="number")


def _resources(path: str, *containers: str, says: str = "What a pod asks for, and may have.") -> Value:
    return Value(path, says, s.RESOURCES, tuple(f"{at} resources" for at in containers), shape="yaml")


def _switch(path: str, says: str, *, on: bool = False) -> Value:
    return Value(f"{path}.enabled", says, s.BOOLEAN, default=on)


def _store(path: str, *templates: str, also: str = "", name: str = "") -> tuple[Value, ...]:
    """`also`: the other container that runs of the same image; `name`: that of the StatefulSet, if it is not `path`."""
    name = name or path
    claim = [f"{each} StatefulSet {name} spec volumeClaimTemplates 0 spec" for each in templates]
    return (
        Value(
            f"{path}.image",
            "",
            s.TEXT,
            (
                *(f"{_container(each, 'StatefulSet', name)} image" for each in templates),
                *([f"{also} image"] if also else []),
            ),
        ),
        _resources(f"{path}.resources", *(_container(each, "StatefulSet", name) for each in templates)),
        Value(
            f"{path}.storage",
            "Of its volume; Kubernetes lets nobody change it afterwards.",
            s.STORAGE,
            tuple(f"{each} resources requests storage" for each in claim),
        ),
        Value(
            f"{path}.storageClass",
            "Empty: the cluster's default.",
            s.ANY_TEXT,
            tuple(f"{each} storageClassName" for each in claim),
            default="",
            shape="text-if",
        ),
    )


_HTTP_HOST = (
    *(f"ingress Ingress {name} spec rules 0 host" for name in ("api", "websocket")),
    *(f"ingress Ingress {name} spec tls 0 hosts 0" for name in ("api", "websocket")),
    "gateway Gateway campus spec listeners https hostname",
    *(f"gateway HTTPRoute {name} spec hostnames 0" for name in ("api", "websocket")),
    "cert-manager Certificate campus spec dnsNames 0",
)
_MQTT_HOST = (
    "gateway-mqtts Gateway campus-mqtts spec listeners mqtts hostname",
    "gateway-mqtts TLSRoute mqtts spec hostnames 0",
    "cert-manager Certificate campus spec dnsNames 1",
)
_HPA = "HorizontalPodAutoscaler"
_FROM_NAMESPACE = "spec ingress 0 from 0 namespaceSelector matchLabels kubernetes.io/metadata.name"
_IMAGES: Final = (
    *("haproxy Deployment haproxy", "broker Deployment broker", "decoder Deployment decoder", "api Deployment api"),
    *("controller Deployment controller", "jobs Job users", "jobs Job api-key"),
)
_CRON: Final = ("backup-redis", "backup-documents", "backup-series")

TABLE: Final = (
    Section(
        "image",
        "Our images: REGISTRY/NAME:TAG, or REGISTRY/NAME@DIGEST.",
        (
            Value("image.registry", "Such as ghcr.io/someone/campus.", s.TEXT, default="campus"),
            Value("image.tag", "Empty: appVersion of Chart.yaml.", s.ANY_TEXT, default=""),
            Value(
                "image.digests",
                "By name, in the place of the tag. The pipeline puts those of the images that it has signed here.",
                s.DIGESTS,
                default={},
                shape="yaml",
            ),
            Value(
                "image.pullSecrets",
                "Secrets by which they are pulled, such as [{name: all-icr-io}].",
                s.list_of(s.mapping_of(name=s.TEXT)),
                (
                    *(f"{each} spec template spec imagePullSecrets" for each in _IMAGES),
                    "couchdb StatefulSet couchdb spec template spec imagePullSecrets",
                    *(f"backup CronJob {each} spec jobTemplate spec template spec imagePullSecrets" for each in _CRON),
                ),
                default=[],
                shape="with",
            ),
        ),
    ),
    Section(
        "settings",
        "Variables of the services (docs/operating.md), but for what is secret. A change of one is a rollout.",
        (
            Value("settings", "Of all of them.", s.VARIABLES, default=Data("settings"), shape="yaml"),
            Value("ingest", "Of brokers and the API.", s.VARIABLES, default=Data("ingest"), shape="yaml"),
            Value("stores", "Of decoders and the API.", s.VARIABLES, default=Data("stores"), shape="yaml"),
            Value(
                "trustedProxies",
                "Where pods have their addresses: from there the API believes who the client is.",
                s.NETWORKS,
                default=Data("proxies", "API_TRUSTED_PROXIES"),
            ),
            Value(
                "kinds", "What is counted, as the JSON of a kinds.json; empty: cars and phones.", s.ANY_TEXT, default=""
            ),
        ),
    ),
    Section(
        "privacy",
        "What people may find out, and for how long it is kept. null: what the service takes by itself.",
        (
            Value(
                "privacy.minCount",
                "Smaller counts of phones are null (0).",
                {"type": ["integer", "null"], "minimum": 0},
                default=None,
            ),
            Value(
                "privacy.publicOccupancy", "Zones and occupancy need no key (true).", s.maybe(s.BOOLEAN), default=None
            ),
            Value(
                "privacy.archive",
                "Positions that become documents: every, sampled, off (every).",
                s.one_of("every", "sampled", "off", None),
                default=None,
            ),
            Value(
                "privacy.documentsKeep",
                "How long documents are kept, such as 90d (as stores.DOCUMENTS_KEEP).",
                s.KEPT,
                default=None,
            ),
            Value(
                "privacy.occupancyKeep",
                "How long windows are kept, such as 1m:30d,5m:365d (for ever).",
                s.KEPT_BY_WIDTH,
                default=None,
            ),
            Value("privacy.marksKeep", "How long marks of devices are kept (30d).", s.KEPT, default=None),
            Value("privacy.deadLettersKeep", "How long dead letters are kept (7d).", s.KEPT, default=None),
        ),
    ),
    Section(
        "hostnames",
        "What people and devices call it, in Ingress, Gateway and certificate.",
        (
            Value("hostnames.http", "", s.HOST, _HTTP_HOST),
            Value("hostnames.mqtt", "", s.HOST, _MQTT_HOST),
        ),
    ),
    Section(
        "haproxy",
        "The front.",
        (
            _count("haproxy.replicas", "", "haproxy Deployment haproxy spec replicas"),
            _resources("haproxy.resources", _container("haproxy", "Deployment", "haproxy")),
        ),
    ),
    Section(
        "broker",
        "Brokers, as many as there is work for (with metrics-server; without, the least).",
        (
            _count("broker.minReplicas", "", f"broker {_HPA} broker spec minReplicas"),
            _count(
                "broker.maxReplicas",
                "No more than 16 during a rollout: HAProxy has places for so many.",
                f"broker {_HPA} broker spec maxReplicas",
            ),
            _resources("broker.resources", _container("broker", "Deployment", "broker")),
        ),
    ),
    Section(
        "decoder",
        "Decoders.",
        (
            _count("decoder.replicas", "Without KEDA.", "decoder Deployment decoder spec replicas"),
            _resources("decoder.resources", _container("decoder", "Deployment", "decoder")),
        ),
    ),
    Section(
        "api",
        "The API.",
        (
            _count("api.replicas", "Without apiScaling.", "api Deployment api spec replicas"),
            _resources("api.resources", _container("api", "Deployment", "api")),
        ),
    ),
    Section(
        "controller",
        "The controller.",
        (_resources("controller.resources", _container("controller", "Deployment", "controller")),),
    ),
    Section(
        "redis",
        "The hot state.",
        (
            Value(
                "redis.mode",
                "single: one in the cluster. cluster: six, of which one may be lost. hosted: elsewhere.",
                s.one_of("single", "cluster", "hosted"),
                default="single",
            ),
            Value(
                "redis.maxmemory",
                "Of one server: below the memory that its pod may have, which a rewrite of its file needs, too.",
                s.BYTES,
                default="160mb",
            ),
            *_store("redis", "redis", "redis-cluster", also=_container("redis-cluster", "Job", "redis-cluster")),
            Value(
                "redis.authority",
                "A ConfigMap `redis-ca` has the authority of its certificate, which REDIS_URL names (hosted).",
                s.BOOLEAN,
                default=False,
            ),
        ),
    ),
    Section(
        "keys",
        "The Redis of keys that are to be destroyed: small, in the cluster whatever redis.mode is, and in no backup.",
        _store("keys", "redis-keys", name="redis-keys"),
    ),
    Section(
        "couchdb",
        "Documents.",
        (
            _switch("couchdb", "false: Cloudant, or a CouchDB elsewhere; see `stores`.", on=True),
            *_store(
                "couchdb", "couchdb", also="couchdb StatefulSet couchdb spec template spec initContainers configure"
            ),
        ),
    ),
    Section(
        "influxdb",
        "Occupancy.",
        (
            _switch("influxdb", "false: an InfluxDB 2 elsewhere; see `stores`.", on=True),
            *_store("influxdb", "influxdb"),
        ),
    ),
    Section(
        "network",
        "Ways out of the namespace, which are shut otherwise.",
        (
            Value("network.https", "Decoders and API reach stores elsewhere, at 443.", s.BOOLEAN, default=False),
            Value(
                "network.inside",
                "Addresses of pods and services: no store elsewhere has one of them.",
                s.list_of(s.CIDR),
                (
                    "hosted NetworkPolicy to-redis spec egress 0 to 0 ipBlock except",
                    "hosted NetworkPolicy to-https spec egress 0 to 0 ipBlock except",
                ),
                shape="yaml",
            ),
            Value("network.nodeDns", "A DNS cache on each node answers, as on IBM Cloud.", s.BOOLEAN, default=False),
        ),
    ),
    Section(
        "ingress",
        "HTTP from outside by an Ingress.",
        (
            _switch("ingress", "Not with `gateway`: there is one door."),
            Value(
                "ingress.className",
                "",
                s.TEXT,
                tuple(f"ingress Ingress {name} spec ingressClassName" for name in ("api", "websocket")),
            ),
            Value(
                "ingress.namespace",
                "Where its controller is.",
                s.TEXT,
                (f"hosted NetworkPolicy from-ingress {_FROM_NAMESPACE}",),
            ),
        ),
    ),
    Section(
        "loadBalancer",
        "MQTT from outside, with TLS, by a Service of type LoadBalancer.",
        (
            _switch("loadBalancer", "Not with `gatewayMqtts`."),
            Value("loadBalancer.annotations", "What the cloud wants to be told.", s.STRINGS, default={}, shape="yaml"),
        ),
    ),
    Section(
        "gateway",
        "HTTP from outside by the Gateway API.",
        (
            _switch("gateway", ""),
            Value(
                "gateway.className",
                "",
                s.TEXT,
                (
                    "gateway Gateway campus spec gatewayClassName",
                    "gateway-mqtts Gateway campus-mqtts spec gatewayClassName",
                ),
            ),
            Value(
                "gateway.namespace",
                "Where its proxies are.",
                s.TEXT,
                (f"gateway NetworkPolicy from-gateway {_FROM_NAMESPACE}",),
            ),
        ),
    ),
    Section(
        "gatewayMqtts",
        "MQTT with TLS by the Gateway API; nobody sees clients' addresses then.",
        (_switch("gatewayMqtts", ""),),
    ),
    Section(
        "certManager",
        "The certificate of both names by cert-manager.",
        (
            _switch("certManager", ""),
            Value(
                "certManager.issuer",
                "Of its Issuer: who serves the zone of the names.",
                s.OBJECT,
                ("cert-manager Issuer campus spec",),
                shape="yaml",
            ),
        ),
    ),
    Section(
        "externalSecrets",
        "Secrets by the External Secrets Operator.",
        (
            _switch("externalSecrets", ""),
            Value(
                "externalSecrets.provider",
                "Of its SecretStore.",
                s.OBJECT,
                ("external-secrets SecretStore campus spec provider",),
                shape="yaml",
            ),
        ),
    ),
    Section(
        "keda",
        "Decoders, as many as there is work for, by KEDA; a trigger for each of PARTITIONS.",
        (
            _switch("keda", ""),
            _count("keda.minReplicas", "", "keda ScaledObject decoder spec minReplicaCount"),
            _count("keda.maxReplicas", "", "keda ScaledObject decoder spec maxReplicaCount"),
        ),
    ),
    Section(
        "apiScaling",
        "APIs, as many as there is work for. Needs metrics-server.",
        (
            _switch("apiScaling", ""),
            _count("apiScaling.minReplicas", "", f"api-scaling {_HPA} api spec minReplicas"),
            _count(
                "apiScaling.maxReplicas",
                "HAProxy has 8 places: for so many and their successors.",
                f"api-scaling {_HPA} api spec maxReplicas",
            ),
        ),
    ),
    Section(
        "customMetrics",
        "Brokers by connections and messages, too; needs `monitoring` and prometheus-adapter.",
        (_switch("customMetrics", ""),),
    ),
    Section(
        "monitoring",
        "Metrics and alerts for the Prometheus Operator.",
        (
            _switch("monitoring", ""),
            Value(
                "monitoring.namespace",
                "Where Prometheus is.",
                s.TEXT,
                (f"monitoring NetworkPolicy from-prometheus {_FROM_NAMESPACE}",),
            ),
        ),
    ),
    Section(
        "tracing",
        "Traces of a part of what comes in, to the Jaeger of deploy/k8s/observability.",
        (
            _switch("tracing", ""),
            Value("tracing.url", "", s.TEXT, default=Data("settings", "TRACES_URL", component="tracing")),
            Value("tracing.share", "", s.SHARE, default=Data("settings", "TRACES_SHARE", component="tracing")),
        ),
    ),
    Section(
        "quota",
        "Who comes first where there is too little, and how much there may be in all.",
        (
            _switch("quota", ""),
            Value(
                "quota.priorityClasses",
                "Make them: they are the cluster's, and a second installation finds them there.",
                s.BOOLEAN,
                default=True,
            ),
            Value("quota.hard", "", s.QUANTITIES, ("quota ResourceQuota campus spec hard",), shape="yaml"),
        ),
    ),
    Section(
        "zones",
        "Three zones of IBM Cloud, with a `loadBalancer` in each; with haproxy.replicas=3 and broker.minReplicas=3.",
        (
            _switch("zones", ""),
            Value(
                "zones.names",
                "",
                s.list_of(s.TEXT, minItems=3, maxItems=3),
                default=["eu-de-1", "eu-de-2", "eu-de-3"],
                shape="yaml",
            ),
        ),
    ),
    Section(
        "backup",
        "Backups to object storage (docs/backups.md).",
        (
            _switch("backup", "Of a Redis that is hosted, whoever hosts it makes them."),
            Value("backup.settings", "", s.VARIABLES, default=Data("backup", component="backup"), shape="yaml"),
            *(
                Value(
                    f"backup.schedules.{each.removeprefix('backup-')}",
                    "",
                    s.CRON,
                    (f"backup CronJob {each} spec schedule",),
                )
                for each in _CRON
            ),
        ),
    ),
    Section(
        "test",
        "`helm test`: one position goes in over MQTT, and comes out over HTTP.",
        (
            Value(
                "test.username",
                "A user with the role car; its password is MQTT_PASSWORD of the Secret.",
                s.TEXT,
                default="demo-car",
            ),
            Value("test.secret", "May have API_KEY, too, where occupancy is not public.", s.TEXT, default="smoke"),
        ),
    ),
)
