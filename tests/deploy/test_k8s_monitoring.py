"""Alerts and metrics in Kubernetes are those of deploy/observability."""

import json
from pathlib import Path

import yaml

from deploy.k8s.rules import RULES, prometheus_rule
from tests.deploy.k8s_manifests import K8S, monitored, of_kind


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
    assert monitors.keys() == {"haproxy", "broker", "decoder", "api", "controller"}
    for name, monitor in monitors.items():
        assert monitor["spec"]["jobLabel"] == "app.kubernetes.io/name"
        assert monitor["spec"]["selector"]["matchLabels"] == {"app.kubernetes.io/name": name}
        [endpoint] = monitor["spec"]["podMetricsEndpoints"]
        assert endpoint["relabelings"] == [{"sourceLabels": ["__meta_kubernetes_pod_name"], "targetLabel": "node"}]
