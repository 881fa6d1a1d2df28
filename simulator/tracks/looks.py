"""What a file is by what is in it, whatever its name says."""

import re
from enum import Enum, auto

from simulator.fix import BadTrackError
from simulator.tracks.nmea import SENTENCE
from simulator.tracks.texts import text_of
from simulator.tracks.xml import root_of

READ = "GPX, KML, KMZ, TCX, FIT, GeoLife PLT, CSV, NMEA, OwnTracks .rec, Google Timeline and GeoJSON"
HEAD_BYTES = 65_536
"""So much of a file is looked at."""


class Looks(Enum):
    """What is read, and what it is packed in."""

    GPX = auto()
    KML = auto()
    TCX = auto()
    FIT = auto()
    PLT = auto()
    CSV = auto()
    NMEA = auto()
    REC = auto()
    TIMELINE = auto()
    GEOJSON = auto()
    GZIP = auto()
    ZIP = auto()


_BEGINNINGS: tuple[tuple[int, bytes, Looks | str], ...] = (
    (0, b"\x1f\x8b", Looks.GZIP),
    (0, b"PK\x03\x04", Looks.ZIP),
    (0, b"PK\x05\x06", Looks.ZIP),
    (8, b".FIT", Looks.FIT),
    (0, b"\xff\xd8\xff", "a JPEG picture"),
    (0, b"\x89PNG", "a PNG picture"),
    (0, b"GIF8", "a GIF picture"),
    (4, b"ftyp", "a film, or a picture of a phone"),
    (0, b"%PDF", "a PDF"),
    (0, b"SQLite format 3\0", "an SQLite database"),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "a Word or Excel file of old"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive: unpack it"),
    (0, b"Rar!", "a RAR archive: unpack it"),
    (0, b"BZh", "a bzip2 file: unpack it"),
    (0, b"\xfd7zXZ\0", "an xz file: unpack it"),
    (0, b"\x28\xb5\x2f\xfd", "a Zstandard file: unpack it"),
    (257, b"ustar", "a tar archive: unpack it, and name the folder"),
    (0, b"\x7fELF", "a program"),
    (0, b"MZ", "a program"),
)
_ROOTS: dict[str, Looks | str] = {
    "gpx": Looks.GPX,
    "kml": Looks.KML,
    "trainingcenterdatabase": Looks.TCX,
    "html": "a web page, as of a site where one must log in",
    "svg": "a drawing",
    "osm": "OpenStreetMap's XML, a map",
    "featurecollection": "GML, a map",
}
_TIMELINE = ("locations", "timelineObjects", "semanticSegments", "rawSignals")
_GEOJSON = ("Feature", "FeatureCollection", "Point", "LineString", "Polygon", "MultiPolygon")
_LINES = (
    (re.compile(r"(?:Geolife trajectory|OziExplorer Track)", re.IGNORECASE), Looks.PLT),
    (re.compile(r'[^\n{]*\{[^\n]*"_type"'), Looks.REC),
)
"""First lines."""
_OTHER_JSON = "JSON, and neither GeoJSON nor Google Timeline nor OwnTracks"
_PRINTABLE = 0.9
"""Of the characters of what is text, at the least."""


def looks_like(data: bytes) -> Looks:
    """What is read, and how. Raises BadTrackError, which says what a file that is none of these looks like."""
    if not data.strip():
        raise BadTrackError("it is empty")
    looks = _by_first_bytes(data) or _by_text(data[:HEAD_BYTES])
    if isinstance(looks, Looks):
        return looks
    raise BadTrackError(f"it is {looks}. What is read: {READ} (docs/tracks.md)")


def _by_first_bytes(data: bytes) -> Looks | str | None:
    return next((looks for start, beginning, looks in _BEGINNINGS if data.startswith(beginning, start)), None)


def _by_text(data: bytes) -> Looks | str:
    head = text_of(data).lstrip()
    if head.startswith("<"):
        return _ROOTS.get(root_of(data).lower(), "XML, and neither GPX nor KML nor TCX")
    if SENTENCE.search(data):
        return Looks.NMEA
    for pattern, looks in _LINES:
        if pattern.match(head):
            return looks
    return _json(head) if head.startswith(("{", "[")) else _text(head)


def _json(head: str) -> Looks | str:
    """By the names of members in its beginning, which need not be the whole of it."""
    if head.startswith("["):
        return Looks.TIMELINE if re.search(r'"(?:visit|activity|timelinePath|timelineMemory)"', head) else _OTHER_JSON
    first = min(
        (
            (place, looks)
            for looks, names in ((Looks.TIMELINE, _TIMELINE), (Looks.GEOJSON, _GEOJSON))
            for name in names
            if (place := head.find(f'"{name}"')) >= 0
        ),
        default=(0, _OTHER_JSON),
    )
    return first[1]


def _text(head: str) -> Looks | str:
    sample = head[:1000]
    if sum(character.isprintable() or character in "\r\n\t" for character in sample) < _PRINTABLE * len(sample):
        return "a file of bytes that nothing here knows"
    first = head.partition("\n")[0]
    if any(delimiter in first for delimiter in ",;\t|"):
        return Looks.CSV
    return f"text that begins with {first.strip()[:40]!r}"
