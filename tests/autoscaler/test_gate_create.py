"""What nobody gets created or connected by the gate: anything but one more container like those that run."""

import copy
import json
from typing import Any

import pytest

from autoscaler.clone import clone_body, clone_networks
from core.errors import UnavailableError
from tests.autoscaler.conftest import RunningGate
from tests.autoscaler.fake_docker import FOREIGN, FRONT
from tests.autoscaler.gates import CREATE, broker, dump, refused, right_body


def changes() -> list[tuple[str, Any]]:
    """Each is a way to get more out of a clone."""
    host: dict[str, Any] = {
        "Privileged": True,
        "Binds": ["/:/host"],
        "CapAdd": ["SYS_ADMIN"],
        "CapDrop": [],
        "PidMode": "host",
        "NetworkMode": "host",
        "ReadonlyRootfs": False,
        "Memory": 0,
        "Mounts": [{"Type": "bind", "Source": "/var/run/docker.sock", "Target": "/s"}],
        "Devices": [{"PathOnHost": "/dev/sda", "PathInContainer": "/dev/sda", "CgroupPermissions": "rwm"}],
        "SecurityOpt": ["seccomp=unconfined"],
        "privileged": True,
        "PRIVILEGED": True,
    }
    top: dict[str, Any] = {
        "Image": "alpine",
        "User": "0:0",
        "Cmd": ["sh"],
        "Entrypoint": ["sh", "-c", "id"],
        "Env": ["LD_PRELOAD=/tmp/x.so"],
        "hostconfig": {"Privileged": True},
        "HOSTCONFIG": {"Binds": ["/:/host"]},
        "HostConfig ": {"Privileged": True},
        "Hostconfig": {"Privileged": True},
        "image": "alpine",
        "Volumes": {"/host": {}},
        "NetworkingConfig": {"EndpointsConfig": {"host": {}}},
        "Healthcheck": {"Test": ["CMD", "sh"]},
        "Labels": {},
    }
    return [(f"HostConfig/{name}", value) for name, value in host.items()] + list(top.items())


@pytest.mark.parametrize(("key", "value"), changes(), ids=[key for key, _ in changes()])
async def test_a_clone_with_anything_changed_is_refused(gate: RunningGate, key: str, value: object) -> None:
    body = await right_body(gate)
    outer, _, inner = key.partition("/")
    if inner:
        body["HostConfig"][inner] = value
    else:
        body[outer] = value
    await refused(gate, "POST", CREATE, dump(body))


async def test_a_clone_with_anything_left_out_is_refused(gate: RunningGate) -> None:
    right = await right_body(gate)
    for key in right:
        body = copy.deepcopy(right)
        del body[key]
        await refused(gate, "POST", CREATE, dump(body))
    for key in right["HostConfig"]:
        body = copy.deepcopy(right)
        del body["HostConfig"][key]
        await refused(gate, "POST", CREATE, dump(body))


async def test_true_is_not_one_and_false_is_not_zero(gate: RunningGate) -> None:
    body = await right_body(gate)
    body["HostConfig"]["ReadonlyRootfs"] = 1
    await refused(gate, "POST", CREATE, dump(body))


async def test_a_key_given_twice_cannot_tell_the_gate_one_thing_and_the_engine_another(gate: RunningGate) -> None:
    right = dump(await right_body(gate))
    # The last one counts for the gate: it is what it should be, and the Engine gets the gate's own words.
    twice = right.replace(b"{", b'{"HostConfig":{"Privileged":true},', 1)
    status, _ = await gate.send("POST", CREATE, twice)
    assert status == 201
    (_, _, told), *_ = gate.docker.changes
    assert told == json.loads(right)


async def test_the_body_that_reaches_the_engine_is_the_gates_own(gate: RunningGate) -> None:
    body = await right_body(gate)
    status, _ = await gate.send("POST", CREATE, b"  " + json.dumps(body, indent=3).encode())
    assert status == 201
    assert gate.docker.changes == [("POST", CREATE, body)]


@pytest.mark.parametrize(
    "target",
    [
        "/v1.41/containers/create",
        "/v1.41/containers/create?name=x",
        "/v1.41/containers/create?name=campus-broker-3&name=x",
        "/v1.41/containers/create?name=campus-broker-3&platform=linux",
        "/v1.41/containers/create?name=campus-broker-03",
        "/v1.40/containers/create?name=campus-broker-3",
    ],
)
async def test_a_clone_has_the_name_that_compose_would_give_it(gate: RunningGate, target: str) -> None:
    await refused(gate, "POST", target, dump(await right_body(gate)))


@pytest.mark.parametrize("number", [1, 2, 4, 1000])
async def test_a_clone_has_the_next_number(gate: RunningGate, number: int) -> None:
    body = clone_body((await broker(gate)).inspected, number)
    await refused(gate, "POST", f"/v1.41/containers/create?name=campus-broker-{number}", dump(body))


async def test_no_more_than_the_maximum_are_created(gate: RunningGate) -> None:
    engine = gate.engine()
    for number in (3, 4):
        await engine.clone(await broker(gate), number)
    with pytest.raises(UnavailableError, match="there are 4 of broker already"):
        await engine.clone(await broker(gate), 5)
    await engine.close()


async def test_clones_that_nobody_starts_count_too(gate: RunningGate) -> None:
    for number in (3, 4):
        body = clone_body((await broker(gate)).inspected, number)
        assert (await gate.send("POST", CREATE.replace("-3", f"-{number}"), dump(body)))[0] == 201
    body = clone_body((await broker(gate)).inspected, 5)
    assert "there are 4" in await refused(gate, "POST", CREATE.replace("-3", "-5"), dump(body))


@pytest.mark.parametrize("name", ["campus-redis-1", "other-broker-1", "campus-broker-run-1"])
async def test_other_containers_are_not_cloned(gate: RunningGate, name: str) -> None:
    original = gate.docker.containers[gate.id(name)]
    body = clone_body(original, 3)
    service = original["Config"]["Labels"]["com.docker.compose.service"]
    await refused(gate, "POST", f"/v1.41/containers/create?name=campus-{service}-3", dump(body))


async def test_a_container_that_has_ended_is_not_cloned(gate: RunningGate) -> None:
    body = await right_body(gate)
    for name in ("campus-broker-1", "campus-broker-2"):
        gate.docker.containers[gate.id(name)]["State"]["Status"] = "exited"
    await refused(gate, "POST", CREATE, dump(body))


async def test_a_privileged_container_is_not_cloned(gate: RunningGate) -> None:
    for name in ("campus-broker-1", "campus-broker-2"):
        gate.docker.containers[gate.id(name)]["HostConfig"]["Privileged"] = True
    body = await right_body_of_privileged(gate)
    await refused(gate, "POST", CREATE, dump(body))


async def right_body_of_privileged(gate: RunningGate) -> dict[str, Any]:
    seen = copy.deepcopy(gate.docker.containers[gate.id("campus-broker-2")])
    seen["HostConfig"]["Privileged"] = False
    body = clone_body(seen, 3)
    body["HostConfig"]["Privileged"] = True
    return body


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"null", b"{", b'"x"', b"[" * 100_000, b"\xff", b'{"Labels":[]}'])
async def test_bodies_that_are_none_are_refused(gate: RunningGate, body: bytes) -> None:
    await refused(gate, "POST", CREATE, body)


async def test_a_body_that_is_too_long_is_refused_whatever_its_length_claims_to_be(gate: RunningGate) -> None:
    await refused(gate, "POST", CREATE, b" " * 300_000)
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    head = f"POST {CREATE} HTTP/1.1\r\nHost: e\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    assert (await gate.ask(head + chunk * 6 + b"0\r\n\r\n"))[0] == 403


async def test_two_requests_in_one_are_two_requests(gate: RunningGate) -> None:
    """What follows a body is another request, and is looked at as one."""
    first = b"GET /_ping HTTP/1.1\r\nHost: e\r\nContent-Length: 0\r\n\r\n"
    second = b"POST /v1.41/containers/prune HTTP/1.1\r\nHost: e\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    _, answers = await gate.ask(first + second)
    assert b"403 Forbidden" in answers
    assert gate.docker.changes == []


async def test_length_and_chunks_together_reach_nobody(gate: RunningGate) -> None:
    head = f"POST {CREATE} HTTP/1.1\r\nHost: e\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
    status, _ = await gate.ask(head.encode() + b"0\r\n\r\n")
    assert status in (400, 403)
    assert gate.docker.changes == []


# --- networks ---------------------------------------------------------------------------------------------------------


async def made_clone(gate: RunningGate) -> tuple[str, dict[str, dict[str, Any]]]:
    """A clone that was created and is not started, and the networks that it is to be in."""
    status, body = await gate.send("POST", CREATE, dump(await right_body(gate)))
    assert status == 201
    gate.docker.changes.clear()
    return str(json.loads(body)["Id"]), clone_networks((await broker(gate)).inspected, 3)


async def test_a_clone_is_connected_where_its_original_is_under_the_same_names(gate: RunningGate) -> None:
    made, networks = await made_clone(gate)
    body = {"Container": made, "EndpointConfig": networks[FRONT]}
    right = f"/v1.41/networks/{FRONT}/connect"
    await refused(gate, "POST", f"/v1.41/networks/{FOREIGN}/connect", dump(body))
    await refused(gate, "POST", "/v1.41/networks/campus_front/connect", dump(body))
    await refused(gate, "POST", right, dump({**body, "EndpointConfig": {"Aliases": ["redis"]}}))
    await refused(gate, "POST", right, dump({**body, "EndpointConfig": None}))
    await refused(gate, "POST", right, dump({**body, "Container": made[:12]}))
    await refused(gate, "POST", right, dump({**body, "Container": gate.id("campus-redis-1")}))
    await refused(gate, "POST", right, dump({**body, "Container": gate.id("campus-broker-1")}))
    await refused(gate, "POST", right, dump([]))
    status, _ = await gate.send(
        "POST", right, dump({**body, "EndpointConfig": {**networks[FRONT], "IPAMConfig": {"IPv4Address": "10.1.0.1"}}})
    )
    assert status == 200
    assert gate.docker.changes == [("POST", right, body)]
