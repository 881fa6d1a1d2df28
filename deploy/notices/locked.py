"""What the lock files put into images: their lines, without the hashes."""

import re
from pathlib import Path
from typing import NamedTuple

from packaging.markers import Marker

IMAGES = ("analytics", "api", "autoscaler", "backup", "broker", "controller", "decoder", "simulator")
"""The images that hold Python packages; each has a lock file of its own."""
PLATFORM = {"sys_platform": "linux", "python_full_version": "3.11.14", "implementation_name": "cpython"}
"""What an image is, as the markers of a lock file ask."""
_LINE = re.compile(r"(?P<name>[A-Za-z0-9._-]+)(\[.*?\])?==(?P<version>[^ ;\\]+)( ; (?P<marker>[^\\]+))?")


class Locked(NamedTuple):
    """A package in its one version."""

    name: str
    version: str


def in_images(requirements: Path) -> dict[Locked, list[str]]:
    """Each package that an image holds, and in which images, both by name; from the lock files in `requirements`."""
    found: dict[Locked, list[str]] = {}
    for image in IMAGES:
        for package in _read(requirements / f"{image}.txt"):
            found.setdefault(package, []).append(image)
    return dict(sorted(found.items()))


def _read(path: Path) -> list[Locked]:
    matches = (_LINE.match(line) for line in path.read_text().splitlines())
    return [
        Locked(match["name"], match["version"])
        for match in matches
        if match and (match["marker"] is None or Marker(match["marker"]).evaluate(PLATFORM))
    ]
