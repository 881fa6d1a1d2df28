"""What a file looks like by its first bytes, whatever its name says."""

import json
import re
from enum import Enum

HEAD_BYTES = 65_536
"""So much of a file is looked at."""
_BEFORE_ROOT = re.compile(r"(?:<\?[^>]*>|<!--.*?-->|<!DOCTYPE[^>\[]*>|\s+)*", re.DOTALL)
_ROOT = re.compile(r"<(?:[\w.-]+:)?([\w.-]+)")
_PBF_HEADER = b"\x0a\x09OSMHeader"
"""The first blob of a PBF file: field 1, nine bytes; the length of the header stands before it in four bytes."""


class Looks(Enum):
    """What campuses are drawn and kept in; the value is how a sentence calls it."""

    GEOJSON = "GeoJSON"
    GEOJSON_LINES = "newline-delimited GeoJSON"
    OVERPASS_JSON = "Overpass JSON"
    ESRI_JSON = "Esri JSON"
    TOPOJSON = "TopoJSON"
    OSM_XML = "OpenStreetMap XML"
    OSM_PBF = "OpenStreetMap PBF"
    KML = "KML"
    ZIP = "a ZIP archive, as KMZ and zipped Shapefiles are"
    SHAPEFILE = "a Shapefile"
    GEOPACKAGE = "a GeoPackage"
    GZIP = "a gzip file"


_BEGINNINGS: tuple[tuple[bytes, Looks | str], ...] = (
    (b"SQLite format 3\0", Looks.GEOPACKAGE),
    (b"PK\x03\x04", Looks.ZIP),
    (b"PK\x05\x06", Looks.ZIP),
    (b"\x00\x00\x27\x0a", Looks.SHAPEFILE),
    (b"\x1f\x8b", Looks.GZIP),
    (b"%PDF", "a PDF"),
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
)
_ROOTS: dict[str, Looks | str] = {
    "kml": Looks.KML,
    "osm": Looks.OSM_XML,
    "gpx": "GPX, which has tracks and no areas",
    "html": "a web page",
    "svg": "a drawing, without places on the earth",
    "FeatureCollection": "GML",
}


def looks_like(data: bytes) -> Looks | str | None:
    """What a file is by its first bytes; a text that names what nothing here reads; None: JSON, or nobody knows."""
    for beginning, looks in _BEGINNINGS:
        if data.startswith(beginning):
            return looks
    if data[4 : 4 + len(_PBF_HEADER)] == _PBF_HEADER:
        return Looks.OSM_PBF
    begin = _text(data[:HEAD_BYTES]).lstrip()
    if begin.startswith("<"):
        before = _BEFORE_ROOT.match(begin)
        root = _ROOT.match(begin, before.end() if before else 0)
        return _ROOTS.get(root[1] if root else "", "XML, and neither KML nor OpenStreetMap")
    return None


def json_looks_like(content: object) -> Looks:
    """Which JSON it is, once it is read; GeoJSON where it is none of the others."""
    if isinstance(content, dict):
        if isinstance(content.get("elements"), list):
            return Looks.OVERPASS_JSON
        if content.get("type") == "Topology":
            return Looks.TOPOJSON
        if content.get("type") is None and ("geometryType" in content or "spatialReference" in content):
            return Looks.ESRI_JSON
    return Looks.GEOJSON


def has_a_feature_a_line(data: bytes) -> bool:
    """Whether it is one JSON text a line, or GeoJSON text sequences (RFC 8142): its first line is whole."""
    begin = _text(data).lstrip("\x1e \t\r\n")
    first, _, rest = begin.partition("\n")
    try:
        return isinstance(json.loads(first), dict) and rest.lstrip("\x1e \t\r\n").startswith("{")
    except (ValueError, RecursionError):
        return False


def _text(head: bytes) -> str:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return head.decode("utf-16", errors="replace")
    return head.removeprefix(b"\xef\xbb\xbf").decode("utf-8", errors="replace")
