"""`python -m geofence`, as it is typed."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from geofence.__main__ import app
from geofence.campus import DEFAULT_CAMPUS


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, arguments)
    return result.exit_code, result.output


def test_check_sums_up_the_zones_by_category() -> None:
    code, output = run("check", str(DEFAULT_CAMPUS))
    assert code == 0
    assert "University of Limerick (campus), version " in output
    assert "zones: 22" in output
    assert "car_park (4): car-park-east, car-park-main, car-park-north, car-park-west" in output


def test_check_says_what_is_wrong(tmp_path: Path) -> None:
    file = tmp_path / "bad.geojson"
    file.write_text("{}", encoding="utf-8")
    assert run("check", str(file)) == (
        1,
        f"{file}: not GeoJSON: it is not a GeoJSON FeatureCollection: export it as one\n",
    )


def test_locate_takes_a_negative_longitude() -> None:
    assert run("locate", "-8.57", "52.675") == (0, "campus\n")
    assert run("locate", "--", "-8.57", "52.675") == (0, "campus\n")


def test_locate_names_the_campus_and_the_zones(tmp_path: Path) -> None:
    file = tmp_path / "copy.geojson"
    file.write_bytes(DEFAULT_CAMPUS.read_bytes())
    assert run("locate", "-8.5755", "52.672", "--campus", str(file)) == (0, "campus\ncar-park-west\n")


def test_locate_outside_the_campus_says_so() -> None:
    assert run("locate", "8.57", "-52.675") == (1, "outside the campus\n")


@pytest.mark.parametrize("place", [("-181", "0"), ("0", "91"), ("52.67", "-98.57"), ("nan", "0"), ("west", "0")])
def test_locate_refuses_what_is_no_place(place: tuple[str, str]) -> None:
    code, output = run("locate", *place)
    assert code == 2
    assert "Invalid value" in output
