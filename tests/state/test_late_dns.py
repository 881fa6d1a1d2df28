"""A Redis that is named, and a DNS that answers when nobody waits any more: a real node, in a network of its own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.broker.processes import ROOT
from tests.missing import missing

OWN_NETWORK = ("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")


@pytest.fixture
def own_network() -> tuple[str, ...]:
    """What a command is begun with. Only root may: CI does."""
    if os.geteuid() != 0 or not all(shutil.which(tool) for tool in ("unshare", "ip", "mount")):
        missing("a network of its own", "only root can make one, with unshare and iproute2")
    return OWN_NETWORK


def test_an_answer_that_nobody_waits_for_any_more_is_dropped_without_a_word(
    own_network: tuple[str, ...], tmp_path: Path
) -> None:
    done = subprocess.run(
        [*own_network, sys.executable, "-m", "tests.state.late_dns", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )
    assert done.returncode == 0, done.stderr
    told = (tmp_path / "node.log").read_text()
    assert "not listening yet" in told
    assert "listening" in told
    assert "never retrieved" not in told
