import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.balance.fairness import jain
from tests.haproxy.running import haproxy_executable

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("shares", "index"),
    [((5, 5), 1), ((1, 0, 0, 0), 0.25), ((3, 1), 0.8), ((0, 0), 1), ((7,), 1), ((2, 1, 1), 16 / 18)],
)
def test_fairness_is_one_where_all_have_the_same_and_one_of_n_where_one_has_all(
    shares: tuple[float, ...], index: float
) -> None:
    assert jain(shares) == pytest.approx(index)


def test_clients_are_shared_come_back_to_their_node_and_survive_its_death(tmp_path: Path) -> None:
    haproxy_executable()
    file = tmp_path / "balance.json"

    run = subprocess.run(
        [sys.executable, "-m", "bench.balance", "--quick", f"--results={file}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )

    assert run.returncode == 0, run.stdout + run.stderr
    figures = {one["entry"]: one["figures"] for one in json.loads(file.read_text())["rounds"]}
    alone, together = figures["1 node"], figures["2 nodes"]
    assert alone["connections, node 1"] == 40
    assert alone["messages, node 1"] == 80
    assert [together[f"connections, node {number}"] for number in (1, 2)] == [20, 20]
    assert together["back at the same node, %"] == 100
    assert sum(together[f"messages, node {number}"] for number in (1, 2)) == 80
    assert together["a node dies: cut off"] == 20
    assert together["a node died: connections, node 1"] == 40
    assert sum(together[f"it came back, and half more clients: connections, node {number}"] for number in (1, 2)) == 60
