"""Formats that GDAL reads, archives, and what is none of them."""

import gzip
import importlib
import io
import itertools
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely

from geofence.importing import extra, reading
from tests.geofence.importing.conftest import FIELD, Importer, area, square

ZONES = {"main-hall": ("Main Hall", "building", None), "lot-a": ("Lot A", "car_park", 120)}


def written(file: Path, driver: str, crs: str = "EPSG:4326") -> Path:
    """Three areas, as a map program writes them: upper-case columns, 120.0, nulls."""
    pyogrio: Any = importlib.import_module("pyogrio")
    boxes = [(10, 50, 10.02, 50.02), (10.001, 50.001, 10.002, 50.002), (10.004, 50.001, 10.005, 50.002)]
    shapes = [shapely.box(*corners) for corners in boxes]
    if crs != "EPSG:4326":
        project = importlib.import_module("pyproj").Transformer.from_crs("OGC:CRS84", crs, always_xy=True)
        shapes = [
            shapely.transform(shape, lambda pairs: np.column_stack(project.transform(pairs[:, 0], pairs[:, 1])))
            for shape in shapes
        ]
    columns = [
        np.array(["Campus boundary", "Main Hall", "Lot A"], dtype=object),
        np.array(["Boundary", "Building", "Parking Lot"], dtype=object),
        np.array([np.nan, np.nan, 120.0]),
    ]
    pyogrio.raw.write(
        file,
        np.array([shapely.to_wkb(shape) for shape in shapes], dtype=object),
        columns,
        ["NAME", "TYPE", "CAPACITY"],
        geometry_type="Polygon",
        crs=crs,
        driver=driver,
    )
    return file


@pytest.mark.parametrize(
    ("name", "driver"),
    [("c.shp", "ESRI Shapefile"), ("c.gpkg", "GPKG"), ("c.kml", "LIBKML"), ("c.kmz", "LIBKML")],
)
def test_what_map_programs_write_becomes_a_campus(importing: Importer, name: str, driver: str) -> None:
    imported = importing.files(written(importing.folder / name, driver))
    assert imported.zones == ZONES
    assert imported.campus.boundary.name == "Campus boundary"
    assert "The outline: the file says so." in imported.output


@pytest.mark.parametrize(("name", "driver"), [("c.shp", "ESRI Shapefile"), ("c.gpkg", "GPKG")])
def test_metres_of_a_grid_become_degrees(importing: Importer, name: str, driver: str) -> None:
    campus = importing.files(written(importing.folder / name, driver, crs="EPSG:25832")).campus
    assert campus.boundary.geometry.bounds == pytest.approx((10, 50, 10.02, 50.02), abs=1e-6)


def test_a_zipped_shapefile_is_taken_whole(importing: Importer) -> None:
    written(importing.folder / "c.shp", "ESRI Shapefile")
    archive = importing.folder / "campus.zip"
    with zipfile.ZipFile(archive, "w") as packing:
        for ending in ("shp", "shx", "dbf", "prj", "cpg"):
            packing.write(importing.folder / f"c.{ending}", f"export/c.{ending}")
        packing.writestr("__MACOSX/export/._c.shp", b"x")
        packing.writestr("readme.txt", b"x")
    assert importing.files(archive).zones == ZONES


def test_a_shapefile_alone_has_areas_without_names(importing: Importer) -> None:
    file = written(importing.folder / "c.shp", "ESRI Shapefile")
    for ending in ("shx", "dbf", "prj", "cpg"):
        file.with_suffix(f".{ending}").unlink()
    imported = importing.files(file)
    assert list(imported.zones) == ["area-2", "area-3"]
    assert "The outline: it holds all else." in imported.output


def test_a_file_is_read_by_what_is_in_it_and_not_by_its_name(importing: Importer) -> None:
    file = written(importing.folder / "c.kml", "LIBKML")
    assert importing.files(file.rename(importing.folder / "export.geojson")).zones == ZONES


def test_folders_of_a_kml_file_are_read_all(importing: Importer) -> None:
    def placemark(name: str, west: float) -> str:
        places = " ".join(f"{x},{y},0" for x, y in square(west, 50.001)[0])
        return (
            f"<Placemark><name>{name}</name><Polygon><outerBoundaryIs><LinearRing><coordinates>{places}</coordinates>"
            "</LinearRing></outerBoundaryIs></Polygon></Placemark>"
        )

    kml = (
        '<?xml version="1.0" encoding="UTF-8"?><kml xmlns="http://www.opengis.net/kml/2.2"><Document>'
        f"<Folder><name>Buildings</name>{placemark('Hall', 10.001)}</Folder>"
        f"<Folder><name>Car parks</name>{placemark('North', 10.004)}"
        "<Placemark><name>Gate</name><Point><coordinates>10.003,50.003</coordinates></Point></Placemark></Folder>"
        "</Document></kml>"
    )
    imported = importing.data(kml.encode(), name="doc.kml")
    assert imported.zones == {"hall": ("Hall", "building", None), "north": ("North", "car_park", None)}
    assert "left out, no area: Point: 1 ('Gate'" in imported.output


def test_esri_json_is_taken(importing: Importer) -> None:
    feature = {
        "attributes": {"OBJECTID": 1, "NAME": "Evans Library"},
        "geometry": {"rings": [[[1113194, 6446275], [1113194, 6446400], [1113394, 6446400], [1113194, 6446275]]]},
    }
    imported = importing.content(
        {
            "displayFieldName": "NAME",
            "geometryType": "esriGeometryPolygon",
            "spatialReference": {"wkid": 102100, "latestWkid": 3857},
            "fields": [
                {"name": "OBJECTID", "type": "esriFieldTypeOID"},
                {"name": "NAME", "type": "esriFieldTypeString", "length": 80},
            ],
            "features": [feature],
        }
    )
    assert imported.zones == {"evans-library": ("Evans Library", None, None)}
    assert imported.campus.zones[0].geometry.bounds[0] == pytest.approx(10.0, abs=1e-4)


def test_gzip_is_unpacked(importing: Importer) -> None:
    packed = gzip.compress((FIELD / "extract.osm").read_bytes())
    assert len(importing.data(packed, name="extract.osm.gz").zones) == 7


def packed(**members: bytes) -> bytes:
    """A ZIP archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name.replace("__", "."), data)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "it is empty"),
        (b" \n", "it is empty"),
        (b"hello", "it is none of the formats that are read"),
        (b"<html><body/></html>", "it is a web page"),
        (b'<?xml version="1.0"?><gpx/>', "it is GPX, which has tracks and no areas"),
        (b"<other/>", "it is XML, and neither KML nor OpenStreetMap"),
        (b"%PDF-1.7", "it is a PDF"),
        (b"\x89PNG\r\n", "it is a picture"),
        (b'<!DOCTYPE kml [<!ENTITY a "b">]><kml/>', "it is XML, and neither KML nor OpenStreetMap"),
        (b'<!DOCTYPE osm SYSTEM "x"><osm version="0.6"></osm>', "it has a DOCTYPE"),
        (b'<osm version="0.6"><!DOCTYPE osm [<!ENTITY a "b">]></osm>', "it cannot be read as OpenStreetMap"),
        (b"<osm><node", "it cannot be read as OpenStreetMap"),
        (b"<osm></osm>", "nothing in it has a geometry"),
        (b"<kml><Document>", "it cannot be read"),
        (b"SQLite format 3\0rest", "it cannot be read"),
        (b"\x00\x00\x27\x0arest", "it cannot be read"),
        (b"\0\0\0\x0d\x0a\x09OSMHeader\x18\x7c", "it cannot be read"),
        (b"PK\x03\x04rest", "it is a ZIP archive that cannot be unpacked"),
        (b"\x1f\x8brest", "it is a gzip file that cannot be unpacked"),
        (packed(readme__txt=b"x"), "nothing that is packed in it is read here"),
        (packed(a__json=packed(b__json=b"{}")), "an archive is packed in it"),
        (gzip.compress(gzip.compress(b"{}", mtime=0), mtime=0), "an archive is packed in it"),
        (packed(**{f"a{number}__txt": b"" for number in range(1001)}), "more than 1,000 files are packed in it"),
    ],
    ids=itertools.count(),
)
def test_what_is_no_campus_is_told_what_it_is(importing: Importer, data: bytes, words: str) -> None:
    imported = importing.data(data, name="export.bin")
    assert imported.code == 1
    assert imported.output.startswith(f"{importing.folder / 'export.bin'}: ")
    assert words in imported.output
    assert len(imported.output.splitlines()) == 1


@pytest.mark.parametrize(
    "data", [b" " * 2001, gzip.compress(b" " * 2001, mtime=0), packed(a__json=b" " * 2001)], ids=itertools.count()
)
def test_what_is_too_large_packed_or_not_is_refused(
    importing: Importer, monkeypatch: pytest.MonkeyPatch, data: bytes
) -> None:
    monkeypatch.setattr(reading, "MAX_FILE_BYTES", 2000)
    assert "larger than 2,000 bytes" in importing.data(data).output


def test_openstreetmap_as_text_has_a_limit_of_its_own(importing: Importer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MAX_OSM_TEXT_BYTES", 1000)
    for name in ("extract.osm", "extract-skel.json"):
        assert "it is OpenStreetMap of more than 1,000 bytes" in importing.files(FIELD / name).output


def test_too_many_things_are_refused(importing: Importer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MAX_FOUND", 2)
    features = [area(square(10, 50), name=f"A{number}") for number in range(3)]
    assert "it has more than 2 things" in importing.features(*features).output


def test_a_library_that_is_not_installed_is_named_with_how_to_get_it(
    importing: Importer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(library: str) -> object:
        raise ImportError(library)

    monkeypatch.setattr(extra, "import_module", none)
    told = importing.files(FIELD / "extract.osm.pbf")
    assert told.code == 1
    assert "reading it takes pyogrio, which is not installed: make campus FILE=... installs it" in told.output
    assert list(importing.files(FIELD / "k01-overpass.geojson").zones) == ["main-hall", "way-1003"]


def test_the_campus_file_has_a_feature_a_line(importing: Importer) -> None:
    lines = importing.files(FIELD / "k03-bom.geojson").file.read_text(encoding="utf-8").splitlines()
    assert lines[0] == '{"type": "FeatureCollection", "features": ['
    assert json.loads(lines[1].removesuffix(","))["id"] == "campus"
    assert (json.loads(lines[2])["id"], lines[3]) == ("hall", "]}")
