from collections.abc import Callable
from pathlib import Path

import pytest

from simulator.fix import BadTrackError, Fix
from simulator.tracks import Track, read_tracks
from tests.simulator.recordings import only_track, recorded

Reader = Callable[[str | bytes], Track]
Refusal = Callable[[str | bytes], str]


@pytest.fixture
def read(tmp_path: Path) -> Reader:
    """Reads a file with some content; its name tells nothing."""
    return lambda content: only_track(recorded(tmp_path, content, "recorded"))


@pytest.fixture
def refused(tmp_path: Path) -> Refusal:
    """What is said of a file with some content: one line, without the path that it begins with."""

    def refusal(content: str | bytes) -> str:
        path = recorded(tmp_path, content, "recorded")
        with pytest.raises(BadTrackError) as error:
            read_tracks(path)
        said = str(error.value)
        assert said.startswith(f"{path}: ")
        assert len(said.splitlines()) == 1
        return said.removeprefix(f"{path}: ")

    return refusal


def places(track: Track) -> list[tuple[float, float, int]]:
    return [(fix.longitude, fix.latitude, fix.at_ms) for fix in track.fixes]


HERE = Fix(longitude=-8.5701, latitude=52.6738, at_ms=1_550_480_460_000)
"""2019-02-18T09:01:00Z."""
