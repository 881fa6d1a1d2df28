"""Files, what is packed in them, and folders of them; each with a bound, and nothing is written anywhere."""

import io
import os
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from simulator.fix import BadTrackError
from simulator.tracks.looks import Looks, looks_like

MAX_BYTES = 50_000_000
"""Of a file, and of all that is packed in one. Five days of one fix a second in GPX."""
MAX_FILES = 1_000
"""In a folder with those below it, and in an archive."""
_MAX_PACKED = 3
"""How often something may be packed: a gzip file in a KMZ in a ZIP archive."""
_GZIP = b"\x1f\x8b"
_FIRST_PIECE, _LARGEST_PIECE = 1 << 10, 1 << 20
_CENTRAL = b"PK\x01\x02"
"""What each entry in the directory of a ZIP archive begins with."""
_BOUNDED = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
"""Of other ways `zipfile` unpacks the whole at once, whatever it is asked for: 350 bytes of bzip2 are 300 MB."""
_OFFICE = {"[Content_Types].xml", "mimetype", "META-INF/MANIFEST.MF"}


@dataclass(frozen=True, slots=True)
class Opened:
    """A file that was read, or why it was not."""

    place: str
    """Where it is, for people: the path, and behind `:` that in the archive."""
    name: str
    """Its own name, without folders."""
    data: bytes
    looks: Looks | BadTrackError


def opened(path: Path) -> Iterator[Opened]:
    """What is at a path: a file, or the files in an archive or a folder, in the order of the bytes of their names.

    Those whose name begins with a dot are passed over in folders and archives. Raises BadTrackError for a folder or an
    archive that has too many files, and OSError.
    """
    if not path.is_dir():
        yield from _unpacked(str(path), path.name, _content(path), _Room())
        return
    files = sorted(_files(path), key=os.fsencode)
    if not files:
        raise BadTrackError("no file in the folder")
    for file in files:
        place = str(file.relative_to(path))
        try:
            yield from _unpacked(place, file.name, _content(file), _Room())
        except (BadTrackError, OSError) as error:
            yield _none(place, file.name, error)


def _files(folder: Path) -> Iterator[Path]:
    found = 0
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            file = Path(place) / name
            # A pipe or a device would be read for ever.
            if not name.startswith(".") and file.is_file():
                found += 1
                if found > MAX_FILES:
                    raise BadTrackError(f"more than {MAX_FILES:,} files in the folder: name one of those below it")
                yield file


def _content(path: Path) -> bytes:
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise BadTrackError(f"larger than {MAX_BYTES // 1_000_000} MB: split it (docs/tracks.md)")
    return data


class _Room:
    """How many bytes may still come out of what is packed in one file."""

    def __init__(self) -> None:
        self.left = MAX_BYTES

    def take(self, count: int) -> None:
        self.left -= count
        if self.left < 0:
            raise BadTrackError(f"what is packed in it is larger than {MAX_BYTES // 1_000_000} MB")


def _unpacked(place: str, name: str, data: bytes, room: _Room, packed: int = 0) -> Iterator[Opened]:
    try:
        looks = looks_like(data)
    except BadTrackError as error:
        yield _none(place, name, error)
        return
    if looks in {Looks.GZIP, Looks.ZIP} and packed == _MAX_PACKED:
        raise BadTrackError("archives are packed in one another: unpack them first")
    if looks is Looks.GZIP:
        inner = name.removesuffix(".gz") if name.lower().endswith(".gz") else name
        yield from _unpacked(place, inner, _gunzipped(data, room), room, packed + 1)
    elif looks is Looks.ZIP:
        for member, content in _members(data, room):
            where = f"{place}:{member}"
            inner = PurePosixPath(member).name
            try:
                # A KMZ calls its file doc.kml, whatever it is of.
                yield from _unpacked(where, name if inner == "doc.kml" else inner, content, room, packed + 1)
            except BadTrackError as error:
                yield _none(where, inner, error)
    else:
        yield Opened(place, name, data, looks)


def _gunzipped(data: bytes, room: _Room) -> bytes:
    pieces: list[bytes] = []
    view = memoryview(data)
    start = 0
    while data.startswith(_GZIP, start):
        unpacking = zlib.decompressobj(wbits=31)
        size = _FIRST_PIECE
        while not unpacking.eof:
            if start >= len(data):
                raise BadTrackError("a gzip file that is cut off: copy it again")
            try:
                piece = unpacking.decompress(view[start : start + size], room.left + 1)
            except zlib.error as error:
                raise BadTrackError(f"a gzip file that cannot be unpacked: {error}") from error
            room.take(len(piece))
            pieces.append(piece)
            # What comes after the end of a part is copied: of a small piece, for there may be a part each 20 bytes.
            start = min(start + size, len(data)) - len(unpacking.unused_data)
            size = min(2 * size, _LARGEST_PIECE)
    return b"".join(pieces)


def _members(data: bytes, room: _Room) -> Iterator[tuple[str, bytes]]:
    # Counted before the directory is read, which would take 600 bytes for each.
    if data.count(_CENTRAL) > MAX_FILES:
        raise BadTrackError(f"more than {MAX_FILES:,} files are packed in it: take out what is needed")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = sorted(archive.infolist(), key=lambda member: os.fsencode(member.filename))
            _refuse_documents({member.filename for member in members})
            for member in members:
                if member.is_dir() or _hidden(member.filename):
                    continue
                _refuse_unbounded(member)
                with archive.open(member) as packed:
                    content = packed.read(room.left + 1)
                room.take(len(content))
                yield member.filename, content
    except BadTrackError:
        raise
    except Exception as error:
        # An archive that is damaged makes zipfile raise ten different things, an IndexError among them.
        raise BadTrackError(f"a ZIP archive that cannot be unpacked: {str(error)[:200]}") from error


def _refuse_documents(names: set[str]) -> None:
    if names & _OFFICE:
        raise BadTrackError("it is a document or a program, packed as ZIP archives are: export a track")


def _refuse_unbounded(member: zipfile.ZipInfo) -> None:
    if member.compress_type not in _BOUNDED:
        raise BadTrackError("it is packed in a way that is not read: pack it as usual (deflate)")


def _hidden(member: str) -> bool:
    parts = PurePosixPath(member).parts
    return not parts or any((part.startswith(".") and part != "..") or part == "__MACOSX" for part in parts)


def _none(place: str, name: str, error: BadTrackError | OSError) -> Opened:
    if isinstance(error, OSError):
        error = BadTrackError(str(error.strerror or error))
    return Opened(place, name, b"", error)
