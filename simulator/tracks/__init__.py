"""Tracks as people have them: in a file of many formats, packed or not, or in a folder of such files.

`read_tracks` is what others need.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from simulator.fix import BadTrackError
from simulator.message import DEVICE_ID_MAX
from simulator.tracks.csv import read_csv
from simulator.tracks.fit import read_fit
from simulator.tracks.geojson import read_geojson
from simulator.tracks.gpx import read_gpx
from simulator.tracks.kml import read_kml
from simulator.tracks.looks import Looks
from simulator.tracks.nmea import read_nmea
from simulator.tracks.opening import Opened, opened
from simulator.tracks.plt import read_plt
from simulator.tracks.rec import read_rec
from simulator.tracks.tcx import read_tcx
from simulator.tracks.texts import text_of
from simulator.tracks.timeline import read_timeline
from simulator.tracks.track import MAX_FIXES, Points, Track

__all__ = ["Recording", "Track", "read_tracks"]

_READERS: dict[Looks, Callable[[bytes], Points]] = {
    Looks.GPX: read_gpx,
    Looks.KML: read_kml,
    Looks.TCX: read_tcx,
    Looks.FIT: read_fit,
    Looks.PLT: read_plt,
    Looks.CSV: read_csv,
    Looks.NMEA: read_nmea,
    Looks.REC: read_rec,
    Looks.TIMELINE: lambda data: read_timeline(text_of(data).lstrip()),
    Looks.GEOJSON: lambda data: read_geojson(text_of(data)),
}


@dataclass(frozen=True, slots=True)
class Recording:
    """All tracks at a path, and what is to be said about it."""

    tracks: list[Track]
    """At least one, each of a device, with a name that no other has."""
    left_out: list[str]
    """Files that are no tracks, with the reason; empty for a single file, which is refused then."""


def read_tracks(path: Path) -> Recording:
    """The tracks in a file, an archive or a folder; what a file holds decides how it is read, not its name.

    Raises BadTrackError, which names the path and what is wrong with it.
    """
    tracks: list[Track] = []
    refused: list[tuple[str, BadTrackError]] = []
    names: set[str] = set()
    try:
        for file in opened(path):
            try:
                track = _read(file, _unused(_named(file.name), names))
            except BadTrackError as error:
                refused.append((file.place, error))
            else:
                tracks.append(track)
                names.add(track.name)
                if sum(len(each.fixes) for each in tracks) > MAX_FIXES:
                    raise BadTrackError(f"more than {MAX_FIXES:,} points: take fewer files")
    except BadTrackError as error:
        raise BadTrackError(_printable(f"{path}: {error}")) from error
    except OSError as error:
        raise BadTrackError(_printable(f"{path}: {error.strerror or error}")) from error
    if not tracks:
        raise BadTrackError(_printable(f"{path}: {_refusal(path, refused)}"))
    return Recording(tracks, [_printable(f"{place}: {error}") for place, error in refused])


def _read(file: Opened, name: str) -> Track:
    if isinstance(file.looks, BadTrackError):
        raise file.looks
    return _READERS[file.looks](file.data).track(name)


def _refusal(path: Path, refused: list[tuple[str, BadTrackError]]) -> str:
    if not refused:
        return "no file is packed in it"
    place, error = refused[0]
    if place == str(path):
        return str(error)
    others = f", and {len(refused) - 1} more" if len(refused) > 1 else ""
    return f"none of the files in it is a track: {place}: {error}{others}"


def _printable(text: str) -> str:
    """What a sentence quotes of a file, or of its name, must not speak to a terminal."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text)


def _named(name: str) -> str:
    """A device id of the name of a file: without its ending, of characters that can be sent."""
    stem = Path(name).stem.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return _printable(stem.strip())[:DEVICE_ID_MAX] or "track"


def _unused(name: str, names: set[str]) -> str:
    number = 1
    unused = name
    while unused in names:
        number += 1
        suffix = f"-{number}"
        unused = name[: DEVICE_ID_MAX - len(suffix)] + suffix
    return unused
