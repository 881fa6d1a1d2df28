"""Machines that are none: processes with a network, mounts, process ids and a host name of their own, on one bridge.

All that runs on a machine ends with its first process, and what it has mounted, its addresses and its rules of the
packet filter are gone with it: nothing of it is in this machine's own tables but one network card, `CARD`.
"""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.missing import missing
from tests.redis_servers.process import until

CARD = "campus-nodes"
"""Of this machine: where it reaches the others. A name of a card has 15 bytes at the most."""
HERE = "10.203.0.1"
NETWORK_BITS = 24
CGROUPS = Path("/sys/fs/cgroup")
SETTINGS_OF_THE_KERNEL = (
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
)
"""What a kubelet sets, for all of this machine. On a machine of ours it sets files that nobody reads."""
PLACES = ("/run", "/var/lib/cni", "/var/lib/kubelet", "/var/log/containers", "/var/log/pods")
"""What others keep there, whatever they are told: each machine has its own, in memory."""
SHARES = 8192
"""Of the processors, where a process has 1,024: a group counts as one of them, and this one holds dozens."""
END_SECONDS = 30.0
_TOOLS = ("unshare", "nsenter", "ip", "mount", "iptables")
# The first process: it is the parent of all that have lost theirs, and bash looks after those.
_FIRST = """
set -eu
mount --make-rshared /
hostname {name}
for place in {places}; do mkdir -p $place && mount -t tmpfs tmpfs $place; done
for setting in {settings}; do
  if [ -e /proc/sys/$setting ]; then
    mkdir -p {folder}/sys/${{setting%/*}} && cat /proc/sys/$setting >{folder}/sys/$setting
    mount --bind {folder}/sys/$setting /proc/sys/$setting
  fi
done
ip link set lo up
echo 1 >/proc/sys/net/ipv4/ip_forward
: >{folder}/up
while :; do sleep 3600 & wait $!; done
"""


@dataclass(frozen=True, slots=True)
class Machine:
    """A running one."""

    name: str
    address: str
    pods: str
    """The network of what runs in containers there: 10.244.1.0/24."""
    folder: Path
    """Of its own; its path is the same there."""
    first: int
    """The process id, here, of its first process."""
    cgroup: str
    """The group that its containers are in, in every hierarchy of version 1."""

    def command(self, *words: str | Path) -> tuple[str | Path, ...]:
        """A command that runs there, as a command here."""
        return ("nsenter", f"--target={self.first}", "--mount", "--net", "--pid", "--uts", "--ipc", "--", *words)

    def run(self, *words: str | Path, check: bool = True) -> str:
        """What a command prints that runs there. Raises AssertionError with its complaint if `check` is set."""
        done = subprocess.run(self.command(*words), capture_output=True, text=True, check=False, timeout=300)
        assert not check or done.returncode == 0, f"{self.name}: {words}: {done.stderr}{done.stdout}"
        return done.stdout

    def unplug(self) -> None:
        """Take its cable out."""
        self.run("ip", "link", "set", "eth0", "down")

    def plug(self) -> None:
        """Put its cable in again; what the card knew of the way to others was forgotten meanwhile."""
        self.run("ip", "link", "set", "eth0", "up")
        self.run("ip", "route", "replace", "default", "via", HERE)

    def reach(self, other: "Machine") -> None:
        """Know the way to another one's containers."""
        self.run("ip", "route", "replace", other.pods, "via", other.address)


@contextmanager
def machines(count: int, folder: Path) -> Iterator[list[Machine]]:
    """So many of them, which reach each other and this machine. Only root can make them: CI and nightly runs do."""
    lacking = [tool for tool in _TOOLS if shutil.which(tool) is None]
    if os.geteuid() != 0 or lacking:
        missing("machines of its own", f"only root can make some, with {', '.join(lacking or _TOOLS)}")
    if not (CGROUPS / "memory").is_dir():
        missing("control groups of version 1", "boot with systemd.unified_cgroup_hierarchy=0")
    with ExitStack() as stack:
        switch = stack.enter_context(_switch(folder / "switch"))
        made = [stack.enter_context(_machine(number, folder, switch)) for number in range(1, count + 1)]
        for each in made:
            for other in made:
                if other is not each:
                    each.reach(other)
        yield made


@contextmanager
def _switch(folder: Path) -> Iterator[int]:
    """A bridge in a network of its own, where this machine's packet filter is not asked; its first process."""
    _ip("link", "delete", CARD, check=False)  # of a run that was ended
    with _first_process("switch", folder) as first:
        _ip("link", "add", CARD, "type", "veth", "peer", "name", "here", "netns", str(first))
        _ip("address", "add", f"{HERE}/{NETWORK_BITS}", "dev", CARD)
        _ip("link", "set", CARD, "up")
        into = ("nsenter", f"--target={first}", "--net", "--")
        _run(*into, "ip", "link", "add", "bridge", "type", "bridge")
        for link in ("bridge", "here"):
            _run(*into, "ip", "link", "set", link, "up")
        _run(*into, "ip", "link", "set", "here", "master", "bridge")
        try:
            yield first
        finally:
            _ip("link", "delete", CARD, check=False)


@contextmanager
def _machine(number: int, folder: Path, switch: int) -> Iterator[Machine]:
    name, address, pods = f"node-{number}", f"10.203.0.{10 + number}", f"10.244.{number}.0/24"
    own, cgroup = folder / name, f"campus-{name}"
    _remove_group(cgroup)  # of a run that was ended
    with _first_process(name, own) as first:
        _make_group(cgroup)
        port = f"port-{number}"
        into = ("nsenter", f"--target={switch}", "--net", "--")
        _run(*into, "ip", "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", str(first))
        _run(*into, "ip", "link", "set", port, "master", "bridge", "up")
        machine = Machine(name, address, pods, own, first, cgroup)
        machine.run("ip", "address", "add", f"{address}/{NETWORK_BITS}", "dev", "eth0")
        machine.plug()
        _ip("route", "replace", pods, "via", address)
        try:
            yield machine
        finally:
            _end(first)
            _remove_group(cgroup)


@contextmanager
def _first_process(name: str, folder: Path) -> Iterator[int]:
    """A shell in namespaces of its own; all that came of it is gone afterwards. Its process id, as it is here."""
    folder.mkdir(parents=True, exist_ok=True)
    script = _FIRST.format(name=name, folder=folder, settings=" ".join(SETTINGS_OF_THE_KERNEL), places=" ".join(PLACES))
    own = ("--mount", "--net", "--pid", "--uts", "--ipc", "--fork", "--kill-child", "--mount-proc")
    with (folder / "first.log").open("wb") as log:
        process = subprocess.Popen(
            ["unshare", *own, "bash", "-c", script],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            # Ctrl-C is for the tests: they end it when they have cleared up.
            start_new_session=True,
        )
    try:

        def is_up() -> bool:
            assert process.poll() is None, f"{name}: {(folder / 'first.log').read_text()}"
            return (folder / "up").exists()

        until(is_up, f"{name} is up", limit=60)
        [child] = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        yield int(child)
    finally:
        # Its death is that of all in its process ids.
        process.kill()
        process.wait(END_SECONDS)


def _end(first: int) -> None:
    """End a first process, and wait until it is gone: all of its machine is by then."""
    try:
        os.kill(first, signal.SIGKILL)
    except ProcessLookupError:
        return
    until(lambda: not Path(f"/proc/{first}/ns/net").exists(), "a machine is gone", limit=END_SECONDS)


def _hierarchies() -> list[Path]:
    return [each for each in sorted(CGROUPS.iterdir()) if (each / "cgroup.procs").exists() and not each.is_symlink()]


def _make_group(name: str) -> None:
    for hierarchy in _hierarchies():
        group = hierarchy / name
        group.mkdir(exist_ok=True)
        if (group / "cpu.shares").exists():
            (group / "cpu.shares").write_text(str(SHARES))
        # Without processors and memory nothing can run in a new one.
        for file in ("cpuset.cpus", "cpuset.mems"):
            if (group / file).exists():
                (group / file).write_text((hierarchy / file).read_text())


def _remove_group(name: str) -> None:
    for hierarchy in _hierarchies():
        for folder, _, _ in os.walk(hierarchy / name, topdown=False):
            end = time.monotonic() + END_SECONDS
            # The last of its processes is gone, and the kernel has not noticed yet.
            while Path(folder).exists():
                try:
                    Path(folder).rmdir()
                except OSError:
                    if time.monotonic() > end:
                        raise
                    time.sleep(0.1)


def _ip(*words: str, check: bool = True) -> None:
    _run("ip", *words, check=check)


def _run(*words: str, check: bool = True) -> None:
    done: subprocess.CompletedProcess[str] = subprocess.run(
        words, capture_output=True, text=True, check=False, timeout=60
    )
    assert not check or done.returncode == 0, f"{_words(words)}: {done.stderr}"


def _words(words: Sequence[str]) -> str:
    return " ".join(words)
