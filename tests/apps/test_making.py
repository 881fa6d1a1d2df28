"""A new application is the example under another name."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from apps.making import WrongNameError, make

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of `apps`, so that nothing is made in the tree."""
    return Path(shutil.copytree(ROOT / "apps", tmp_path / "apps", ignore=shutil.ignore_patterns("__pycache__")))


def test_it_has_both_versions_tests_an_image_a_compose_file_and_manifests(folder: Path) -> None:
    made = {str(path.relative_to(folder)) for path in make(folder, "quiet-corner", "library")}
    assert made == {
        "quiet_corner/Dockerfile",
        "quiet_corner/__init__.py",
        "quiet_corner/compose.yml",
        "quiet_corner/k8s/kustomization.yaml",
        "quiet_corner/k8s/network.yaml",
        "quiet_corner/k8s/version-1.yaml",
        "quiet_corner/k8s/version-2.yaml",
        "quiet_corner/tests/__init__.py",
        "quiet_corner/tests/test_sentences.py",
        "quiet_corner/v1/__init__.py",
        "quiet_corner/v1/__main__.py",
        "quiet_corner/v1/sentence.py",
        "quiet_corner/v2/__init__.py",
        "quiet_corner/v2/__main__.py",
        "quiet_corner/v2/sentence.py",
    }


def test_nothing_of_the_examples_names_is_left_in_it(folder: Path) -> None:
    for path in make(folder, "quiet-corner", "library"):
        assert "schuman" not in path.read_text().lower(), path


def test_its_own_tests_pass(folder: Path) -> None:
    make(folder, "quiet-corner", "library")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", str(ROOT / "pyproject.toml")),
            *("--rootdir", str(folder.parent), str(folder / "quiet_corner")),
        ],
        cwd=folder.parent,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(folder.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "8 passed" in done.stdout


@pytest.mark.parametrize(
    "name", ["Quiet", "9to5", "quiet_corner", "a" * 33, "", "../x", "kit", "api", "update-schuman", "a-"]
)
def test_what_can_be_no_name_is_refused_with_a_sentence(folder: Path, name: str) -> None:
    with pytest.raises(WrongNameError, match="is no name for an application: take a small letter"):
        make(folder, name, "library")
    assert not (folder / "quiet_corner").exists()


def test_a_zone_that_can_be_none_is_refused(folder: Path) -> None:
    with pytest.raises(WrongNameError, match="'a b' is no id of a zone"):
        make(folder, "quiet-corner", "a b")


def test_one_that_is_there_stays_as_it_is(folder: Path) -> None:
    make(folder, "quiet-corner", "library")
    (folder / "quiet_corner" / "v1" / "sentence.py").write_text("mine")
    with pytest.raises(FileExistsError):
        make(folder, "quiet-corner", "library")
    assert (folder / "quiet_corner" / "v1" / "sentence.py").read_text() == "mine"
