"""Prometheus, Alertmanager, exporters and Graphite as Debian has them: of one test file's own, ended with it."""

import json
import shutil
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.e2e.system import wait_for
from tests.missing import missing
from tests.ports import free_port
from tests.watchdog import watched

ROOT = Path(__file__).resolve().parents[2]
OBSERVABILITY = ROOT / "deploy/observability"
START_SECONDS = 90.0
STOP_SECONDS = 20.0


def program(name: str, package: str) -> str:
    """The path of a program; skips, or fails in CI, where it is not there."""
    return shutil.which(name) or missing(name, f"apt install {package}")


@contextmanager
def running(
    name: str, command: Sequence[str], folder: Path, *, environment: Mapping[str, str] | None = None
) -> Iterator[Path]:
    """A process while the context lasts; yields the file of what it says."""
    log = folder / f"{name}.log"
    with log.open("ab") as said:
        process = watched(subprocess.Popen(command, cwd=folder, stdout=said, stderr=subprocess.STDOUT, env=environment))
    try:
        yield log
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP_SECONDS)


def answer(url: str) -> str | None:
    """What is answered there; None while nobody answers, or with an error."""
    try:
        # Not httpx, which reads all authorities of TLS for each of some hundred questions.
        with urllib.request.urlopen(url, timeout=20) as found:  # noqa: S310 - of a server of this test's own
            return str(found.read(), "utf-8")
    except OSError:
        return None


@dataclass(frozen=True, slots=True)
class Target:
    """What Prometheus scrapes in place of what it would find by DNS."""

    node: str
    address: str


def configuration(
    targets: Mapping[str, Sequence[Target]], *, rules: Path, alertmanager: str | None = None, blackbox: str = ""
) -> str:
    """The product's configuration with addresses of a test, a scrape each second, and nothing else changed."""
    found: dict[str, Any] = yaml.safe_load((OBSERVABILITY / "prometheus/prometheus.yml").read_text())
    found["global"] = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    found["rule_files"] = [str(rules / "*.yml")]
    found["alerting"]["alertmanagers"] = [{"static_configs": [{"targets": [alertmanager] if alertmanager else []}]}]
    known = {job["job_name"] for job in found["scrape_configs"]}
    assert set(targets) <= known
    found["scrape_configs"] = [job for job in found["scrape_configs"] if job["job_name"] in targets]
    for job in found["scrape_configs"]:
        probed = "params" in job
        for way in ("dns_sd_configs", "static_configs", "scrape_interval"):
            job.pop(way, None)
        here = targets[job["job_name"]]
        if probed:
            # Through the exporter, as it is: `node` is what is probed.
            job["static_configs"] = [{"targets": [each.address for each in here]}]
            job["relabel_configs"][-1]["replacement"] = blackbox
            job["scrape_timeout"] = "1s"
        else:
            # All are on one address here, by which `node` would be the same for all.
            job["static_configs"] = [{"targets": [each.address], "labels": {"node": each.node}} for each in here]
            job["relabel_configs"] = []
    return yaml.safe_dump(found, sort_keys=False)


@dataclass(frozen=True, slots=True)
class Prometheus:
    """A running Prometheus."""

    url: str
    log: Path

    def ask(self, path: str, **query: str) -> Any:  # noqa: ANN401 - whatever it answers
        """The `data` of an answer of its API; None while it does not answer."""
        text = answer(f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(query)}")
        return None if text is None else json.loads(text)["data"]

    def values(self, expr: str) -> list[float]:
        """The values of an instant query, now."""
        data = self.ask("query", query=expr)
        assert data is not None, f"Prometheus does not take it: {expr}"
        if data["resultType"] == "scalar":
            return [float(data["result"][1])]
        return [float(each["value"][1]) for each in data["result"]]


@contextmanager
def prometheus(folder: Path, text: str) -> Iterator[Prometheus]:
    """A Prometheus with a configuration, once it is ready."""
    executable = program("prometheus", "prometheus")
    file, port = folder / "prometheus.yml", free_port()
    file.write_text(text)
    command = [
        executable,
        f"--config.file={file}",
        f"--storage.tsdb.path={folder / 'series'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    url = f"http://127.0.0.1:{port}"
    with running("prometheus", command, folder) as log:
        wait_for(lambda: answer(f"{url}/-/ready"), "Prometheus is ready", START_SECONDS)
        yield Prometheus(url, log)


@contextmanager
def listening(
    name: str,
    package: str,
    folder: Path,
    make: Callable[[int], Sequence[str]],
    path: str = "/metrics",
    environment: Mapping[str, str] | None = None,
) -> Iterator[int]:
    """A server that Debian packages, once it answers; yields its port. `make` has its arguments for a port."""
    port = free_port()
    with running(name, [program(name, package), *make(port)], folder, environment=environment) as log:

        def answers() -> bool:
            return answer(f"http://127.0.0.1:{port}{path}") is not None

        try:
            wait_for(answers, f"{name} answers", START_SECONDS)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{log.read_text()}") from error
        yield port
