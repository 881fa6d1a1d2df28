"""Every alert fires when it should and stays quiet when it should not, as Prometheus' own promtool says."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.missing import missing

pytestmark = pytest.mark.observability

PROMETHEUS = Path(__file__).resolve().parents[2] / "deploy/observability/prometheus"
RULES = sorted((PROMETHEUS / "rules").glob("*.yml"))
every_file = pytest.mark.parametrize("path", RULES, ids=lambda path: str(path.stem))


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    found = shutil.which("promtool") or missing("promtool", "apt install prometheus")
    return subprocess.run([found, *arguments], capture_output=True, text=True, check=False, timeout=60)


def cases(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load((PROMETHEUS / "tests" / path.name).read_text())["tests"]
    return found


@every_file
def test_alerts_fire_when_they_should_and_not_otherwise(path: Path) -> None:
    done = promtool("test", "rules", str(PROMETHEUS / "tests" / path.name))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SUCCESS" in done.stdout


@every_file
def test_each_alert_has_a_test_in_which_it_fires_and_one_in_which_it_does_not(path: Path) -> None:
    alerts = {rule["alert"] for group in yaml.safe_load(path.read_text())["groups"] for rule in group["rules"]}
    fires: set[str] = set()
    quiet: set[str] = set()
    for test in cases(path):
        for asked in test["alert_rule_test"]:
            (fires if asked["exp_alerts"] else quiet).add(asked["alertname"])
    assert fires == quiet == alerts


def test_promtool_fails_where_an_alert_would_not_fire(tmp_path: Path) -> None:
    """A test that cannot fail would say nothing: with another limit, the same series are refused."""
    (tmp_path / "rules").mkdir()
    (tmp_path / "tests").mkdir()
    rules = (PROMETHEUS / "rules/redis.yml").read_text()
    (tmp_path / "rules/redis.yml").write_text(re.sub(r"> 0\.8\b", "> 0.9", rules))
    (tmp_path / "tests/redis.yml").write_text((PROMETHEUS / "tests/redis.yml").read_text())
    done = promtool("test", "rules", str(tmp_path / "tests/redis.yml"))
    assert done.returncode != 0
    assert "RedisNearlyFull" in done.stdout + done.stderr


def test_prometheus_takes_its_configuration() -> None:
    done = promtool("check", "config", "--syntax-only", str(PROMETHEUS / "prometheus.yml"))
    assert done.returncode == 0, done.stdout + done.stderr
