"""The Docker engine that the tests of the containers run on: the one that runs, or one of their own."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.conftest import missing

ANSWER_SECONDS = 15.0
START_SECONDS = 60.0
STOP_SECONDS = 60.0
_LOOK_SECONDS = 0.2


def docker(*arguments: str, seconds: float = 60.0, check: bool = True) -> str:
    """What `docker` prints to stdout. Raises AssertionError with its complaint if it fails and `check` is set."""
    try:
        done = subprocess.run(
            ["docker", *arguments], capture_output=True, text=True, check=False, timeout=seconds, errors="replace"
        )
    except subprocess.TimeoutExpired:
        raise AssertionError(f"docker {' '.join(arguments)}: no end after {seconds:g} s") from None
    assert not check or done.returncode == 0, f"docker {' '.join(arguments)}: {done.stderr.strip()}"
    return done.stdout


def engine_answers() -> bool:
    """Whether there is an engine that this user may talk to."""
    if shutil.which("docker") is None:
        return False
    # The client ends well without an engine, too: only what the engine says counts.
    try:
        return bool(docker("info", "--format", "{{.ServerVersion}}", seconds=ANSWER_SECONDS, check=False).strip())
    except AssertionError:
        return False


@contextmanager
def running_engine(log: Path) -> Iterator[str]:
    """The version of an engine that runs meanwhile. One that had to be started ends afterwards; it logs to `log`.

    Where there is none and none can be started, the test is skipped, or fails in CI.
    """
    if engine_answers():
        yield _version()
        return
    if reason := _cannot_start():
        missing("a Docker engine", reason)
    with tempfile.TemporaryDirectory(prefix="dockerd-") as folder, log.open("wb") as output:
        process = subprocess.Popen(
            ["dockerd", "--pidfile", str(Path(folder) / "dockerd.pid")],
            stdout=output,
            stderr=subprocess.STDOUT,
            # Ctrl-C is for the tests: the engine is needed until they have cleared up.
            start_new_session=True,
        )
        try:
            _until_answers(process, log)
            yield _version()
        finally:
            _stop(process)


def _version() -> str:
    return docker("version", "--format", "{{.Server.Version}}").strip()


def _cannot_start() -> str | None:
    """Why no engine can be started here, with what to do; None where it can."""
    lacking = [program for program in ("dockerd", "docker") if shutil.which(program) is None]
    if lacking:
        return f"no {' and no '.join(lacking)} on the PATH; Debian: apt install docker.io"
    if os.geteuid() != 0:
        return "none answers, and only root can start one: start Docker, or run this as root"
    return None


def _until_answers(process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while not engine_answers():
        ended = process.poll()
        assert ended is None, f"dockerd ended with exit code {ended}:\n{_tail(log)}"
        assert time.monotonic() < until, f"dockerd does not answer within {START_SECONDS:g} s:\n{_tail(log)}"
        time.sleep(_LOOK_SECONDS)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(STOP_SECONDS)


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-20:])
