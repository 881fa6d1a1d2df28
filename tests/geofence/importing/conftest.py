"""`python -m geofence import`, as it is typed."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from geofence import Campus, load_campus
from geofence.__main__ import app

FIELD = Path(__file__).parents[1] / "field"
Feature = dict[str, Any]


@dataclass(frozen=True)
class Imported:
    """What came of it."""

    code: int
    output: str
    file: Path

    @property
    def campus(self) -> Campus:
        """The campus, as the services load it."""
        assert self.code == 0, self.output
        return load_campus(self.file)

    @property
    def zones(self) -> dict[str, tuple[str, str | None, int | None]]:
        """Name, category and capacity by id, without the outline."""
        return {zone.id: (zone.name, zone.category, zone.capacity) for zone in self.campus.zones}


@dataclass(frozen=True)
class Importer:
    """Runs the command on files, or on features that it writes down first."""

    folder: Path

    def files(self, *files: Path | str, typed: str | None = None, out: Path | None = None) -> Imported:
        """Import files, with options among them; `typed` is what a person answers."""
        out = out or self.folder / "made.geojson"
        result = CliRunner().invoke(app, ["import", *map(str, files), "-o", str(out)], input=typed)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return Imported(result.exit_code, result.output, out)

    def features(
        self, *features: object, options: tuple[str, ...] = (), typed: str | None = None, **members: object
    ) -> Imported:
        """Import a collection of features."""
        content = {"type": "FeatureCollection", "features": features, **members}
        return self.data(json.dumps(content).encode(), *options, typed=typed)

    def content(self, content: object) -> Imported:
        """Import JSON."""
        return self.data(json.dumps(content).encode())

    def data(self, data: bytes, *options: str, name: str = "export.geojson", typed: str | None = None) -> Imported:
        """Import bytes."""
        file = self.folder / name
        file.write_bytes(data)
        return self.files(file, *options, typed=typed)


@pytest.fixture
def importing(tmp_path: Path) -> Importer:
    """The command, with a folder of its own."""
    return Importer(tmp_path)


def square(west: float, south: float, size: float = 0.001) -> list[list[list[float]]]:
    """A ring of four corners, in degrees."""
    east, north = west + size, south + size
    return [[[west, south], [east, south], [east, north], [west, north], [west, south]]]


def area(coordinates: object, **properties: object) -> Feature:
    """A feature without an id."""
    return {
        "type": "Feature",
        "properties": properties,
        "geometry": {"type": "Polygon", "coordinates": coordinates},
    }
