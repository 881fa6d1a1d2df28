"""Who may talk to whom: the arrows of docs/architecture.md, and no others."""

from pathlib import Path

import pytest

from tests.deploy.k8s_manifests import OVERLAYS, Document, monitored, of_kind, overlay, selects, workloads

Arrow = tuple[str, str, int]
INSIDE: set[Arrow] = {
    ("haproxy", "broker", 1883),
    ("haproxy", "broker", 8083),
    ("haproxy", "broker", 9100),
    ("haproxy", "api", 8081),
    ("api", "haproxy", 1883),
    *((name, "redis-keys", 6379) for name in ("broker", "decoder", "api")),
}
REDIS: set[Arrow] = {
    (name, "redis", 6379) for name in ("broker", "decoder", "api", "users", "api-key", "controller", "haproxy")
}
COUCHDB: set[Arrow] = {(name, "couchdb", 5984) for name in ("decoder", "api")}
INFLUXDB: set[Arrow] = {(name, "influxdb", 8086) for name in ("decoder", "api")}
CLUSTER: set[Arrow] = {("redis-cluster", "redis", 6379), ("redis", "redis", 6379), ("redis", "redis", 16379)}
ARROWS = {
    "local": INSIDE | REDIS | COUCHDB | INFLUXDB,
    "local-cluster": INSIDE | REDIS | CLUSTER | COUCHDB | INFLUXDB,
    "ibm-cloud": INSIDE | INFLUXDB,
    "staging": INSIDE | INFLUXDB,
}
FRONT = {1883, 8883, 8080, 8443}
every_overlay = pytest.mark.parametrize("name", OVERLAYS)


def policies(found: list[Document]) -> list[Document]:
    return [each["spec"] for each in of_kind(found, "NetworkPolicy").values()]


def pods(found: list[Document]) -> dict[str, dict[str, str]]:
    return {each.name: dict(each.labels) for each in workloads(found)}


def ports(rule: Document) -> set[int]:
    assert all(isinstance(port["port"], int) for port in rule["ports"]), "not every network knows named ports"
    return {port["port"] for port in rule["ports"]}


def arrows(found: list[Document], *, side: str) -> set[Arrow]:
    """What the rules of one side, `ingress` or `egress`, allow between pods of this namespace."""
    all_pods = pods(found)
    allowed = set()
    for policy in policies(found):
        for here in (name for name, labels in all_pods.items() if selects(policy["podSelector"], labels)):
            for rule in policy.get(side, []):
                # A rule without peers is for everybody.
                for peer in rule.get("from" if side == "ingress" else "to", [{"podSelector": {}}]):
                    if "namespaceSelector" in peer or "ipBlock" in peer:
                        continue
                    for there in (name for name, labels in all_pods.items() if selects(peer["podSelector"], labels)):
                        ends = (there, here) if side == "ingress" else (here, there)
                        allowed |= {(*ends, port) for port in ports(rule)}
    return allowed


@every_overlay
def test_nothing_is_allowed_by_default(name: str) -> None:
    nothing = of_kind(overlay(name), "NetworkPolicy")["nothing"]["spec"]
    assert nothing == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


@every_overlay
def test_every_pod_has_rules_of_its_own(name: str) -> None:
    found = overlay(name)
    own = [policy["podSelector"] for policy in policies(found) if policy["podSelector"]]
    for pod, labels in pods(found).items():
        assert any(selects(selector, labels) for selector in own), pod


@every_overlay
def test_every_rule_is_about_a_pod_that_exists(name: str) -> None:
    found = overlay(name)
    for policy in policies(found):
        assert any(selects(policy["podSelector"], labels) for labels in pods(found).values()), policy


@every_overlay
def test_the_arrows_are_those_of_the_architecture(name: str) -> None:
    found = overlay(name)
    # Both ends must agree, or it is no arrow. The front takes whoever comes.
    assert arrows(found, side="egress") == ARROWS[name]
    taken = arrows(found, side="ingress")
    assert ARROWS[name] <= taken
    assert {arrow for arrow in taken - ARROWS[name] if arrow[1] != "haproxy"} == set()


@every_overlay
def test_only_the_front_is_open_to_everybody(name: str) -> None:
    found = overlay(name)
    for policy in policies(found):
        for rule in policy.get("ingress", []):
            if "from" not in rule:
                assert policy["podSelector"] == {"matchLabels": {"app.kubernetes.io/name": "haproxy"}}
                assert ports(rule) == FRONT
            assert all("ipBlock" not in peer for peer in rule.get("from", []))


def namespaces(found: list[Document]) -> set[tuple[str, str, int]]:
    """Which other namespaces may come in, to which pod, at which port."""
    return {
        (peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"], pod, port)
        for policy in policies(found)
        for pod, labels in pods(found).items()
        if selects(policy["podSelector"], labels)
        for rule in policy.get("ingress", [])
        for peer in rule.get("from", [])
        if "namespaceSelector" in peer
        for port in ports(rule)
    }


def test_other_namespaces_come_in_where_they_must_alone(tmp_path: Path) -> None:
    assert namespaces(overlay("local")) == {("keda", "redis", 6379)}
    assert namespaces(overlay("ibm-cloud")) == {("kube-system", "api", 8081)}
    scraped = {
        ("monitoring", pod, port)
        for pod in ("haproxy", "broker", "decoder", "api", "controller")
        for port in (8404, 9100)
    }
    # The exporter asks whatever address it is told: by nobody else.
    scraped.add(("monitoring", "blackbox-exporter", 9115))
    found = monitored(tmp_path)
    assert namespaces(found) == {("kube-system", "api", 8081)} | scraped
    asks = [
        policy
        for policy in policies(found)
        if selects(policy["podSelector"], {"app.kubernetes.io/name": "blackbox-exporter"})
    ]
    reached = [
        (peer["podSelector"]["matchLabels"]["app.kubernetes.io/name"], ports(rule))
        for policy in asks
        if policy["podSelector"]
        for rule in policy.get("egress", [])
        for peer in rule["to"]
    ]
    assert reached == [("haproxy", {8883, 8443}), ("opensearch", {9200})]


def test_only_those_with_a_store_outside_may_leave_the_cluster() -> None:
    def leaving(name: str) -> set[tuple[str, int]]:
        found = overlay(name)
        return {
            (pod, port)
            for policy in policies(found)
            if policy["podSelector"]
            for pod, labels in pods(found).items()
            if selects(policy["podSelector"], labels)
            for rule in policy.get("egress", [])
            if any("ipBlock" in peer for peer in rule["to"])
            for port in ports(rule)
        }

    kubernetes = {("controller", 443), ("controller", 6443)}
    assert leaving("local") == kubernetes
    redis = {(pod, 30000) for pod in ("broker", "decoder", "api", "users", "api-key", "controller", "haproxy")}
    assert leaving("ibm-cloud") == redis | kubernetes | {("decoder", 443), ("api", 443)}


@every_overlay
def test_every_pod_may_ask_dns(name: str) -> None:
    (rule,) = of_kind(overlay(name), "NetworkPolicy")["dns"]["spec"]["egress"]
    assert {(port["port"], port["protocol"]) for port in rule["ports"]} == {(53, "UDP"), (53, "TCP")}
