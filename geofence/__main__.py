"""Commands around campus files: `python -m geofence check FILE`, `python -m geofence locate LONGITUDE LATITUDE`."""

from collections import defaultdict
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from geofence.campus import Campus, InvalidCampusError, load_campus
from geofence.fence import Geofence
from geofence.shapes import MAX_LATITUDE, MAX_LONGITUDE

app = typer.Typer(
    help="The campus and its zones: check a campus file, or ask it where a place is.",
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command()
def check(file: Annotated[Path, typer.Argument(help="GeoJSON file of a campus.")]) -> None:
    """Check a campus file, and say what is in it.

    Exit code 1, and what is wrong and where, if the services could not use it.

    Example: python -m geofence check my-campus.geojson
    """
    campus = _load(file)
    typer.echo(f"{campus.boundary.name} ({campus.boundary.id}), version {campus.version}, zones: {len(campus.zones)}")
    categories: dict[str, list[str]] = defaultdict(list)
    for zone in campus.zones:
        categories[zone.category or "no category"].append(zone.id)
    for category, ids in sorted(categories.items()):
        typer.echo(f"  {category} ({len(ids)}): {', '.join(sorted(ids))}")


# Without this a negative longitude would be read as an option.
@app.command(context_settings={"ignore_unknown_options": True})
def locate(
    longitude: Annotated[
        float, typer.Argument(help="Degrees east; negative is west.", min=-MAX_LONGITUDE, max=MAX_LONGITUDE)
    ],
    latitude: Annotated[
        float, typer.Argument(help="Degrees north; negative is south.", min=-MAX_LATITUDE, max=MAX_LATITUDE)
    ],
    campus: Annotated[
        Path | None, typer.Option(help="GeoJSON file of the campus; by default the University of Limerick.")
    ] = None,
) -> None:
    """Say which zones hold a place, one id a line; longitude first.

    Exit code 1 if the place is outside the campus.

    Example: python -m geofence locate -8.5721 52.6738
    """
    fence = Geofence(_load(campus))
    [zones] = fence.locate(np.array([longitude]), np.array([latitude]))
    if zones is None:
        typer.echo("outside the campus", err=True)
        raise typer.Exit(1)
    typer.echo("\n".join(zones))


def _load(file: Path | None) -> Campus:
    try:
        return load_campus(file)
    except InvalidCampusError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error


if __name__ == "__main__":
    app(prog_name="python -m geofence")
