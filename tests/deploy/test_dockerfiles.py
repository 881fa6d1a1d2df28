"""What an image imports to have it compiled is there: nobody builds images in most runs of the tests."""

import importlib.util
import re
from pathlib import Path

import pytest

from tests.deploy.k8s_manifests import ROOT

DOCKERFILES = sorted(ROOT.glob("*/Dockerfile"))


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.parent.name)
def test_every_module_that_an_image_imports_is_there_and_copied(path: Path) -> None:
    text = path.read_text()
    copied = set(re.findall(r"^COPY (\w+) \w+$", text, re.MULTILINE))
    for imported in re.findall(r'"-c", "import ([^"]+)"', text):
        for module in imported.split(", "):
            assert importlib.util.find_spec(module), module
            assert module.partition(".")[0] in copied, module
