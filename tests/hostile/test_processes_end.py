"""Each process of a run is killed: it is started again, the others go on, and nothing acknowledged is lost."""

import os
import re
import signal
from collections.abc import Callable

import pytest

from tests.hostile.running import Hostile, device

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


def pids(system: Hostile, name: str) -> list[int]:
    """Of all lives of a process, as the log names them."""
    return [int(pid) for pid in re.findall(rf"{name} started \(pid=(\d+)\)", system.system.text)]


def kill(system: Hostile, name: str) -> None:
    """Kill a process, and wait until it is there again."""
    lives = pids(system, name)
    os.kill(lives[-1], signal.SIGKILL)
    system.wait(lambda: len(pids(system, name)) > len(lives), f"{name} is started again")


@pytest.mark.parametrize("name", ["broker-1", "broker-2", "haproxy", "decoder", "api", "redis"])
def test_a_process_that_is_killed_comes_back_and_nothing_acknowledged_is_lost(system: Hostile, name: str) -> None:
    before = system.documents()
    with device(system, f"killed-{name}") as phones:
        phones.publish(60)
        system.wait(lambda: phones.acknowledged >= 30, "positions are acknowledged")
        kill(system, name)
        system.wait(lambda: phones.acknowledged == 60, "all positions are acknowledged")
    system.until_ready()
    system.until_worked_off()
    assert system.documents() == before + 60
    assert system.get("/v1/occupancy").status_code == 200
    assert system.system.process.poll() is None


def test_a_process_that_is_killed_three_times_within_a_minute_ends_the_run(
    start_system: Callable[..., Hostile],
) -> None:
    system = start_system()
    for _ in range(2):
        kill(system, "decoder")
    os.kill(pids(system, "decoder")[-1], signal.SIGKILL)
    system.wait(lambda: system.system.process.poll() is not None, "the run ends")
    assert system.system.process.returncode == 1
