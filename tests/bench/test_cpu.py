"""CPU and memory of a process are those of its children, too, of those that have ended as well."""

import os
import subprocess
import sys

import pytest

from bench.cpu import cpu_seconds, memory_bytes, tree

pytestmark = pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="there is no /proc")  # noqa: PTH112
BUSY = "import time; begun = time.process_time()\nwhile time.process_time() - begun < 0.3: pass\n"
PARENT = f"""
import subprocess, sys
subprocess.run([sys.executable, "-c", {BUSY!r}])
child = subprocess.Popen([sys.executable, "-c", "k = bytearray(b'1' * 50_000_000); print('up', flush=True); input()"],
                         stdin=subprocess.PIPE)
child.wait()
"""


def test_a_child_that_has_ended_and_one_that_lives_are_counted() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"

        assert len(tree(process.pid)) == 2
        assert cpu_seconds(process.pid) >= 0.3
        assert memory_bytes(process.pid) > 50_000_000
        for pid in reversed(tree(process.pid)):
            os.kill(pid, 9)
