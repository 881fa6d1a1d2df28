"""What people see and are asked: the table, the picture, the questions."""

import re
from xml.etree import ElementTree as ET

from geofence.importing.picture import page
from tests.geofence.importing.conftest import FIELD, Importer, area, square


def test_the_table_is_in_columns(importing: Importer) -> None:
    assert importing.files(FIELD / "k01-overpass.geojson").output.splitlines()[:4] == [
        "id         name                category  capacity         m²",
        "campus     Example University  outline          -  3,178,679",
        "main-hall  Main Hall           building         -      7,948",
        "way-1003   Car park way/1003   car_park       120      7,948",
    ]


def test_a_long_table_is_cut_off_and_says_so(importing: Importer) -> None:
    zones = [area(square(10 + number * 1e-3, 50, 5e-4), name=f"Zone {number}") for number in range(210)]
    lines = importing.features(*zones).output.splitlines()
    assert lines[201] == "and 11 more, which are in the file"


def test_the_picture_is_beside_the_campus_and_loads_nothing(importing: Importer) -> None:
    evil = '<script>alert("x")</script> & Söhne'
    imported = importing.features(
        area(square(10, 50, 0.02), role="boundary", name="Campus"), area(square(10.001, 50.001), name=evil)
    )
    drawn = imported.file.with_suffix(".html").read_text(encoding="utf-8")
    assert f"{imported.file.with_suffix('.html')}: what it looks like" in imported.output
    assert "<script" not in drawn
    assert re.findall(r"(?:src|xlink:href|url)\s*[=(]", drawn) == []
    assert "https://www.openstreetmap.org/?mlat=50.01000&amp;mlon=10.01000" in drawn
    assert "&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt; &amp; Söhne" in drawn


def test_the_drawing_has_a_shape_and_a_label_for_each_zone(importing: Importer) -> None:
    drawn = page(importing.files(FIELD / "extract.osm").campus, "so")
    svg = ET.fromstring(re.search(r"<svg.*</svg>", drawn, re.DOTALL)[0])  # type: ignore[index]  # noqa: S314
    assert len(svg.findall("path")) == 8
    assert svg.findtext("text") == "Playing field"
    assert {path.findtext("title") for path in svg.findall("path")} >= {"Main Hall (main-hall)", None}
    _, _, width, height = (float(part) for part in svg.attrib["viewBox"].split())
    numbers = [float(number) for path in svg.findall("path") for number in re.findall(r"[\d.]+", path.attrib["d"])]
    assert max(numbers) <= max(width, height)
    assert min(numbers) >= 0


def test_a_campus_across_180_degrees_is_drawn_in_one_piece(importing: Importer) -> None:
    crossing = [[[179.999, -17], [-179.999, -17], [-179.999, -16.999], [179.999, -16.999], [179.999, -17]]]
    drawn = page(importing.features(area(crossing, name="Hall")).campus, "so")
    size = re.search(r'viewBox="0 0 (\d+) (\d+)"', drawn)
    assert size is not None
    assert (int(size[1]), 400 < int(size[2]) < 900) == (1000, True)


def test_somebody_is_asked_what_no_file_says(importing: Importer) -> None:
    answers = "7\n1\nOur site\nmany\n90\n\n"
    imported = importing.features(
        area(square(10, 50, 0.01), name="Big field"),
        area(square(10.001, 50.001), name="Hall", building="yes"),
        area(square(10.003, 50.001), name="North", amenity="parking"),
        area(square(10.005, 50.001), name="South", amenity="parking"),
        area(square(10.011, 50.001), name="Lab", building="yes"),
        options=("--interactive",),
        typed=answers,
    )
    assert "  1  'Big field' (number 1 of export.geojson)" in imported.output
    assert "A number from 0 to 3" in imported.output
    assert "A whole number, or nothing" in imported.output
    assert imported.campus.boundary.name == "Our site"
    assert imported.zones == {
        "hall": ("Hall", "building", None),
        "north": ("North", "car_park", 90),
        "south": ("South", "car_park", None),
    }


def test_the_reference_system_is_asked_for_where_the_file_does_not_say_it(importing: Importer) -> None:
    metres = [[[1113194, 6446275], [1113394, 6446275], [1113394, 6446400], [1113194, 6446275]]]
    imported = importing.features(
        area(metres, name="Hall"), options=("--interactive", "--name", "Ours"), typed="EPSG:3857\n0\n"
    )
    assert list(imported.zones) == ["hall"]
    assert imported.campus.boundary.name == "Ours"


def test_who_says_nothing_ends_it(importing: Importer) -> None:
    imported = importing.features(area(square(10, 50), name="Hall"), options=("--interactive",), typed="")
    assert imported.code == 1
    assert "Aborted" in imported.output
