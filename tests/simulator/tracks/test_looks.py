"""A file that is none of the tracks that are read is told what it looks like."""

import json
import zipfile
from io import BytesIO

import pytest

from tests.simulator.recordings import gpx, walk
from tests.simulator.tracks.conftest import Refusal


def archive(*names: str) -> bytes:
    data = BytesIO()
    with zipfile.ZipFile(data, "w") as written:
        for name in names:
            written.writestr(name, "<x/>")
    return data.getvalue()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "it is empty"),
        (b" \n\t", "it is empty"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF", "it is a JPEG picture"),
        (b"\x89PNG\r\n\x1a\n", "it is a PNG picture"),
        (b"\x00\x00\x00\x18ftypheic", "it is a film, or a picture of a phone"),
        (b"%PDF-1.7", "it is a PDF"),
        (b"SQLite format 3\0" + bytes(100), "it is an SQLite database"),
        (b"7z\xbc\xaf\x27\x1c", "it is a 7z archive: unpack it"),
        (bytes(257) + b"ustar\x00", "it is a tar archive: unpack it, and name the folder"),
        (archive("[Content_Types].xml", "word/document.xml"), "it is a document or a program, packed as ZIP archives"),
        (b"<!DOCTYPE html>\n<html><head>", "it is a web page"),
        (b"<HTML>", "it is a web page"),
        (b'<?xml version="1.0"?><osm version="0.6"/>', "it is OpenStreetMap's XML, a map"),
        (b'<?xml version="1.0"?><svg/>', "it is a drawing"),
        (b'<?xml version="1.0"?><soap:Envelope/>', "it is XML, and neither GPX nor KML nor TCX"),
        (b"<<<<", "it is XML, and neither GPX nor KML nor TCX"),
        (b'{"name": "x"}', "it is JSON, and neither GeoJSON nor Google Timeline nor OwnTracks"),
        (b"[1, 2, 3]", "it is JSON, and neither GeoJSON nor Google Timeline nor OwnTracks"),
        (b"Dear all,\nno track today.", "CSV without a column for latitude and longitude and time"),
        (b"Hello\nworld", "it is text that begins with 'Hello'"),
        (bytes(range(1, 30)) * 9, "it is a file of bytes that nothing here knows"),
    ],
)  # fmt: skip
def test_a_file_that_is_none_of_these_is_told_what_it_looks_like(refused: Refusal, content: bytes, words: str) -> None:
    said = refused(content)

    assert said.startswith(words)
    assert said.isprintable()


def test_what_is_read_is_named(refused: Refusal) -> None:
    assert refused(b"%PDF-1.7") == (
        "it is a PDF. What is read: GPX, KML, KMZ, TCX, FIT, GeoLife PLT, CSV, NMEA, OwnTracks .rec, Google Timeline "
        "and GeoJSON (docs/tracks.md)"
    )


def test_a_map_in_geojson_is_told_what_is_missing(refused: Refusal) -> None:
    campus = {"type": "FeatureCollection", "features": [{"type": "Feature", "geometry": {"type": "Polygon"}}]}

    assert "Polygon" in refused(json.dumps(campus))


def test_what_a_sentence_quotes_of_a_file_cannot_speak_to_a_terminal(refused: Refusal) -> None:
    for content in (
        b"a long line and \x1b[2J",
        b"a header \x1b[2J,b\n1,2\n",
        b"lat,lon,time\n\x1b[2J,2,1550480460\n",
        gpx(walk(1)).replace("52.67", "\u202e[2J").encode(),
    ):
        said = refused(content)
        assert "[2J" in said
        assert said.isprintable()
