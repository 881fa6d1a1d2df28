"""What a load balancer of a cloud is to the cluster: HAProxy that sends each connection to a node that takes it."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.kubernetes.campus import OUTSIDE
from tests.kubernetes.control_plane import running
from tests.kubernetes.machines import Machine
from tests.missing import missing
from tests.ports import free_port

_BEGINNING = """\
defaults
    mode tcp
    timeout connect 3s
    timeout client 1h
    timeout server 1h
    retries 3
    option redispatch 1
    default-server check inter 500ms fall 2 rise 1 on-marked-down shutdown-sessions
"""


@contextmanager
def load_balancer(machines: Sequence[Machine], folder: Path) -> Iterator[dict[str, int]]:
    """The ports of 127.0.0.1 by what comes in there, as `OUTSIDE` has them; a node that refuses gets nothing."""
    haproxy = shutil.which("haproxy") or missing("haproxy", "install Debian's haproxy")
    ports = {name: free_port() for name in OUTSIDE}
    parts = [_BEGINNING]
    for name, port in ports.items():
        servers = [f"    server {machine.name} {machine.address}:{OUTSIDE[name]}" for machine in machines]
        parts += [f"listen {name}", f"    bind 127.0.0.1:{port}", *servers]
    file = folder / "balancer.cfg"
    file.write_text("\n".join(parts) + "\n")
    with running("balancer", [haproxy, "-db", "-f", file], folder):
        yield ports
