"""Recorded tracks: GPX, or GeoJSON as togeojson writes it."""

from pathlib import Path

from simulator.fix import BadTrackError, Fix
from simulator.geojson import read_geojson
from simulator.gpx import read_gpx

MAX_BYTES = 50_000_000
"""Five days of one fix a second in GPX. Reading so much takes some 750 MB of memory."""


def read_track(path: Path) -> list[Fix]:
    """The fixes of a recorded track, in the order of the file; what the file holds decides how it is read.

    Raises BadTrackError, which names the file and what is wrong with it.
    """
    try:
        return _parse(_text(path))
    except BadTrackError as error:
        raise BadTrackError(f"{path}: {error}") from error
    except OSError as error:
        raise BadTrackError(f"{path}: {error.strerror or error}") from error


def _text(path: Path) -> str:
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise BadTrackError(f"larger than {MAX_BYTES // 1_000_000} MB: split it")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadTrackError(f"not UTF-8 at byte {error.start}") from error


def _parse(text: str) -> list[Fix]:
    match text.lstrip()[:1]:
        case "<":
            fixes = read_gpx(text)
        case "{":
            fixes = read_geojson(text)
        case _:
            raise BadTrackError("neither GPX nor GeoJSON")
    if not fixes:
        raise BadTrackError("no fixes in it")
    return fixes
