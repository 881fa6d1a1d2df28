"""Data of the version before, in DATA_DIR: brought to the layout of this one before any service starts.

A campus does that by hand (`python -m state migrate`), while nothing runs. Here Redis runs only while all runs: so it
is started for that alone, once.
"""

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from core.errors import BadSettingsError
from deploy.laptop.first_start import redis_answers
from runtime.settings import CommonSettings

MARK = ".layout-3"
"""The file in DATA_DIR that says that its Redis needs no look any more."""
START_SECONDS = 60.0
STOP_SECONDS = 30.0


def bring_up_to_date(
    settings: CommonSettings, folder: Path, command: Sequence[str], environment: Mapping[str, str], data: Path
) -> bool:
    """Migrate what `data`, the folder of Redis, has of the version before; whether there was any.

    `command` starts that Redis. Raises BadSettingsError where it does not start, or the migration does not come to its
    end.
    """
    mark = folder / MARK
    if mark.exists():
        return False
    migrated = False
    if data.exists() and any(data.iterdir()):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)  # noqa: S603 - the Redis of the run itself
        try:
            _until_it_answers(settings, process)
            migrated = _migrate(environment)
        finally:
            process.terminate()
            process.wait(STOP_SECONDS)
    mark.touch()
    return migrated


def _until_it_answers(settings: CommonSettings, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + START_SECONDS
    while not redis_answers(settings):
        if process.poll() is not None or time.monotonic() > end:
            raise BadSettingsError(
                "DATA_DIR: its Redis does not start, so nobody knows whether its data is to be migrated"
            )
        time.sleep(0.1)


def _migrate(environment: Mapping[str, str]) -> bool:
    done = subprocess.run(
        [sys.executable, "-m", "state", "migrate"], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode == 0:
        return True
    if "nothing to migrate" in done.stderr:
        return False
    raise BadSettingsError(f"DATA_DIR: its Redis cannot be used as it is: {done.stderr.strip()}")
