"""Every benchmark still runs: a benchmark that nothing runs rots."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.programs import COMMANDS, NO_BENCHMARKS, benchmarks, programs
from tests.conftest import missing
from tests.couchdb.double import is_there
from tests.influxd.server import influxd_executable

pytestmark = pytest.mark.timeout(300)
ROOT = Path(__file__).parents[2]
ELSEWHERE = {"bench.balance": "test_balance.py", "bench.broker": "test_bench_broker.py"}
"""Those whose quick run is another test's, which also looks at what was found."""
RUNS = [run for run in benchmarks() if run[0] not in ELSEWHERE]


def kept() -> dict[str, float]:
    return {str(path): path.stat().st_mtime_ns for path in (ROOT / "bench" / "results").iterdir()}


def test_what_is_no_benchmark_is_there() -> None:
    assert set(programs()) > NO_BENCHMARKS.keys() | COMMANDS.keys() | ELSEWHERE.keys()
    assert ("bench.influxdb", "history") in RUNS
    assert len(RUNS) > 12


@pytest.mark.parametrize(("program", "file"), ELSEWHERE.items())
def test_what_another_test_runs_it_does_run(program: str, file: str) -> None:
    text = Path(__file__).with_name(file).read_text(encoding="utf-8")
    assert program in text
    assert "--quick" in text


@pytest.mark.parametrize("run", RUNS, ids=" ".join)
def test_it_runs_for_some_seconds_and_leaves_the_kept_results_alone(run: tuple[str, ...], tmp_path: Path) -> None:
    if run[0] in {"bench.archive", "bench.pipelines"} and not is_there():
        missing("the double of CouchDB", "npm ci --prefix tests/node")
    if run[0] == "bench.influxdb" and influxd_executable() is None:
        missing("InfluxDB", "make influxd")
    before = kept()

    done = subprocess.run(
        [sys.executable, "-m", *run, "--quick", "--results", str(tmp_path / "found.json")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    written = [json.loads(path.read_text(encoding="utf-8")) for path in tmp_path.glob("*.json")]
    assert written
    assert all(written)
    assert kept() == before


def test_all_of_them_are_run_one_after_another_and_who_fails_is_named() -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "bench", *arguments],
            cwd=ROOT,
            env={**os.environ, "PATH": "/nowhere"},
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )

    done = run("--quick", "--only", "capacity", "--only", "state.raw")

    # One needs nothing, the other a redis-server, which is not there.
    assert done.returncode == 1
    assert "1 of 2 came to their end" in done.stdout
    assert "NOT: bench.state.raw" in done.stdout
    assert "redis-server is missing" in done.stderr
