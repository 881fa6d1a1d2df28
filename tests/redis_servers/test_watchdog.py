"""Servers of tests end with the process of the tests, also where that is killed."""

import signal
import subprocess
import sys
from pathlib import Path

from tests.redis_servers.process import until

ROOT = Path(__file__).parents[2]
TESTS = """
import subprocess, sys, time
from tests.watchdog import watched
for _ in range(2):
    server = watched(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]))
    print(server.pid, flush=True)
time.sleep(600)
"""


def test_a_killed_test_process_leaves_no_server_behind() -> None:
    with subprocess.Popen([sys.executable, "-c", TESTS], cwd=ROOT, stdout=subprocess.PIPE, text=True) as tests:
        assert tests.stdout
        servers = [Path("/proc", tests.stdout.readline().strip()) for _ in range(2)]
        assert all(server.exists() for server in servers)
        tests.send_signal(signal.SIGKILL)
        until(lambda: not any(map(is_there, servers)), "the servers have ended")


def is_there(process: Path) -> bool:
    """Whether a process runs; one that has ended may wait for somebody to ask."""
    try:
        return " Z " not in (process / "stat").read_text(encoding="ascii")
    except OSError:
        return False
