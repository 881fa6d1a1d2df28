"""Alerts and metrics in Kubernetes are those of deploy/observability."""

import json
from pathlib import Path

import yaml

from deploy.k8s.rules import RULES, prometheus_rule
from tests.deploy.k8s_manifests import K8S, ROOT, monitored, of_kind

OBSERVABILITY = ROOT / "deploy/observability"


def test_the_alerts_of_kubernetes_are_those_that_promtool_has_checked(tmp_path: Path) -> None:
    groups = [group for path in sorted(RULES.glob("*.yml")) for group in yaml.safe_load(path.read_text())["groups"]]
    assert len(groups) >= 4
    written = yaml.safe_load((K8S / "components/monitoring/rules.yaml").read_text())["spec"]["groups"]
    assert written == groups
    # Kustomize writes folded text with an empty line more, which PromQL does not mind.
    given = of_kind(monitored(tmp_path), "PrometheusRule")["campus"]["spec"]["groups"]
    assert json.dumps(given, sort_keys=True).replace(r"\n\n", r"\n") == json.dumps(groups, sort_keys=True)


def test_made_anew_they_are_the_same() -> None:
    assert (K8S / "components/monitoring/rules.yaml").read_text() == prometheus_rule(), "python -m deploy.k8s.rules"


def test_a_job_is_called_as_the_rules_call_it_and_a_node_is_a_pod(tmp_path: Path) -> None:
    monitors = of_kind(monitored(tmp_path), "PodMonitor")
    services = {"haproxy", "broker", "decoder", "api", "controller"}
    assert monitors.keys() == services | {"certificate", "logs"}
    for name in services:
        monitor = monitors[name]
        assert monitor["spec"]["jobLabel"] == "app.kubernetes.io/name"
        assert monitor["spec"]["selector"]["matchLabels"] == {"app.kubernetes.io/name": name}
        [endpoint] = monitor["spec"]["podMetricsEndpoints"]
        assert endpoint["relabelings"] == [{"sourceLabels": ["__meta_kubernetes_pod_name"], "targetLabel": "node"}]


def test_what_is_probed_in_kubernetes_is_called_and_asked_as_in_compose(tmp_path: Path) -> None:
    found = monitored(tmp_path)
    told = of_kind(found, "ConfigMap")["blackbox"]["data"]["blackbox.yml"]
    assert told == (OBSERVABILITY / "blackbox/blackbox.yml").read_text()
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["blackbox-exporter"]["image"]
    assert (
        f":-{of_kind(found, 'Deployment')['blackbox-exporter']['spec']['template']['spec']['containers'][0]['image']}"
        in compose
    )
    probes = [
        (
            endpoint["path"],
            *(
                {each["targetLabel"]: each["replacement"] for each in endpoint["relabelings"]}[of]
                for of in ("job", "node")
            ),
            *endpoint["params"]["module"],
            *endpoint["params"]["target"],
        )
        for name in ("certificate", "logs")
        for endpoint in of_kind(found, "PodMonitor")[name]["spec"]["podMetricsEndpoints"]
    ]
    query = "/logs-*/_count?q=timestamp:%5Bnow-1h%20TO%20now%5D"
    assert probes == [
        ("/probe", "certificate", "haproxy:8883", "certificate", "haproxy:8883"),
        ("/probe", "certificate", "haproxy:8443", "certificate", "haproxy:8443"),
        ("/probe", "logs", "opensearch", "logs", f"http://opensearch.campus-observability:9200{query}"),
    ]
    jobs = yaml.safe_load((OBSERVABILITY / "prometheus/prometheus.yml").read_text())["scrape_configs"]
    by_name = {job["job_name"]: job for job in jobs}
    assert by_name["certificate"]["static_configs"] == [{"targets": ["haproxy:8883", "haproxy:8443"]}]
    assert query in json.dumps(by_name["logs"]["relabel_configs"])
