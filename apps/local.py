"""Versions of an application on this machine, beside `make run`, as the controller's `REGISTRY=file` finds them."""

import csv
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import FrameType

from apps.making import package_of

READY_SECONDS = 60.0
LOOK_SECONDS = 0.5
STOP_SECONDS = 10.0
ROOT = Path(__file__).parents[1]


def versions_of(name: str) -> list[str]:
    """The versions that an application has, by its folders `v1`, `v2`, ...: "1", "2"."""
    folders = (ROOT / "apps" / package_of(name)).glob("v*/__main__.py")
    return sorted(path.parent.name[1:] for path in folders)


def run_all(name: str, versions: Sequence[str], *, data_dir: Path, environment: dict[str, str]) -> int:
    """Run one instance of each version until Ctrl-C or SIGTERM; the exit code, 1 if one of them ended by itself.

    `data_dir` is that of `make run`: the password of `demo-app` is there, and the files that say what runs are put into
    its folder `apps`. Each is taken away again at the end.
    """
    environment = {**_login(data_dir), **environment}
    with ExitStack() as running:
        stopped = running.enter_context(_stopping())
        processes = [
            running.enter_context(_instance(name, version, data_dir / "apps", environment)) for version in versions
        ]
        while not stopped:
            if any(process.poll() is not None for process in processes):
                return 1
            time.sleep(LOOK_SECONDS)
    return 0


def _login(data_dir: Path) -> dict[str, str]:
    """The demo user with the role `app`, if `make run` has made it."""
    with suppress(OSError, csv.Error), (data_dir / "demo-users.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.reader(file):
            if row[:2] == ["demo-app", "app"]:
                return {"MQTT_USERNAME": row[0], "MQTT_PASSWORD": row[2]}
    return {}


@contextmanager
def _stopping() -> Iterator[list[int]]:
    """A list that has the signal which asks for the end, once it has come."""
    signals: list[int] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        signals.append(number)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _instance(
    name: str, version: str, folder: Path, environment: dict[str, str]
) -> Iterator["subprocess.Popen[bytes]"]:
    """One instance, and the file that says that it runs."""
    port = _free_port()
    process = subprocess.Popen(  # noqa: S603 - this very Python, and a module of this folder
        [sys.executable, "-m", f"apps.{package_of(name)}.v{version}"],
        cwd=ROOT,
        env={**os.environ, **environment, "HTTP_HOST": "127.0.0.1", "HTTP_PORT": str(port)},
    )
    file = folder / f"{name}-{version}.json"
    try:
        _wait(f"http://127.0.0.1:{port}/healthz", process)
        folder.mkdir(parents=True, exist_ok=True)
        said = {
            "app": name,
            "version": version,
            "name": f"{name}-{version}",
            "address": "127.0.0.1",
            "port": port,
            "since": time.time_ns() // 1_000_000,
        }
        draft = file.with_suffix(".new")
        draft.write_text(json.dumps(said), encoding="utf-8")
        draft.replace(file)
        sys.stdout.write(f"{name} {version}: http://127.0.0.1:{port}/apps/{name}/latest\n")
        sys.stdout.flush()
        yield process
    finally:
        file.unlink(missing_ok=True)
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _wait(url: str, process: "subprocess.Popen[bytes]") -> None:
    """Wait until it is healthy. Raises RuntimeError where it ends, or takes longer than READY_SECONDS."""
    until = time.monotonic() + READY_SECONDS
    problem = "it does not answer"
    while time.monotonic() < until:
        if process.poll() is not None:
            raise RuntimeError(f"it ended with exit code {process.returncode}")
        try:
            with urllib.request.urlopen(url, timeout=2):  # noqa: S310 - of this machine
                return
        except urllib.error.HTTPError as error:
            problem = error.read(200).decode(errors="replace").strip()
        except OSError:
            pass
        time.sleep(LOOK_SECONDS)
    raise RuntimeError(f"it is not healthy after {READY_SECONDS:.0f} s: {problem}")
