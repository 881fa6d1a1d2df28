"""How many there are, what they may take, and how they leave."""

import re
from collections import Counter
from pathlib import Path

import pytest

from autoscaler.settings import AutoscalerSettings
from broker.settings import BrokerSettings
from state.raw import keys_of
from tests.deploy.k8s_manifests import (
    OVERLAYS,
    Document,
    Workload,
    environment,
    monitored,
    of_kind,
    overlay,
    quantity,
    workloads,
)

MIB = 1024**2
every_overlay = pytest.mark.parametrize("name", OVERLAYS)


def fewest(found: list[Document]) -> dict[str, int]:
    """How many pods of each workload there are when it is quiet."""
    counts = {each.name: int(each.document["spec"].get("replicas", 1)) for each in workloads(found)}
    for each in of_kind(found, "HorizontalPodAutoscaler").values():
        counts[each["spec"]["scaleTargetRef"]["name"]] = each["spec"]["minReplicas"]
    for each in of_kind(found, "ScaledObject").values():
        counts[each["spec"]["scaleTargetRef"]["name"]] = each["spec"]["minReplicaCount"]
    return counts


def requested(found: list[Document], what: str) -> Counter[str]:
    """What all pods of each workload request together; what is beside a main container is told by its own name."""
    counts = fewest(found)
    total: Counter[str] = Counter()
    for each in workloads(found):
        for container in each.pod["containers"]:
            name = each.name if container == each.main else container["name"]
            total[name] += int(quantity(container["resources"]["requests"][what]) * counts[each.name])
    return total


def deployment(found: list[Document], name: str) -> Workload:
    return Workload("Deployment", name, of_kind(found, "Deployment")[name])


def told(found: list[Document], name: str) -> dict[str, str]:
    workload = deployment(found, name)
    return environment(workload, workload.main, found)


def test_requests_add_up_to_the_budget() -> None:
    memory = requested(overlay("local"), "memory")
    budget = {"haproxy": 256, "redis": 256, "influxdb": 256, "broker": 512}
    assert {name: memory[name] / MIB for name in budget} == budget
    assert sum(memory[name] for name in budget) == 1280 * MIB
    assert memory["couchdb"] == 512 * MIB
    # Beside the original design: versions side by side.
    assert (memory["controller"], memory["apply"]) == (64 * MIB, 128 * MIB)


@every_overlay
def test_no_container_may_take_more_than_256_mib_but_couchdb(name: str) -> None:
    for workload in workloads(overlay(name)):
        for container in workload.containers:
            resources = container["resources"]
            for what in ("cpu", "memory"):
                assert quantity(resources["requests"][what]) <= quantity(resources["limits"][what]), workload.name
            most = 512 if container["name"] == "couchdb" else 256
            assert quantity(resources["limits"]["memory"]) <= most * MIB, workload.name


def test_redis_leaves_room_for_rewriting_its_file() -> None:
    found = overlay("local")
    config = next(
        each["data"]["redis.conf"] for each in of_kind(found, "ConfigMap").values() if "redis.conf" in each["data"]
    )
    (maximum,) = re.findall(r"^maxmemory (\d+)mb$", config, re.MULTILINE)
    assert int(maximum) <= 0.7 * 256
    # 600 bytes for a message that waits and is pending.
    assert int(told(found, "broker")["RAW_MAX_LENGTH"]) * 600 < int(maximum) * MIB


@every_overlay
def test_brokers_and_api_agree_on_how_much_may_wait(name: str) -> None:
    found = overlay(name)
    assert told(found, "broker")["RAW_MAX_LENGTH"] == told(found, "api")["RAW_MAX_LENGTH"]


@every_overlay
def test_no_budget_keeps_a_node_of_the_cluster_from_being_drained(name: str) -> None:
    found = overlay(name)
    budgets = of_kind(found, "PodDisruptionBudget")
    cluster = {"redis"} if name == "local-cluster" else set()
    assert budgets.keys() == {"haproxy", "broker", "decoder", "api"} | cluster
    for name_of_it, budget in budgets.items():
        least = budget["spec"].get("minAvailable")
        may_go = budget["spec"]["maxUnavailable"] if least is None else fewest(found)[name_of_it] - least
        assert may_go >= 1, name_of_it


@every_overlay
def test_what_is_scaled_has_no_number_of_its_own(name: str) -> None:
    found = overlay(name)
    scaled = [*of_kind(found, "HorizontalPodAutoscaler").values(), *of_kind(found, "ScaledObject").values()]
    assert scaled
    for each in scaled:
        assert "replicas" not in of_kind(found, "Deployment")[each["spec"]["scaleTargetRef"]["name"]]["spec"]


@every_overlay
def test_haproxy_has_room_for_every_broker_and_its_successor(name: str) -> None:
    found = overlay(name)
    most = of_kind(found, "HorizontalPodAutoscaler")["broker"]["spec"]["maxReplicas"]
    surge = deployment(found, "broker").document["spec"]["strategy"]["rollingUpdate"]["maxSurge"]
    assert 2 * most + surge <= int(told(found, "haproxy")["BROKER_SLOTS"])
    assert 2 * deployment(found, "api").document["spec"]["replicas"] <= int(told(found, "haproxy")["API_SLOTS"])


@every_overlay
def test_pods_of_a_version_that_leaves_do_not_count_where_new_ones_are_spread(name: str) -> None:
    """Else both new HAProxies came to lie on one node, and the other one had none behind its load balancer."""
    spread = {each.name: each.pod.get("topologySpreadConstraints", []) for each in workloads(overlay(name))}
    assert {name for name, constraints in spread.items() if constraints} == {"haproxy", "broker", "decoder", "api"}
    for constraints in spread.values():
        for constraint in constraints:
            assert constraint["matchLabelKeys"] == ["pod-template-hash"]
            # Nodes that lack one of the keys get no points for any: those of kind and minikube have no zones.
            assert constraint["topologyKey"] == "kubernetes.io/hostname"


@every_overlay
def test_brokers_become_fewer_slowly(name: str) -> None:
    down = of_kind(overlay(name), "HorizontalPodAutoscaler")["broker"]["spec"]["behavior"]["scaleDown"]
    assert down["stabilizationWindowSeconds"] >= 300
    assert down["policies"] == [{"type": "Pods", "value": 1, "periodSeconds": 300}]


@every_overlay
def test_brokers_drain_before_they_are_stopped(name: str) -> None:
    found = overlay(name)
    broker = deployment(found, "broker")
    (container,) = broker.containers
    # One would run beside the process, and end with it, which Kubernetes notes as FailedPreStopHook.
    assert "lifecycle" not in container
    assert told(found, "broker")["DRAIN_ON_TERM"] == "true"
    drain = BrokerSettings.model_fields["drain_notice"].default + float(told(found, "broker")["DRAIN_SECONDS"])
    assert drain + 20 <= broker.pod["terminationGracePeriodSeconds"]


@every_overlay
def test_haproxy_lets_its_clients_go_before_it_is_stopped(name: str) -> None:
    found = overlay(name)
    haproxy = deployment(found, "haproxy")
    container = next(each for each in haproxy.containers if each["name"] == "haproxy")
    assert container["lifecycle"]["preStop"]["exec"]["command"] == ["/usr/local/bin/leave"]
    settings = told(found, "haproxy")
    # 10 s are the notice of haproxy/leave.
    longest = 10 + int(settings["HAPROXY_LEAVE_SECONDS"]) + int(settings["HAPROXY_HARD_STOP"].removesuffix("s"))
    assert longest + 10 <= haproxy.pod["terminationGracePeriodSeconds"]


def test_brokers_that_drain_are_still_found() -> None:
    service = of_kind(overlay("ibm-cloud"), "Service")["broker"]["spec"]
    assert service["clusterIP"] == "None"
    assert service["publishNotReadyAddresses"] is True


@pytest.mark.parametrize("name", ["ibm-cloud", "staging"])
def test_decoders_follow_the_lag_of_every_partition(name: str) -> None:
    found = overlay(name)
    scaled = of_kind(found, "ScaledObject")["decoder"]["spec"]
    assert scaled["minReplicaCount"] >= 1
    settings = next(each["data"] for each in of_kind(found, "ConfigMap").values() if "PARTITIONS" in each["data"])
    count = int(settings["PARTITIONS"])
    watched = [trigger["metadata"]["stream"] for trigger in scaled["triggers"]]
    assert watched == [keys_of(partition, count).raw for partition in range(count)]
    for trigger in scaled["triggers"]:
        # Entries, of up to 500 messages.
        assert int(trigger["metadata"]["streamLength"]) * 10 == AutoscalerSettings.model_fields["decoder_lag"].default
        assert trigger["authenticationRef"]["name"] in of_kind(found, "TriggerAuthentication")


def test_custom_metrics_are_added_to_the_processors(tmp_path: Path) -> None:
    metrics = of_kind(monitored(tmp_path), "HorizontalPodAutoscaler")["broker"]["spec"]["metrics"]
    assert [metric["type"] for metric in metrics] == ["Resource", "Pods", "Pods"]
    values = {metric["pods"]["metric"]["name"]: metric["pods"]["target"]["averageValue"] for metric in metrics[1:]}
    fields = AutoscalerSettings.model_fields
    assert int(values["broker_connections"]) == fields["broker_connections"].default
    assert int(values["broker_received_messages_per_second"]) == fields["broker_messages"].default
