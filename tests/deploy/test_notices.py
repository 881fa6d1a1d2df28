"""What comes with us and is not ours is named, with its licence; and our own licence goes with all that we hand on."""

import json
import re
import tomllib
from email.message import Message
from importlib.metadata import files
from pathlib import Path

import pytest

from deploy.notices.__main__ import NOTICES, ROOT, table, with_table
from deploy.notices.licences import UnknownLicenceError, licence_of
from deploy.notices.locked import in_images

REQUIREMENTS = ROOT / "requirements"


def package(**fields: str) -> Message:
    message = Message()
    message["Name"] = "some-package"
    for name, value in fields.items():
        message[name.replace("_", "-")] = value
    return message


def test_every_package_that_an_image_holds_is_in_the_notices_with_its_version_and_licence() -> None:
    text = NOTICES.read_text()
    assert text == with_table(text, table()), "make notices"


def test_what_is_locked_for_other_systems_is_in_no_image() -> None:
    names = {found.name for found in in_images(REQUIREMENTS)}
    assert {"redis", "amqtt", "numpy"} <= names
    assert not names & {"colorama", "pywin32", "async-timeout"}


def test_a_package_that_is_locked_and_not_named_changes_the_table(tmp_path: Path) -> None:
    for lock in REQUIREMENTS.glob("*.txt"):
        text = lock.read_text()
        (tmp_path / lock.name).write_text(f"{text}mypy==2.4.0 \\\n" if lock.name == "broker.txt" else text)
    assert "| mypy | 2.4.0 | MIT | broker |" in table(tmp_path)


@pytest.mark.parametrize(
    ("said", "licence"),
    [
        ({"License_Expression": "MIT OR Apache-2.0"}, "MIT OR Apache-2.0"),
        ({"License": "Apache License, Version 2.0"}, "Apache-2.0"),
        ({"Classifier": "License :: OSI Approved :: ISC License"}, "ISC"),
        ({"License": "MIT\n\nPermission is granted", "Classifier": "License :: OSI Approved :: MIT License"}, "MIT"),
    ],
)
def test_a_licence_is_known_by_its_expression_by_its_name_or_by_a_classifier(
    said: dict[str, str], licence: str
) -> None:
    assert licence_of(package(**said)) == licence


@pytest.mark.parametrize("said", [{}, {"License_Expression": "AGPL-3.0-only"}, {"License": "see the web page"}])
def test_a_licence_that_nobody_has_looked_at_is_refused_with_the_name_of_the_package(said: dict[str, str]) -> None:
    with pytest.raises(UnknownLicenceError, match="some-package"):
        licence_of(package(**said))


def test_every_package_of_an_image_brings_the_text_of_its_licence() -> None:
    def has_text(name: str) -> bool:
        text = re.compile(r"dist-info/.*(LICEN[CS]E|COPYING)", re.IGNORECASE)
        return any(text.search(str(path)) for path in files(name) or [])

    # Its wheel has none: what MIT asks for is in the notices themselves, which every image has.
    assert [found.name for found in in_images(REQUIREMENTS) if not has_text(found.name)] == ["obstore"]
    assert "Copyright (c) Development Seed" in NOTICES.read_text()


def test_what_was_copied_into_the_repository_brings_its_licence_and_is_named() -> None:
    text = NOTICES.read_text()
    vendor = ROOT / "api/web/static/vendor"
    # What is in campus-device is ours: a copy of simulator/, which the image of the API has not.
    assert sorted(path.name for path in vendor.iterdir() if path.is_dir()) == ["campus-device", "leaflet", "mqtt"]
    assert (vendor / "leaflet" / "LICENSE.txt").read_text().startswith("BSD 2-Clause License")
    packages = json.loads((vendor / "package-lock.json").read_text())["packages"]
    assert f"Leaflet {packages['node_modules/leaflet']['version']}," in text
    assert f"MQTT.js {packages['node_modules/mqtt']['version']}," in text
    licences = (vendor / "mqtt" / "LICENSE.txt").read_text()
    bundled = re.findall(r"^([@a-z0-9/_-]+) (\d+\.\d+\.\d+)$", licences, flags=re.MULTILINE)
    assert len(bundled) == 27
    assert bundled == [(name, packages[f"node_modules/{name}"]["version"]) for name, _ in bundled]
    recordings = [path.name for path in (ROOT / "simulator/recordings").iterdir() if path.suffix != ".md"]
    assert recordings == ["bus-304-to-university-of-limerick-2019-02-18.gpx"]
    assert "`simulator/recordings`" in text


def test_our_own_licence_is_the_apache_license_and_every_image_may_see_it() -> None:
    assert "Apache License\n                           Version 2.0, January 2004" in (ROOT / "LICENSE").read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["license"] == "Apache-2.0"
    allowed = (ROOT / ".dockerignore").read_text().splitlines()
    for name in project["license-files"]:
        assert (ROOT / name).is_file(), name
        assert f"!{name}" in allowed, name
