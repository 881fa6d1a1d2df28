"""What an image imports to have it compiled is there: nobody builds images in most runs of the tests."""

import importlib.util
import re
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.deploy.k8s_manifests import ROOT

DOCKERFILES = sorted(ROOT.glob("*/Dockerfile"))
# Applications are built of a folder of their own.
EVERY_DOCKERFILE = [*DOCKERFILES, *sorted(ROOT.glob("deploy/**/Dockerfile"))]


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.parent.name)
def test_every_module_that_an_image_imports_is_there_and_copied(path: Path) -> None:
    text = path.read_text()
    copied = set(re.findall(r"^COPY (\w+) \w+$", text, re.MULTILINE))
    for imported in re.findall(r'"-c", "import ([^"]+)"', text):
        for module in imported.split(", "):
            assert importlib.util.find_spec(module), module
            assert module.partition(".")[0] in copied, module


def sources(text: str) -> set[str]:
    """What a Dockerfile copies from the tree: paths and patterns, relative to its root."""
    lines = re.findall(r"^COPY (?!--from)((?:.*\\\n)*.*)$", text, re.MULTILINE)
    words = [line.replace("\\\n", " ").split()[:-1] for line in lines]
    return {word.rstrip("/") for each in words for word in each if not word.startswith("--")}


@pytest.mark.parametrize("path", EVERY_DOCKERFILE, ids=lambda path: str(path.parent.relative_to(ROOT)))
def test_what_an_image_copies_is_there_and_not_kept_from_it(path: Path) -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    allowed = [line[1:] for line in lines if line.startswith("!")]
    found = sources(path.read_text())
    assert found
    for source in found:
        assert any(ROOT.glob(source)), source
        # An entry of a folder lets the folder itself be copied as well.
        assert any(fnmatch(source, entry) or fnmatch(f"{source}/x", entry) for entry in allowed), source
