"""The Redis Cluster of the overlay `local-cluster`: as that of a compose run, which is run with real servers."""

from tests.deploy.k8s_manifests import ROOT, of_kind, overlay, workloads

NAMES = [f"redis-{number}.redis" for number in range(6)]


def test_six_members_are_made_a_cluster_of_by_the_script_of_a_compose_run() -> None:
    found = overlay("local-cluster")
    assert of_kind(found, "StatefulSet")["redis"]["spec"]["replicas"] == 6
    (job,) = [each for each in workloads(found) if each.name == "redis-cluster"]
    assert job.containers[0]["command"] == ["bash", "/etc/campus/make-cluster", *NAMES]
    (script,) = [
        each["data"]["make-cluster"] for each in of_kind(found, "ConfigMap").values() if "make-cluster" in each["data"]
    ]
    assert script == (ROOT / "deploy" / "compose" / "make-cluster").read_text()


def test_each_member_has_a_name_before_it_is_ready() -> None:
    service = of_kind(overlay("local-cluster"), "Service")["redis"]["spec"]
    assert (service["clusterIP"], service["publishNotReadyAddresses"]) == ("None", True)


def test_members_are_set_up_as_those_of_a_compose_run() -> None:
    maps = of_kind(overlay("local-cluster"), "ConfigMap").values()
    (config,) = [each["data"]["redis.conf"] for each in maps if "redis.conf" in each["data"]]
    compose = (ROOT / "deploy" / "compose" / "redis-cluster.conf").read_text()
    wanted = {line for line in compose.splitlines() if line and not line.startswith(("#", "maxmemory"))}
    assert wanted <= set(config.splitlines())


def test_only_one_of_them_may_be_taken_away_at_a_time_on_purpose() -> None:
    assert of_kind(overlay("local-cluster"), "PodDisruptionBudget")["redis"]["spec"]["maxUnavailable"] == 1
