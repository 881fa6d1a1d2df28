"""Machines that are none, and containers on them: what two nodes stand on, tried without a cluster."""

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.containers.engine import docker
from tests.kubernetes.machines import CARD, CGROUPS, Machine, machines
from tests.kubernetes.nodes import container_runtime

pytestmark = [pytest.mark.nodes, pytest.mark.timeout(900)]


@pytest.fixture
def short_folder() -> Iterator[Path]:
    # Not tmp_path: a socket's path may have 107 bytes at the most.
    with tempfile.TemporaryDirectory(prefix="campus-") as name:
        yield Path(name)


@pytest.fixture
def pair(short_folder: Path) -> Iterator[list[Machine]]:
    with machines(2, short_folder) as made:
        yield made


def listens(machine: Machine, port: int) -> "subprocess.Popen[bytes]":
    """A server there that says its host's name to whoever comes."""
    script = (
        "import socket, sys\n"
        f"server = socket.create_server(('', {port}))\n"
        "print('up', flush=True)\n"
        "while True:\n"
        "    client, _ = server.accept()\n"
        "    client.sendall(socket.gethostname().encode()); client.close()\n"
    )
    server = subprocess.Popen(machine.command("python3", "-c", script), stdout=subprocess.PIPE)
    assert server.stdout
    assert server.stdout.readline() == b"up\n"
    return server


def asked(address: str, port: int) -> tuple[str, ...]:
    return ("bash", "-c", f"exec 3<>/dev/tcp/{address}/{port} && cat <&3")


def test_machines_reach_each_other_and_are_reached_until_their_cable_is_out(pair: list[Machine]) -> None:
    first, second = pair
    servers = [listens(machine, 4000) for machine in pair]
    try:
        assert first.run(*asked(second.address, 4000)) == "node-2"
        assert subprocess.run(asked(first.address, 4000), capture_output=True, check=True).stdout == b"node-1"
        second.unplug()
        assert first.run("timeout", "3", *asked(second.address, 4000), check=False) == ""
        second.plug()
        assert first.run("timeout", "30", *asked(second.address, 4000)) == "node-2"
    finally:
        for server in servers:
            server.kill()
            server.wait()
            assert server.stdout
            server.stdout.close()


def test_what_a_kubelet_sets_in_the_kernel_is_set_for_nobody(pair: list[Machine]) -> None:
    before = Path("/proc/sys/kernel/panic").read_text()
    pair[0].run("sh", "-c", "echo 47 >/proc/sys/kernel/panic")
    assert pair[0].run("cat", "/proc/sys/kernel/panic") == "47\n"
    assert Path("/proc/sys/kernel/panic").read_text() == before


def test_containers_run_in_the_machines_group_and_nothing_is_left_of_them(
    base_images: dict[str, str], short_folder: Path
) -> None:
    image = base_images["REDIS_IMAGE"]
    archive = short_folder / "image.tar"
    docker("save", "--output", str(archive), image)
    with machines(2, short_folder / "m") as pair, ExitStack() as stack:
        for machine in pair:
            node = stack.enter_context(container_runtime(machine, image))
            node.load(archive)
            inside = ("--rm", "--cgroup", f"/{machine.cgroup}/one", f"docker.io/{image}", "one", "/bin/cat")
            told = node.ctr("run", *inside, "/proc/self/cgroup")
            assert f":memory:/{machine.cgroup}/one\n" in told
        groups = [machine.cgroup for machine in pair]
    assert not [group for group in CGROUPS.glob("*/*") if group.name in groups]
    assert str(short_folder) not in Path("/proc/mounts").read_text()
    assert CARD not in subprocess.run(["ip", "link"], capture_output=True, text=True, check=True).stdout
