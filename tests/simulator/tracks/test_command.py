"""`replay` of recordings: what is sent, and what is said."""

import base64
import json
import re
import shlex
import shutil
from pathlib import Path

import pytest

from simulator.replay import merged
from simulator.tracks import Track
from tests.simulator.fit_files import fit
from tests.simulator.mqtt_server import MqttServer, mqtt_server
from tests.simulator.recordings import gpx, recorded, walk
from tests.simulator.test_replay import command
from tests.simulator.tracks.test_field import FIELD, TAKEN
from tests.simulator.tracks.test_kml import kml, track_of
from tests.simulator.tracks.test_opening import archive
from tests.simulator.tracks.test_tcx import point, tcx

DOCS = Path(__file__).parents[3] / "docs" / "tracks.md"


def sent(server: MqttServer) -> list[tuple[str, str]]:
    """The device and the time of each message, in the order in which they came."""
    features = [json.loads(base64.b64decode(payload, validate=True)) for _, payload in server.received]
    return [(feature["properties"]["device_id"], feature["properties"]["timestamp"]) for feature in features]


def test_all_files_of_the_field_in_one_folder_are_as_many_devices(tmp_path: Path) -> None:
    folder = tmp_path / "field"
    shutil.copytree(FIELD, folder)
    with mqtt_server() as server:
        process = command(str(folder), "--kind", "mobile", port=server.port)
        output, errors = process.communicate()

    expected = {name.rpartition(".")[0]: len(fixes) for name, fixes in TAKEN}
    devices = [device for device, _ in sent(server)]
    assert process.returncode == 0
    assert re.match(f"sent {sum(expected.values())}, acknowledged {sum(expected.values())} in ", output)
    assert {device: devices.count(device) for device in devices} == expected
    said = errors.splitlines()
    assert "t10-waypoints: it has no track: its waypoints are used" in said
    assert "left out: t13-empty.gpx: no point in it" in said
    assert len(said) == 2 + 9


def test_tracks_of_several_devices_are_sent_by_time(tmp_path: Path) -> None:
    first, second, third = walk(3)
    recorded(tmp_path, gpx([first, third]), "a.gpx")
    recorded(tmp_path, gpx([second]), "b.gpx")
    with mqtt_server() as server:
        command(str(tmp_path), port=server.port).communicate()

    assert sent(server) == [
        ("a", "2019-02-18T08:58:05Z"),
        ("b", "2019-02-18T08:58:06Z"),
        ("a", "2019-02-18T08:58:07Z"),
    ]


def test_a_track_by_itself_keeps_the_order_of_its_file() -> None:
    first, second, third = walk(3)

    assert [fix.at_ms for fix in merged([Track("a", [third, first, second])])] == [
        third.at_ms,
        first.at_ms,
        second.at_ms,
    ]


def test_one_device_for_several_tracks_is_refused(tmp_path: Path) -> None:
    for name in ("a.gpx", "b.gpx"):
        recorded(tmp_path, gpx(walk(1)), name)
    process = command(str(tmp_path), "--device", "bus", port=1)
    output, errors = process.communicate()

    assert (process.returncode, output) == (2, "")
    assert "there are 2 tracks, each of a device" in errors


def test_a_file_that_is_no_track_is_refused_with_one_line(tmp_path: Path) -> None:
    process = command(str(recorded(tmp_path, b"%PDF-1.7", "map.pdf")), port=1)
    output, errors = process.communicate()

    assert (process.returncode, output) == (1, "")
    assert errors.startswith(f"{tmp_path}/map.pdf: it is a PDF. What is read: GPX, KML, ")
    assert len(errors.splitlines()) == 1


def test_of_many_that_are_left_out_the_first_twenty_are_named(tmp_path: Path) -> None:
    recorded(tmp_path, gpx(walk(1)), "a.gpx")
    for number in range(30):
        recorded(tmp_path, b"\xff\xd8\xff", f"p{number:02d}.jpg")
    with mqtt_server() as server:
        _, errors = command(str(tmp_path), port=server.port).communicate()

    lines = errors.splitlines()
    assert lines[0].startswith("left out: p00.jpg: it is a JPEG picture")
    assert (len(lines), lines[-1]) == (21, "and 10 more")


GPX = gpx(walk(2)).encode()
NAMED_IN_THE_DOCS = {
    "morning.gpx": GPX,
    "morning.kmz": archive({"doc.kml": kml(track_of(walk(2))).encode()}),
    "activity.tcx": tcx("".join(map(point, walk(2)))).encode(),
    "activity.fit": fit(walk(2)),
    "log.nmea": (FIELD / "t21.nmea").read_bytes(),
    "points.csv": (FIELD / "t20.csv").read_bytes(),
    "track.geojson": (FIELD / "t26-gpslogger.geojson").read_bytes(),
    "2019-02.rec": (FIELD / "t22.rec").read_bytes(),
    "Records.json": (FIELD / "t23-timeline.json").read_bytes(),
    "20081023025304.plt": (FIELD / "t16-geolife.plt").read_bytes(),
    "january.zip": archive({"a.gpx": GPX, "b.gpx": GPX}),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, content in NAMED_IN_THE_DOCS.items():
        recorded(tmp_path, content, name)
    (tmp_path / "walks").mkdir()
    recorded(tmp_path / "walks", GPX, "a.gpx")
    return tmp_path


def commands_of_the_docs() -> list[str]:
    return sorted(set(re.findall(r"make replay (FILE=[^`\n]*)", DOCS.read_text(encoding="utf-8"))))


@pytest.mark.parametrize("line", commands_of_the_docs())
def test_what_the_docs_say_to_type_replays(folder: Path, line: str) -> None:
    given = dict(word.split("=", 1) for word in shlex.split(line))
    options = [word for name in ("KIND", "SPEED") if name in given for word in (f"--{name.lower()}", given[name])]
    with mqtt_server() as server:
        process = command(str(folder / given["FILE"]), *options, port=server.port)
        output, errors = process.communicate()

    assert process.returncode == 0, errors
    assert re.match(r"sent [1-9]", output)
    assert server.received


def test_the_docs_name_each_format() -> None:
    assert {dict(word.split("=", 1) for word in shlex.split(line))["FILE"] for line in commands_of_the_docs()} == {
        *NAMED_IN_THE_DOCS,
        "walks",
    }
