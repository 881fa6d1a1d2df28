"""What is packed, and folders of files: each file is a device, and nothing of it is silently left out."""

import gzip
import os
import time
import tracemalloc
import zipfile
import zlib
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path

import pytest

from simulator import tracks
from simulator.fix import BadTrackError
from simulator.tracks import read_tracks, track
from tests.simulator.recordings import gpx, only_track, recorded, walk
from tests.simulator.tracks.conftest import Reader, Refusal
from tests.simulator.tracks.test_kml import kml, track_of

GPX = gpx(walk(3)).encode()
EMPTY = b'<gpx version="1.1"/>'


def archive(members: Mapping[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    data = BytesIO()
    with zipfile.ZipFile(data, "w", compression) as written:
        for name, content in members.items():
            written.writestr(name, content)
    return data.getvalue()


def names_and_sizes(path: Path) -> list[tuple[str, int]]:
    return [(track.name, len(track.fixes)) for track in read_tracks(path).tracks]


@pytest.mark.parametrize(
    "content", [gzip.compress(GPX, mtime=0), gzip.compress(GPX[:100], mtime=0) + gzip.compress(GPX[100:], mtime=0)]
)
def test_a_gzip_file_is_named_without_both_endings(tmp_path: Path, content: bytes) -> None:
    track = only_track(recorded(tmp_path, content, "bus 304.gpx.gz"))

    assert (track.name, track.fixes) == ("bus 304", walk(3))


def test_a_kmz_is_named_as_the_archive_is(tmp_path: Path) -> None:
    content = archive({"doc.kml": kml(track_of(walk(2))).encode()})

    assert names_and_sizes(recorded(tmp_path, content, "walk.kmz")) == [("walk", 2)]


def test_the_files_of_an_archive_are_devices_in_the_order_of_their_names(tmp_path: Path) -> None:
    members = {"b/walk.gpx": GPX, "a/walk.gpx": GPX, "A walk.gpx.gz": gzip.compress(GPX, mtime=0), "walk-2.gpx": GPX}

    assert [name for name, _ in names_and_sizes(recorded(tmp_path, archive(members), "all.zip"))] == [
        "A walk", "walk", "walk-2", "walk-2-2",
    ]  # fmt: skip


def test_the_files_of_a_folder_and_of_folders_in_it_are_devices(tmp_path: Path) -> None:
    (tmp_path / "older").mkdir()
    for name, content in {
        "b.gpx": GPX,
        "a.gpx": GPX,
        "older/a.gpx": GPX,
        "örtchen.kmz": archive({"doc.kml": kml(track_of(walk(2))).encode()}),
        "z.zip": archive({"one.gpx": GPX, "two.kmz": archive({"doc.kml": kml(track_of(walk(1))).encode()})}),
    }.items():
        (tmp_path / name).write_bytes(content)

    assert names_and_sizes(tmp_path) == [("a", 3), ("b", 3), ("a-2", 3), ("one", 3), ("two", 1), ("örtchen", 2)]


def test_files_that_are_no_tracks_are_left_out_and_that_is_said(tmp_path: Path) -> None:
    recorded(tmp_path, GPX, "a.gpx")
    recorded(tmp_path, b"\xff\xd8\xff", "photo.jpg")
    recorded(tmp_path, EMPTY, "empty.gpx")
    recorded(tmp_path, archive({"b.gpx": GPX, "notes.txt": b"Hello"}), "z.zip")
    recorded(tmp_path, gzip.compress(GPX, mtime=0)[:-9], "cut.gz")

    recording = read_tracks(tmp_path)

    assert [track.name for track in recording.tracks] == ["a", "b"]
    assert [said.partition(". What is read")[0] for said in recording.left_out] == [
        "cut.gz: a gzip file that is cut off: copy it again",
        "empty.gpx: no point in it",
        "photo.jpg: it is a JPEG picture",
        "z.zip:notes.txt: it is text that begins with 'Hello'",
    ]


def test_files_of_the_system_are_passed_over(tmp_path: Path) -> None:
    members = {"a.gpx": GPX, "__MACOSX/._a.gpx": b"\0\5\x16\7", ".DS_Store": b"\0\0\0\1Bud1", "empty/": b""}
    recorded(tmp_path, archive(members), "z.zip")
    recorded(tmp_path, b"\0\0\0\1Bud1", ".DS_Store")
    (tmp_path / ".git").mkdir()
    recorded(tmp_path / ".git", b"x", "HEAD")

    recording = read_tracks(tmp_path)

    assert ([track.name for track in recording.tracks], recording.left_out) == (["a"], [])


def test_a_pipe_in_a_folder_is_not_waited_for(tmp_path: Path) -> None:
    recorded(tmp_path, GPX, "a.gpx")
    os.mkfifo(tmp_path / "pipe")

    assert names_and_sizes(tmp_path) == [("a", 3)]


@pytest.mark.parametrize(
    ("name", "device"),
    [
        ("x" * 140 + ".gpx", "x" * 128),
        (".gpx", ".gpx"),
        (" .gpx", "track"),
        ("2019.02.18 walk.gpx", "2019.02.18 walk"),
        ("\x1b[2Jwalk.gpx", "\ufffd[2Jwalk"),
        (os.fsdecode(b"stra\xdfe.gpx"), "stra�e"),
    ],
)
def test_a_name_is_one_that_can_be_sent(tmp_path: Path, name: str, device: str) -> None:
    path = tmp_path / "folder"
    path.mkdir()
    track = only_track(recorded(path, GPX, name))

    assert track.name == device
    track.name.encode()


def test_names_that_are_cut_stay_apart(tmp_path: Path) -> None:
    for number in range(3):
        recorded(tmp_path, GPX, "x" * 130 + f"{number}.gpx")

    assert [name for name, _ in names_and_sizes(tmp_path)] == ["x" * 128, "x" * 126 + "-2", "x" * 126 + "-3"]


def test_a_folder_without_a_track_says_what_is_in_it(tmp_path: Path) -> None:
    with pytest.raises(BadTrackError, match="no file in the folder"):
        read_tracks(tmp_path)
    recorded(tmp_path, EMPTY, "a.gpx")
    recorded(tmp_path, EMPTY, "b.gpx")
    with pytest.raises(BadTrackError) as refused:
        read_tracks(tmp_path)
    assert str(refused.value) == (f"{tmp_path}: none of the files in it is a track: a.gpx: no point in it, and 1 more")


def test_what_is_not_there_or_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadTrackError, match=r"nowhere\.gpx: No such file"):
        read_tracks(tmp_path / "nowhere.gpx")


MB_50 = 50_000_000


def bomb() -> bytes:
    """51 MB of zeros in 50 kB."""
    packing = zlib.compressobj(9, wbits=31)
    return b"".join([*(packing.compress(bytes(1 << 20)) for _ in range(51)), packing.flush()])


def test_a_gzip_bomb_is_refused_before_it_has_grown(refused: Refusal) -> None:
    data = bomb()
    tracemalloc.start()
    try:
        assert refused(data) == "what is packed in it is larger than 50 MB"
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 2.5 * MB_50


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_zip_bomb_that_is_packed_in_another_way_is_refused_before_it_has_grown(
    refused: Refusal, compression: int
) -> None:
    data = archive({"a.gpx": bytes(60_000_000)}, compression)
    tracemalloc.start()
    try:
        assert refused(data) == "it is packed in a way that is not read: pack it as usual (deflate)"
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 1.1 * MB_50


def test_a_gzip_file_of_very_many_parts_takes_no_longer_than_its_size_asks_for(read: Reader, refused: Refusal) -> None:
    def seconds(parts: int) -> float:
        data = gzip.compress(b"", mtime=0) * parts
        begun = time.process_time()
        assert refused(data) == "it is empty"
        return time.process_time() - begun

    # Eight times as many: 64 times as long where the rest is copied for each.
    assert seconds(400_000) < 24 * seconds(50_000)
    assert len(read(gzip.compress(b"", mtime=0) * 1000 + gzip.compress(GPX, mtime=0)).fixes) == 3


def test_a_zip_bomb_is_refused_and_one_of_many_files_too(refused: Refusal) -> None:
    half = bytes(26_000_000)

    assert refused(archive({"a": half, "b": half})) == "what is packed in it is larger than 50 MB"
    assert refused(archive({f"{number}": b"x" for number in range(1001)})).startswith("more than 1,000 files")


def test_archives_in_one_another_are_opened_three_deep(refused: Refusal, tmp_path: Path) -> None:
    content = GPX
    for _ in range(3):
        content = archive({"a.gpx": content})
    assert names_and_sizes(recorded(tmp_path, content, "a.zip")) == [("a", 3)]
    assert "archives are packed in one another" in refused(archive({"a.zip": content}))


def test_a_file_that_is_too_large_is_refused(refused: Refusal) -> None:
    assert refused(b" " * (MB_50 + 1)) == "larger than 50 MB: split it (docs/tracks.md)"


def test_a_folder_of_too_many_files_is_refused(tmp_path: Path) -> None:
    for number in range(1001):
        (tmp_path / f"{number}").touch()

    with pytest.raises(BadTrackError, match="more than 1,000 files in the folder"):
        read_tracks(tmp_path)


def test_a_file_of_too_many_points_is_refused(refused: Refusal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(track, "MAX_FIXES", 1000)
    row, timeless = "1,1,2000000000\n", "1,1,\n" * 10_001

    assert refused(f"lat,lon,time\n{row * 1001}") == "more than 1,000 rows: split it"
    assert refused(f"lat,lon,time\n{timeless}") == "more than 10,000 rows: split it"


def test_files_of_too_many_points_together_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracks, "MAX_FIXES", 5)
    for name in ("a.gpx", "b.gpx"):
        recorded(tmp_path, GPX, name)

    with pytest.raises(BadTrackError, match="more than 5 points: take fewer files"):
        read_tracks(tmp_path)


@pytest.mark.parametrize("name", ["../../up.gpx", "/etc/up.gpx", "c:\\up.gpx"])
def test_nothing_is_written_wherever_a_member_says_that_it_belongs(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "one" / "two"
    folder.mkdir(parents=True)
    path = recorded(folder, archive({name: GPX}), "a.zip")

    assert len(only_track(path).fixes) == 3
    assert [file for file in tmp_path.rglob("*") if file.is_file()] == [path]


def test_a_zip_archive_that_is_encrypted_or_damaged_says_so(refused: Refusal) -> None:
    whole = archive({"a.gpx": GPX})
    encrypted = whole.replace(b"PK\3\4\x14\0\0\0", b"PK\3\4\x14\0\1\0").replace(b"\x14\0\0\0\x08", b"\x14\0\1\0\x08")

    assert "encrypted" in refused(encrypted)
    assert refused(whole[:-30]).startswith("a ZIP archive that cannot be unpacked: ")
