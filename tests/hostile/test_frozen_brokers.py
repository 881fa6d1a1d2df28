"""All brokers are there and do nothing: what is said of the counts must not be that all is well."""

import os
import signal
from pathlib import Path

import pytest

from tests.hostile.running import Hostile, device

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


def brokers(system: Hostile) -> list[int]:
    """The processes of the broker nodes of this system."""
    data_dir = f"DATA_DIR={system.system.data_dir}".encode()
    found = []
    for folder in Path("/proc").iterdir():
        try:
            command = (folder / "cmdline").read_bytes().split(b"\0")
            ours = data_dir in (folder / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if ours and command[1:3] == [b"-m", b"broker"]:
            found.append(int(folder.name))
    return found


def test_counts_are_stale_while_every_broker_is_frozen_and_fresh_again_afterwards(system: Hostile) -> None:
    def stale() -> str | None:
        body = system.get("/v1/occupancy").json()
        assert {zone["stale"] for zone in body["zones"]} == {body["stale"]}
        found: str | None = body["stale"]
        return found

    with device(system, "frozen") as phones:
        phones.publish(30)
        system.wait(lambda: phones.acknowledged == 30, "30 positions are acknowledged")
        system.until_worked_off()
        system.wait(lambda: system.get("/v1/zones/campus/occupancy").json()["mobile"] == 30, "30 phones are there")
        assert stale() is None
        # A node notes it once a second.
        system.wait(lambda: system.get("/v1/occupancy").json()["newest_input_at"]["mobile"], "the newest input is told")

        processes = brokers(system)
        assert len(processes) == 2
        for process in processes:
            os.kill(process, signal.SIGSTOP)
        try:
            sentence = system.wait(stale, "the counts are stale")
            assert str(sentence).startswith("No broker has given a sign of life since ")
            system.until_waiting("api", "No broker has given a sign of life")
        finally:
            for process in processes:
                os.kill(process, signal.SIGCONT)
        system.wait(lambda: stale() is None, "the counts are those of now again")
        phones.publish(5)
        system.wait(lambda: phones.acknowledged == 35, "more positions are acknowledged")
    system.until_ready()
