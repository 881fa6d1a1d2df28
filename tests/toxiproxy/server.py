"""Toxiproxy itself, as `tests/toxiproxy/build` makes it."""

import os
import shutil
import subprocess
from pathlib import Path

from tests.missing import missing

BUILD = Path(__file__).with_name("build")


def toxiproxy_executable() -> str:
    """The program: what TOXIPROXY names, a path or a name on the PATH, else what `make toxiproxy` has built."""
    named = os.environ.get("TOXIPROXY")
    if named and (found := shutil.which(named)):
        return found
    built = subprocess.run([BUILD, "--where"], capture_output=True, text=True, check=True).stdout.strip()
    if not Path(built).is_file():
        missing("Toxiproxy", "`make toxiproxy` builds it (Go 1.23)")
    return built
