"""The gate to the Engine: what the autoscaler needs goes through, and whoever has taken it over gets nothing else."""

import json

import pytest

from core.errors import UnavailableError
from tests.autoscaler.conftest import RunningGate
from tests.autoscaler.gates import broker, dump, refused

# --- what goes through ------------------------------------------------------------------------------------------------


async def test_only_brokers_and_decoders_of_the_project_are_seen(gate: RunningGate) -> None:
    names = sorted(each.name for each in await gate.engine().containers())
    assert names == ["campus-broker-1", "campus-broker-2", "campus-decoder-1"]


async def test_a_clone_is_like_its_original_in_all_its_networks_under_the_name_of_the_service(
    gate: RunningGate,
) -> None:
    original = await broker(gate)
    engine = gate.engine()
    made = gate.docker.containers[await engine.clone(original, 3)]
    source = gate.docker.containers[original.id]
    assert made["Name"] == "/campus-broker-3"
    assert made["State"]["Status"] == "running"
    assert made["Image"] == source["Image"]
    assert made["HostConfig"] == {k: v for k, v in source["HostConfig"].items() if k != "PortBindings"}
    labels = made["Config"]["Labels"]
    assert labels["com.docker.compose.container-number"] == "3"
    assert labels["campus.autoscaler"] == "true"
    assert labels["com.docker.compose.config-hash"] == "c0ffee"
    networks = made["NetworkSettings"]["Networks"]
    assert {name: each["Aliases"] for name, each in networks.items()} == {
        "campus_back": ["broker", "campus-broker-3"],
        "campus_front": ["broker", "campus-broker-3"],
    }
    assert "Hostname" not in made["Config"]
    await engine.close()


async def test_a_clone_of_a_clone_is_the_same_again(gate: RunningGate) -> None:
    engine = gate.engine()
    first = gate.docker.containers[await engine.clone(await broker(gate), 3)]
    second = gate.docker.containers[await engine.clone(await broker(gate, "campus-broker-3"), 4)]
    assert second["HostConfig"] == first["HostConfig"]
    assert second["NetworkSettings"]["Networks"]["campus_front"]["Aliases"] == ["broker", "campus-broker-4"]
    await engine.close()


async def test_one_that_cannot_be_started_is_removed(gate: RunningGate) -> None:
    gate.docker.fail_start = True
    with pytest.raises(UnavailableError, match="no space left"):
        await gate.engine().clone(await broker(gate), 3)
    assert "/campus-broker-3" not in [each["Name"] for each in gate.docker.containers.values()]


async def test_a_broker_is_asked_to_leave_stopped_and_removed(gate: RunningGate) -> None:
    engine, container = gate.engine(), await broker(gate)
    await engine.signal(container, "SIGUSR1")
    await engine.stop(container)
    await engine.remove(container)
    path = f"/v1.41/containers/{container.id}"
    assert [change[:2] for change in gate.docker.changes] == [
        ("POST", f"{path}/kill?signal=SIGUSR1"),
        ("POST", f"{path}/stop?t=10"),
        ("DELETE", f"{path}?v=1"),
    ]
    # Gone: to do it once more is no error.
    await engine.stop(container)
    await engine.close()


async def test_the_engine_away_is_unavailable(gate: RunningGate) -> None:
    container = await broker(gate)
    gate.docker.padding = "x" * 5_000_000
    with pytest.raises(UnavailableError, match="longer than"):
        await gate.engine().signal(container, "SIGUSR1")


# --- what does not ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/v1.41/info"),
        ("GET", "/v1.41/images/json"),
        ("POST", "/v1.41/images/create?fromImage=alpine"),
        ("POST", "/v1.41/build"),
        ("GET", "/v1.41/volumes"),
        ("GET", "/v1.41/events"),
        ("POST", "/v1.41/containers/prune"),
        ("GET", "/v1.41/containers/{id}/logs"),
        ("GET", "/v1.41/containers/{id}/archive?path=/run/secrets"),
        ("PUT", "/v1.41/containers/{id}/archive?path=/"),
        ("GET", "/v1.41/containers/{id}/export"),
        ("POST", "/v1.41/containers/{id}/exec"),
        ("POST", "/v1.41/containers/{id}/attach"),
        ("POST", "/v1.41/containers/{id}/update"),
        ("POST", "/v1.41/containers/{id}/rename?name=x"),
        ("POST", "/v1.41/containers/{id}/restart"),
        ("POST", "/v1.41/containers/{id}/wait"),
        ("GET", "/v1.41/containers/{id}/start"),
        ("HEAD", "/v1.41/containers/{id}/json"),
        ("POST", "/v1.41/containers/{id}"),
        ("POST", "/v1.41/exec/{id}/start"),
        ("POST", "/v1.41/networks/create"),
        ("DELETE", "/v1.41/networks/{id}"),
        ("POST", "/v1.41/networks/{id}/disconnect"),
        ("POST", "/v1.41/swarm/init"),
        ("POST", "/v1.41/plugins/pull"),
        ("POST", "/grpc"),
        ("POST", "/session"),
    ],
)
async def test_other_requests_are_refused(gate: RunningGate, method: str, target: str) -> None:
    await refused(gate, method, target.format(id=gate.id("campus-broker-1")))


@pytest.mark.parametrize(
    "target",
    [
        "/v1.41/../containers/{id}/start",
        "/v1.41/containers/../containers/{id}/start",
        "/v1.41/containers/{id}/../{redis}/start",
        "//containers/{id}/start",
        "/v1.41//containers/{id}/start",
        "/v1.41/containers//{id}/start",
        "/v1.41/containers/{id}/start/",
        "/v1.41/containers/{id}%2Fstart",
        "/v1.41/containers/{id}/%73tart",
        "/v1.41/containers/{id}/start%00",
        "/v1.41/containers/{id}/start;x",
        "/v1.41/containers/{id}/start#x",
        "/v1.41/Containers/{id}/start",
        "/V1.41/containers/{id}/start",
        "/v1.41/v1.41/containers/{id}/start",
        "/v1.20/containers/{id}/start",
        "/v1.24/containers/{id}/start",
        "/v1.041/containers/{id}/start",
        "http://engine/v1.41/containers/{id}/start",
        "/v1.41/containers/{id}/start?x=1",
        "/v1.41/containers/{id}/start?detachKeys=a",
    ],
)
async def test_paths_that_could_mean_something_else_are_refused(gate: RunningGate, target: str) -> None:
    await refused(gate, "POST", target.format(id=gate.id("campus-broker-1"), redis=gate.id("campus-redis-1")))


@pytest.mark.parametrize("name", ["other-broker-1", "campus-redis-1", "campus-broker-run-1"])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/json"),
        ("POST", "/start"),
        ("POST", "/stop"),
        ("POST", "/kill?signal=SIGTERM"),
        ("DELETE", ""),
    ],
)
async def test_other_containers_are_not_touched(gate: RunningGate, name: str, method: str, path: str) -> None:
    why = await refused(gate, method, f"/v1.41/containers/{gate.id(name)}{path}")
    assert why == "the gate refuses: no broker or decoder of campus"


@pytest.mark.parametrize("length", [1, 12, 63])
async def test_the_beginning_of_an_id_is_none(gate: RunningGate, length: int) -> None:
    await refused(gate, "POST", f"/v1.41/containers/{gate.id('campus-broker-1')[:length]}/stop")


async def test_a_name_is_no_id_even_if_it_looks_like_one(gate: RunningGate) -> None:
    await refused(gate, "POST", "/v1.41/containers/campus-broker-1/stop")
    lookalike = "d" * 64
    gate.docker.add(lookalike, "broker", 9)
    status, _ = await gate.send("POST", f"/v1.41/containers/{lookalike}/stop")
    assert (status, gate.docker.changes) == (404, [])
    await refused(gate, "POST", f"/v1.41/containers/{gate.id('campus-broker-1').upper()}/stop")


@pytest.mark.parametrize(
    "query",
    [
        "?signal=SIGKILL",
        "?signal=9",
        "?signal=SIGUSR1&signal=SIGKILL",
        "?signal=sigusr1",
        "?Signal=SIGUSR1",
        "",
        "?signal=SIGUSR1&x=1",
        "?signal=SIGUSR1%00",
    ],
)
async def test_only_the_two_signals_are_sent(gate: RunningGate, query: str) -> None:
    await refused(gate, "POST", f"/v1.41/containers/{gate.id('campus-broker-1')}/kill{query}")


@pytest.mark.parametrize("query", ["?t=-1", "?t=61", "?t=1e9", "?t=", "?signal=SIGKILL", "?t=1&t=2", "?t=%EF%BC%91"])
async def test_a_stop_has_sane_parameters(gate: RunningGate, query: str) -> None:
    await refused(gate, "POST", f"/v1.41/containers/{gate.id('campus-broker-1')}/stop{query}")


@pytest.mark.parametrize("query", ["?force=1", "?force=true", "?link=1", "?v=1&force=True", "?FORCE=1"])
async def test_nothing_is_removed_by_force(gate: RunningGate, query: str) -> None:
    await refused(gate, "DELETE", f"/v1.41/containers/{gate.id('campus-broker-1')}{query}")


async def test_start_takes_no_host_configuration(gate: RunningGate) -> None:
    """Before API 1.24 it did."""
    body = dump({"HostConfig": {"Privileged": True}, "Privileged": True})
    await refused(gate, "POST", f"/v1.41/containers/{gate.id('campus-broker-1')}/start", body)
    await refused(gate, "POST", f"/containers/{gate.id('campus-broker-1')}/start", body)


async def test_filters_show_nothing_that_is_not_the_projects(gate: RunningGate) -> None:
    for query in ("?all=1", "?all=1&filters={}", '?all=1&filters={"label":["com.docker.compose.project=other"]}'):
        status, body = await gate.send("GET", f"/v1.41/containers/json{query}")
        assert status == 200
        assert {each["Names"][0] for each in json.loads(body)} == {
            "/campus-broker-1",
            "/campus-broker-2",
            "/campus-decoder-1",
        }
    await refused(gate, "GET", "/v1.41/containers/json?all=1&before=x")


# --- versions ---------------------------------------------------------------------------------------------------------


async def test_the_version_of_the_api_is_one_that_the_engine_speaks(gate: RunningGate) -> None:
    gate.docker.versions = ("1.44", "1.52")
    engine = gate.engine()
    await engine.signal(await broker(gate), "SIGTERM")
    assert gate.docker.changes[0][1].startswith("/v1.44/")
    await engine.close()


async def test_an_engine_that_is_too_old_is_said_to_be(gate: RunningGate) -> None:
    gate.docker.versions = ("1.12", "1.40")
    with pytest.raises(UnavailableError, match="too old"):
        await gate.engine().containers()
