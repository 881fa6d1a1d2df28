"""An image of Toxiproxy, laid out as that of its makers, from the program that `make toxiproxy` builds."""

import hashlib
import shutil
import tempfile
from pathlib import Path

from tests.containers.engine import docker
from tests.toxiproxy.server import toxiproxy_executable

_DOCKERFILE = 'FROM scratch\nCOPY toxiproxy /toxiproxy\nENTRYPOINT ["/toxiproxy"]\n'


def toxiproxy_image() -> str:
    """Its name; built if it is not there."""
    program = Path(toxiproxy_executable())
    tag = f"campus-e2e/toxiproxy:{hashlib.sha256(program.read_bytes()).hexdigest()[:12]}"
    if not docker("images", "--quiet", tag).strip():
        with tempfile.TemporaryDirectory(prefix="toxiproxy-") as folder:
            shutil.copy(program, Path(folder) / "toxiproxy")
            (Path(folder) / "Dockerfile").write_text(_DOCKERFILE)
            docker("build", "--tag", tag, folder, seconds=600)
    return tag
