"""The Helm chart is what kustomize makes of deploy/k8s, and its values are what they say."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator
from jsonschema.exceptions import ValidationError
from typer.testing import CliRunner

from deploy.k8s.chart.files import files
from deploy.k8s.chart.parts import LEFT_OUT
from deploy.k8s.chart.table import TABLE
from deploy.smoke.__main__ import app
from deploy.smoke.addresses import api_address, mqtt_address
from tests.deploy.k8s_manifests import (
    K8S,
    ROOT,
    Document,
    documents,
    environment,
    kubectl,
    kustomization,
    of_kind,
    selects,
    workloads,
)
from tests.helm.executable import CHART, asked, rendered, templated
from tests.rooms import ROOMS

BY_HAND = {
    *("Chart.yaml", "README.md", "values-ibm-cloud.yaml", "templates/NOTES.txt", "templates/_helpers.tpl"),
    *("templates/settings.yaml", "templates/tests/smoke.yaml"),
}
IBM = ("-f", str(CHART / "values-ibm-cloud.yaml"))
CLUSTER = ("--set", "redis.mode=cluster,settings.PARTITIONS=6,ingest.RAW_MAX_LENGTH=75000")


def on(*values: str) -> tuple[str, str]:
    """These components, by their values."""
    return ("--set", ",".join(f"{each}.enabled=true" for each in values))


def names(found: list[Document]) -> dict[tuple[str, str], Document]:
    return {(each["kind"], each["metadata"]["name"]): each for each in found}


def as_kustomize_has_it(found: list[Document]) -> dict[tuple[str, str], Document]:
    """Without what is Helm's: two labels, that ConfigMaps of former releases stay, digits at the name of one Job."""
    for document in found:
        metadata = document["metadata"]
        assert metadata["labels"].pop("helm.sh/chart") == "campus-0.2.0"
        assert metadata["labels"].pop("app.kubernetes.io/managed-by") == "Helm"
        if document["kind"] == "ConfigMap":
            assert metadata.pop("annotations") == {
                "helm.sh/hook": "pre-install,pre-upgrade,pre-rollback",
                "helm.sh/hook-delete-policy": "before-hook-creation",
            }
        if document["kind"] == "Job":
            metadata["name"] = re.sub("^redis-cluster-[0-9a-f]{8}$", "redis-cluster", metadata["name"])
    return names(found)


def same(found: list[Document], wanted: list[Document]) -> None:
    """Document by document; the namespace is there before a chart is, or there would be no Secrets."""
    ours, theirs = as_kustomize_has_it(found), names([each for each in wanted if each["kind"] != "Namespace"])
    for rule in of_kind(wanted, "PrometheusRule").values():
        for alert in (alert for group in rule["spec"]["groups"] for alert in group["rules"]):
            # Kustomize writes an empty line where the lines of a folded text begin to be indented.
            alert["expr"] = alert["expr"].replace("(\n\n", "(\n")
    assert len(ours) == len(found)
    assert ours.keys() == theirs.keys()
    for name, document in theirs.items():
        assert ours[name] == document, name


def with_components(folder: Path, overlay: str, *components: str) -> list[Document]:
    return documents(
        kustomization(
            folder / "with",
            namespace="campus",
            labels=[{"pairs": {"app.kubernetes.io/part-of": "campus"}, "includeTemplates": True}],
            resources=[f"overlays/{overlay}"],
            components=[f"components/{each}" for each in components],
        )
    )


def test_what_is_in_the_chart_is_what_would_be_made_now() -> None:
    kubectl()
    made = files()
    there = {str(path.relative_to(CHART)) for path in CHART.rglob("*") if path.is_file()}
    assert there == made.keys() | BY_HAND
    for path, content in made.items():
        assert (CHART / path).read_text() == content, f"{path}: python -m deploy.k8s.chart"


@pytest.mark.parametrize(("overlay", "values"), [("local", ()), ("local-cluster", CLUSTER), ("ibm-cloud", IBM)])
def test_it_renders_what_kustomize_makes_of_an_overlay(overlay: str, values: tuple[str, ...]) -> None:
    same(templated(*values), documents(K8S / "overlays" / overlay))


@pytest.mark.parametrize(
    ("component", "value"),
    [
        *[("monitoring", "monitoring"), ("custom-metrics", "customMetrics"), ("quota", "quota"), ("backup", "backup")],
        *[("api-scaling", "apiScaling"), ("cert-manager", "certManager"), ("external-secrets", "externalSecrets")],
        *[("gateway", "gateway"), ("gateway-mqtts", "gatewayMqtts"), ("tracing", "tracing"), ("keda", "keda")],
    ],
)
def test_a_component_is_turned_on_by_a_value(tmp_path: Path, component: str, value: str) -> None:
    wanted = with_components(tmp_path, "local", component)
    if component == "keda":
        # Who adds it takes the replicas out of the overlay (deploy/k8s/README.md).
        del of_kind(wanted, "Deployment")["decoder"]["spec"]["replicas"]
    same(templated(*on(value)), wanted)


def test_on_ibm_cloud_most_of_them_go_together(tmp_path: Path) -> None:
    components = (
        "quota",
        "zones",
        "api-scaling",
        "monitoring",
        "custom-metrics",
        "cert-manager",
        "external-secrets",
        "gateway",
    )
    values = (
        "quota",
        "zones",
        "apiScaling",
        "monitoring",
        "customMetrics",
        "certManager",
        "externalSecrets",
        "gateway",
    )
    three = ("--set", "haproxy.replicas=3,broker.minReplicas=3")
    same(templated(*IBM, *on(*values), *three), with_components(tmp_path, "ibm-cloud", *components))


def test_on_ibm_cloud_the_gateway_takes_the_place_of_the_load_balancer(tmp_path: Path) -> None:
    same(templated(*IBM, *on("gatewayMqtts")), with_components(tmp_path, "ibm-cloud", "gateway-mqtts"))


def test_a_quota_is_upon_a_redis_cluster_as_well(tmp_path: Path) -> None:
    same(templated(*CLUSTER, *on("quota")), with_components(tmp_path, "local-cluster", "quota"))


def test_a_redis_that_is_hosted_is_not_saved_from_here() -> None:
    assert of_kind(templated(*IBM, *on("backup")), "CronJob").keys() == {"backup-documents", "backup-series"}


def test_every_component_is_in_the_chart_or_it_is_said_why_not() -> None:
    said = "".join(path.read_text() for path in (CHART / "templates").glob("*.yaml"))
    for component in {path.name for path in (K8S / "components").iterdir()} - {"custom-metrics"}:
        assert (f"deploy/k8s/components/{component}/" in said) is (component not in LEFT_OUT), component


def test_everything_is_in_the_namespace_of_the_release() -> None:
    found = templated(*on("quota", "monitoring"), namespace="campus-staging")
    for document in found:
        if document["kind"] != "PriorityClass":
            assert document["metadata"]["namespace"] == "campus-staging"
    [binding] = of_kind(found, "RoleBinding").values()
    assert binding["subjects"][0]["namespace"] == "campus-staging"


def test_images_are_those_of_a_registry_by_tag_or_digest() -> None:
    digest = "sha256:" + "a" * 64
    values = ("--set", f"image.registry=ghcr.io/someone/campus,image.tag=1.2.3,image.digests.broker={digest}")
    run = {container["image"] for each in workloads(templated(*values)) for container in each.containers}
    assert run == {
        f"ghcr.io/someone/campus/broker@{digest}",
        *(f"ghcr.io/someone/campus/{name}:1.2.3" for name in ("haproxy", "decoder", "api", "controller")),
        *("redis:7.2-bookworm", "couchdb:3.5", "influxdb:2.7"),
    }


def test_whoever_pulls_our_images_may_do_so() -> None:
    found = templated("--set", "image.pullSecrets[0].name=ours", *on("backup"))
    jobs = [each["spec"]["jobTemplate"] for each in of_kind(found, "CronJob").values()]
    for template in [*(each.document for each in workloads(found)), *jobs]:
        pod = template["spec"]["template"]["spec"]
        if any(container["image"].startswith("campus/") for container in pod["containers"]):
            assert pod["imagePullSecrets"] == [{"name": "ours"}]


def test_values_are_where_people_want_them() -> None:
    values = (
        *("--set", "haproxy.replicas=3,broker.maxReplicas=4,decoder.replicas=5,api.resources.limits.memory=512Mi"),
        *(
            "--set",
            "redis.storage=8Gi,redis.storageClass=fast,redis.maxmemory=1gb,redis.image=valkey:8,couchdb.enabled=false",
        ),
        *(
            "--set",
            "ingress.enabled=true,hostnames.http=map.example,ingress.className=nginx,ingress.namespace=ingress-nginx",
        ),
    )
    found = templated(*values)
    deployments = of_kind(found, "Deployment")
    assert [deployments[name]["spec"].get("replicas") for name in ("haproxy", "broker", "decoder")] == [3, None, 5]
    assert of_kind(found, "HorizontalPodAutoscaler")["broker"]["spec"]["maxReplicas"] == 4
    assert deployments["api"]["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["memory"] == "512Mi"
    stores = of_kind(found, "StatefulSet")
    assert stores.keys() == {"redis", "redis-keys", "influxdb"}
    [claim] = stores["redis"]["spec"]["volumeClaimTemplates"]
    assert claim["spec"]["storageClassName"] == "fast"
    assert claim["spec"]["resources"]["requests"]["storage"] == "8Gi"
    assert "storageClassName" not in stores["influxdb"]["spec"]["volumeClaimTemplates"][0]["spec"]
    [config] = [each for name, each in of_kind(found, "ConfigMap").items() if name.startswith("redis-")]
    assert "\nmaxmemory 1gb\n" in config["data"]["redis.conf"]
    for ingress in of_kind(found, "Ingress").values():
        assert ingress["spec"]["ingressClassName"] == "nginx"
        assert ingress["spec"]["tls"][0]["hosts"] == [ingress["spec"]["rules"][0]["host"]] == ["map.example"]


def variables(found: list[Document], name: str) -> dict[str, str]:
    [workload] = [each for each in workloads(found) if each.name == name and each.kind == "Deployment"]
    return environment(workload, workload.main, found)


def test_privacy_is_settings_of_the_services_that_know_them() -> None:
    keeps = "privacy.documentsKeep=90d,privacy.marksKeep=12h,privacy.deadLettersKeep=1d,privacy.archive=off"
    found = templated(
        "--set",
        f"privacy.minCount=0,privacy.publicOccupancy=false,{keeps}",
        "--set",
        r"privacy.occupancyKeep=1m:30d\,5m:365d",
    )
    wanted = {"PRIVACY_MIN_COUNT": "0", "API_PUBLIC_OCCUPANCY": "false", "ARCHIVE": "off", "DOCUMENTS_KEEP": "90d"}
    wanted |= {"OCCUPANCY_KEEP": "1m:30d,5m:365d", "MARKS_KEEP": "12h", "DEAD_LETTERS_KEEP": "1d"}
    for name in ("decoder", "api"):
        assert variables(found, name).items() >= wanted.items()
        assert variables(templated(), name).keys() & wanted.keys() == {"DOCUMENTS_KEEP"}


def test_a_number_is_written_as_it_was_given_and_another_setting_is_a_rollout(tmp_path: Path) -> None:
    given = tmp_path / "values.yaml"
    given.write_text("ingest: {RAW_MAX_LENGTH: 1000000}\nsettings: {LOG_LEVEL: debug}\n")
    found = templated("-f", given)
    assert variables(found, "broker")["RAW_MAX_LENGTH"] == "1000000"
    assert variables(found, "broker")["LOG_FORMAT"] == "json"
    pods = [of_kind(each, "Deployment")["controller"]["spec"]["template"] for each in (templated(), found)]
    assert pods[0] != pods[1]


def test_bicycles_are_counted_by_one_value(tmp_path: Path) -> None:
    kinds = ROOT / "core" / "kinds.json"
    (tmp_path / "kinds").mkdir()
    (tmp_path / "kinds" / "kinds.json").write_text(kinds.read_text())
    wanted = kustomization(
        tmp_path / "kinds",
        namespace="campus",
        resources=["overlays/local"],
        labels=[{"pairs": {"app.kubernetes.io/part-of": "campus"}, "includeTemplates": True}],
        configMapGenerator=[
            {"name": "kinds", "files": ["kinds.json"]},
            {"name": "settings", "behavior": "merge", "literals": ["KINDS_FILE=/etc/campus/kinds.json"]},
        ],
    )
    same(templated("--set-file", f"kinds={kinds}"), documents(wanted))


def test_keda_has_a_trigger_for_each_partition() -> None:
    scaled = of_kind(templated(*on("keda"), "--set", "settings.PARTITIONS=3"), "ScaledObject")["decoder"]
    streams = [trigger["metadata"]["stream"] for trigger in scaled["spec"]["triggers"]]
    assert streams == ["raw:{0}", "raw:{1}", "raw:{2}"]


def test_another_image_is_another_job_for_a_redis_cluster() -> None:
    """A Job cannot be changed, and this one is no hook."""
    made = [of_kind(templated(*CLUSTER, *more), "Job") for more in ((), ("--set", "redis.image=valkey:8"))]
    assert made[0].keys() != made[1].keys()


def mistakes(values: dict[str, Any]) -> list[ValidationError]:
    schema = json.loads((CHART / "values.schema.json").read_text())
    Draft7Validator.check_schema(schema)
    return list(Draft7Validator(schema).iter_errors(values))


def nested(path: str, value: object) -> dict[str, Any]:
    for key in reversed(path.split(".")):
        value = {key: value}
    assert isinstance(value, dict)
    return value


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("haproxy.replicas", 0),
        ("haproxy.replicas", "two"),
        ("haproxy.replica", 2),
        ("redis.mode", "sentinel"),
        ("redis.storage", "two gigabytes"),
        ("redis.maxmemory", "80%"),
        ("image.digests", {"broker": "latest"}),
        ("image.pullSecrets", ["ours"]),
        ("settings", {"log level": "debug"}),
        ("settings", {"LOG_LEVEL": ["debug"]}),
        ("privacy.archive", "some"),
        ("privacy.documentsKeep", "90 days"),
        ("hostnames.http", "https://campus.example.org"),
        ("api.resources", {"limits": {"memory": "a lot"}}),
        ("trustedProxies", "everybody"),
        ("keda.enabled", "yes"),
        ("tracing.share", "2"),
        ("zones.names", ["eu-de-1"]),
        ("backup.schedules.redis", "hourly"),
        ("certManager.issuer", "letsencrypt"),
        ("nonsense", 1),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_the_schema(path: str, value: object) -> None:
    assert mistakes(nested(path, value))


def test_helm_itself_refuses_it_and_names_it() -> None:
    done = asked("template", "campus", CHART, "--set", "redis.mode=sentinel,haproxy.replica=2")
    assert done.returncode == 1
    assert "values don't meet the specifications of the schema" in done.stderr
    assert "redis" in done.stderr
    assert "replica" in done.stderr


def test_helm_lint_finds_nothing() -> None:
    done = asked("lint", "--strict", CHART)
    assert done.returncode == 0, done.stdout
    assert "[WARNING]" not in done.stdout


def test_defaults_and_what_is_for_ibm_cloud_are_values_that_can_be() -> None:
    for name in ("values.yaml", "values-ibm-cloud.yaml"):
        values = yaml.safe_load((CHART / name).read_text())
        values["stores"] = {key: value for key, value in values["stores"].items() if value is not None}
        assert not mistakes(values), name


def leaves(properties: dict[str, Any], before: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    for key, each in properties.items():
        if each.get("properties") and key != "resources":
            yield from leaves(each["properties"], f"{before}{key}.")
        else:
            yield f"{before}{key}", each


def test_every_value_is_used_and_says_what_it_is_where_its_name_does_not() -> None:
    used = "".join(path.read_text() for path in (CHART / "templates").rglob("*") if path.is_file())
    found = dict(leaves(json.loads((CHART / "values.schema.json").read_text())["properties"]))
    assert found.keys() == {value.path for section in TABLE for value in section.values} | {"global"}
    for path in found.keys() - {"global"}:
        # Those of `privacy` and `image` are gone through, by the helpers.
        assert f".Values.{path}" in used or f'"{path.removeprefix("privacy.")}"' in used or path.startswith("image."), (
            path
        )


def smoke() -> dict[tuple[str, str], Document]:
    found = list(yaml.safe_load_all(rendered("--show-only", "templates/tests/smoke.yaml", *on("quota"))))
    return names(found)


def test_helm_test_is_the_smoke_test() -> None:
    pod = smoke()["Pod", "smoke"]
    assert pod["metadata"]["annotations"]["helm.sh/hook"] == "test"
    [container] = pod["spec"]["containers"]
    assert container["command"] == ["python", "-m", "deploy.smoke"]
    known = CliRunner().invoke(app, ["--help"], terminal_width=200).stdout
    options = dict(each.split("=", 1) for each in container["args"])
    assert all(option in known for option in options)
    assert mqtt_address(options["--mqtt"]).port == 1883
    assert api_address(options["--api"]).port == 8080
    assert options["--username"] == "demo-car"
    assert container["image"] == "campus/simulator:dev"
    assert "\nCOPY deploy/smoke deploy/smoke\n" in (ROOT / "simulator" / "Dockerfile").read_text()


def test_what_the_smoke_test_imports_of_ours_is_in_its_image() -> None:
    text = "import sys, deploy.smoke.__main__; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True, cwd=ROOT)
    ours = {name for name in done.stdout.split() if name.partition(".")[0] in ROOMS}
    copied = re.findall(r"^COPY (\w+) \w+$", (ROOT / "simulator" / "Dockerfile").read_text(), re.MULTILINE)
    outside = {name for name in ours if name.partition(".")[0] not in copied}
    assert all(name == "deploy" or name.startswith("deploy.smoke") for name in outside)


def test_the_smoke_test_reaches_haproxy_and_nothing_else() -> None:
    found = smoke()
    labels = found["Pod", "smoke"]["metadata"]["labels"]
    policy = found["NetworkPolicy", "smoke"]
    assert selects(policy["spec"]["podSelector"], labels)
    [rule] = policy["spec"]["egress"]
    assert {each["port"] for each in rule["ports"]} == {1883, 8080}
    [to] = rule["to"]
    front = of_kind(templated(), "Deployment")["haproxy"]["spec"]["template"]["metadata"]["labels"]
    assert selects(to["podSelector"], front)
    # Nobody else is selected by what is the pod's alone, and Services take no notice of it.
    assert labels["app.kubernetes.io/name"] not in {
        each.labels["app.kubernetes.io/name"] for each in workloads(templated())
    }


def test_the_version_is_that_of_the_project() -> None:
    [version] = re.findall(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert yaml.safe_load((CHART / "Chart.yaml").read_text())["version"] == version
