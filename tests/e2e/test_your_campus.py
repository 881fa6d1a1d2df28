"""docs/your-campus.md, from nothing to the live map, with an extract of a campus that is not there."""

import base64
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.publish as publishing
import pytest

from tests.e2e.system import ROOT, System, start, wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]
PAGE = (ROOT / "docs" / "your-campus.md").read_text(encoding="utf-8")
EXTRACT = ROOT / "tests" / "geofence" / "field" / "extract-geom.json"


def command(line: str, **places: str) -> subprocess.CompletedProcess[str]:
    """A line of the page, as a user types it; `places` are what stands for it on this machine."""
    assert re.search(rf"^{re.escape(line)}$", PAGE, re.MULTILINE), f"the page does not say: {line}"
    for said, here in places.items():
        line = line.replace(said.replace("_", "."), here)
    line = line.replace(".venv/bin/python", sys.executable)
    if line.startswith("make "):
        # What it installs is there already: the stamp that says so counts as new.
        line = line.replace("make ", f"make -s -o .venv/.campus BIN={Path(sys.executable).parent} ", 1)
    return subprocess.run(line.split(), cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """The campus file, and what `make campus` said."""
    out = tmp_path_factory.mktemp("campus") / "campus.geojson"
    return out, command("make campus FILE=export.json", export_json=f"{EXTRACT} OUT={out}")


@pytest.fixture(scope="module")
def system(
    imported: tuple[Path, subprocess.CompletedProcess[str]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[System]:
    """A system that is of that campus."""
    settings = re.search(r"^CAMPUS_FILE=campus\.geojson CAMPUS_TIMEZONE=(\S+) make run$", PAGE, re.MULTILINE)
    assert settings is not None
    running = start(tmp_path_factory.mktemp("data"), CAMPUS_FILE=str(imported[0]), CAMPUS_TIMEZONE=settings[1])
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.stop()


def test_the_import_says_what_the_page_says(imported: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    out, said = imported
    assert said.returncode == 0, said.stderr
    table = re.search(r"```\n(id  .*?)```", PAGE, re.DOTALL)
    assert table is not None
    lines = {*said.stdout.splitlines(), *said.stderr.splitlines()}
    assert [line for line in table[1].splitlines() if line not in lines] == []
    assert out.with_suffix(".html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_the_feature_on_the_page_is_one_of_the_file(imported: tuple[Path, object]) -> None:
    [shown] = re.findall(r'^\{"type": "Feature", "id": "garage".*$', PAGE, re.MULTILINE)
    feature = json.loads(shown.replace("...", "null"))
    [made] = [json.loads(line.removesuffix(",")) for line in imported[0].read_text().splitlines() if '"garage"' in line]
    assert {**made["properties"], "capacity": 300} == {**feature["properties"], "source": made["properties"]["source"]}


def test_the_check_and_the_place_are_as_the_page_says(imported: tuple[Path, object]) -> None:
    campus = str(imported[0])
    checked = command(".venv/bin/python -m geofence check campus.geojson", campus_geojson=campus)
    assert (checked.returncode, checked.stderr) == (0, "")
    assert "Example University (campus), version " in checked.stdout
    locate = ".venv/bin/python -m geofence locate 10.0015 50.0015 --campus campus.geojson"
    assert command(locate, campus_geojson=campus).stdout == "campus\nmain-hall\n"


def test_the_system_counts_who_is_in_a_building_of_it(system: System) -> None:
    [payload] = re.findall(r"^echo '(\{.*\})' \|$", PAGE, re.MULTILINE)
    publishing.single(
        "mobile-iotp", base64.b64encode(payload.encode()), qos=1, hostname="127.0.0.1", port=system.mqtt_port
    )

    def counted() -> Any:  # noqa: ANN401 - JSON
        answer = system.get("/v1/zones/main-hall/occupancy")
        return answer.json() if answer.status_code == 200 and answer.json()["mobile"] else None

    assert wait_for(counted, "the phone is counted in Main Hall")["mobile"] == 1
    zones = system.get("/v1/zones").json()["features"]
    assert [zone["id"] for zone in zones][:3] == ["campus", "main-hall", "bibliothek-am-grossen-weg"]
    assert "<html" in system.get("/").text
