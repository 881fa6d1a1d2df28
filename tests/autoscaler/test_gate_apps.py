"""What the gate tells of applications: where those with labels are, and nothing else of them."""

import json

from tests.autoscaler.conftest import RunningGate
from tests.autoscaler.gates import refused

LABELS = {"campus.app": "update-schuman", "campus.version": "2", "campus.port": "8000"}


async def apps(registry: RunningGate) -> list[dict[str, object]]:
    status, body = await registry.send("GET", "/campus/apps")
    assert status == 200
    found: list[dict[str, object]] = json.loads(body)
    return found


async def test_an_app_is_told_with_its_address_in_the_network_of_haproxy_and_not_its_environment(
    registry: RunningGate,
) -> None:
    registry.docker.add("campus-update-schuman-2-1", "update-schuman-2", 1, **LABELS)
    assert await apps(registry) == [
        {
            "app": "update-schuman",
            "version": "2",
            "name": "campus-update-schuman-2-1",
            "address": "10.1.0.7",
            "port": 8000,
            "healthy": True,
            "since": 1_772_366_407_000,
        }
    ]


async def test_what_has_no_labels_is_of_another_project_is_run_by_hand_or_has_ended_is_not_told(
    registry: RunningGate,
) -> None:
    registry.docker.add("other-app-1", "app", 1, project="other", **LABELS)
    registry.docker.add("campus-app-run-1", "app", 1, **LABELS, **{"com.docker.compose.oneoff": "True"})
    ended = registry.docker.add("campus-app-1", "app", 1, **LABELS)
    ended["State"] = {"Status": "exited", "ExitCode": 0}
    registry.docker.add("campus-app-2", "app", 2, **{"campus.app": "x"})
    assert await apps(registry) == []


async def test_one_that_haproxy_cannot_reach_or_whose_port_is_none_is_not_told(registry: RunningGate) -> None:
    away = registry.docker.add("campus-app-1", "app", 1, **LABELS)
    del away["NetworkSettings"]["Networks"]["campus_front"]
    registry.docker.add("campus-app-2", "app", 2, **LABELS | {"campus.port": "http"})
    registry.docker.add("campus-app-3", "app", 3, **LABELS | {"campus.app": "x" * 65})
    assert await apps(registry) == []


async def test_one_without_a_health_check_is_healthy_and_one_that_starts_is_not_yet(registry: RunningGate) -> None:
    for number, health in enumerate(({"Health": {"Status": "starting"}}, {"Health": {"Status": "unhealthy"}}, {}), 1):
        registry.docker.add(f"campus-app-{number}", "app", number, **LABELS)["State"] = {"Status": "running", **health}
    assert [each["healthy"] for each in await apps(registry)] == [False, False, True]


async def test_it_takes_no_parameters_no_body_and_no_other_method(registry: RunningGate) -> None:
    await refused(registry, "GET", "/campus/apps?all=1")
    await refused(registry, "GET", "/campus/apps", b'{"filters": {}}')
    await refused(registry, "POST", "/campus/apps")
    await refused(registry, "GET", "/campus/apps/json")


async def test_the_controller_may_ask_for_nothing_that_the_autoscaler_may(registry: RunningGate) -> None:
    own = registry.id("campus-broker-1")
    for method, target in (
        ("GET", "/v1.41/containers/json?all=1"),
        ("GET", f"/v1.41/containers/{own}/json"),
        ("POST", f"/v1.41/containers/{own}/start"),
        ("POST", f"/v1.41/containers/{own}/stop"),
        ("POST", f"/v1.41/containers/{own}/kill?signal=SIGTERM"),
        ("DELETE", f"/v1.41/containers/{own}"),
    ):
        assert "is not for the controller" in await refused(registry, method, target)
    assert "create is not for the controller" in await refused(
        registry, "POST", "/v1.41/containers/create?name=campus-broker-3", b'{"Image": "x"}'
    )
    assert (await registry.send("GET", "/_ping"))[0] == 200
    assert (await registry.send("GET", "/version"))[0] == 200


async def test_the_autoscaler_is_told_nothing_of_applications(gate: RunningGate) -> None:
    gate.docker.add("campus-update-schuman-2-1", "update-schuman-2", 1, **LABELS)
    assert "apps is not for the autoscaler" in await refused(gate, "GET", "/campus/apps")


async def test_an_app_can_be_neither_inspected_nor_stopped(registry: RunningGate) -> None:
    made = registry.docker.add("campus-update-schuman-2-1", "update-schuman-2", 1, **LABELS)
    await refused(registry, "GET", f"/v1.41/containers/{made['Id']}/json")
    await refused(registry, "POST", f"/v1.41/containers/{made['Id']}/stop")
