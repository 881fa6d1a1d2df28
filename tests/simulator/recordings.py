"""Tracks that tests write themselves."""

from collections.abc import Iterable
from pathlib import Path

from core.clock import format_rfc3339
from simulator.fix import Fix
from simulator.tracks import Track, read_tracks

MORNING = 1_550_480_285_000
"""2019-02-18T08:58:05Z."""


def walk(count: int, *, seconds: int = 1) -> list[Fix]:
    """Fixes northwards over the campus, one every so many seconds."""
    return [
        Fix(longitude=-8.57, latitude=52.67 + number / 100_000, at_ms=MORNING + number * seconds * 1000)
        for number in range(count)
    ]


def gpx(fixes: Iterable[Fix]) -> str:
    points = "".join(
        f'<trkpt lat="{fix.latitude!r}" lon="{fix.longitude!r}">'
        + (f"<ele>{fix.altitude!r}</ele>" if fix.altitude is not None else "")
        + f"<time>{format_rfc3339(fix.at_ms)}</time></trkpt>"
        for fix in fixes
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?><gpx version="1.1" creator="test" '
        f'xmlns="http://www.topografix.com/GPX/1/1"><trk><trkseg>{points}</trkseg></trk></gpx>'
    )


def recorded(folder: Path, content: str | bytes, name: str = "bus 304.gpx") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def only_track(path: Path) -> Track:
    """That of a file in which there is one."""
    recording = read_tracks(path)
    assert recording.left_out == []
    [track] = recording.tracks
    return track
