"""Helm itself, as `tests/helm/build` makes it, and what it says of deploy/chart."""

import functools
import subprocess
from pathlib import Path
from typing import Any

import yaml

from tests.deploy.k8s_manifests import LOADER
from tests.missing import missing

BUILD = Path(__file__).with_name("build")
CHART = Path(__file__).resolve().parents[2] / "deploy" / "chart"


def helm() -> str:
    """The program; skips where it has not been built, fails in CI."""
    built = subprocess.run([BUILD, "--where"], capture_output=True, text=True, check=True).stdout.strip()
    if not Path(built).is_file():
        missing("Helm", "`make helm` builds it (Go 1.24)")
    return built


def asked(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """What Helm answers."""
    return subprocess.run([helm(), *arguments], capture_output=True, text=True, check=False)


@functools.cache
def rendered(*arguments: str | Path, chart: Path = CHART, namespace: str = "campus") -> str:
    """The chart as `helm template` makes it, for a cluster that has all that it may ask for."""
    done = asked("template", "campus", chart, "--namespace", namespace, *arguments)
    assert done.returncode == 0, done.stderr
    assert not done.stderr, done.stderr
    return done.stdout


def templated(*arguments: str | Path, chart: Path = CHART, namespace: str = "campus") -> list[dict[str, Any]]:
    """Its documents, without those of `helm test`."""
    text = rendered("--skip-tests", *arguments, chart=chart, namespace=namespace)
    return [each for each in yaml.load_all(text, LOADER) if each]
