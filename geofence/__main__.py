"""Commands around campus files: `python -m geofence check FILE`, `python -m geofence locate LONGITUDE LATITUDE`."""

from collections import defaultdict
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from geofence.campus import Campus, InvalidCampusError, load_campus
from geofence.doubts import Carried, doubts
from geofence.fence import Geofence
from geofence.mistakes import sentences
from geofence.shapes import MAX_LATITUDE, MAX_LONGITUDE

MADE_ELSEWHERE = frozenset({"no id", "bad id", "no role", "no outline"})
"""Mistakes of whoever has not written a file for us."""

app = typer.Typer(
    help="The campus and its zones: check a campus file, or ask it where a place is.",
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command()
def check(
    file: Annotated[Path, typer.Argument(help="GeoJSON file of a campus.")],
    timezone: Annotated[
        str, typer.Option(envvar="CAMPUS_TIMEZONE", help="As the services have it: is the campus there?")
    ] = Carried.timezone,
    mirror_max_payload: Annotated[
        int, typer.Option(envvar="MIRROR_MAX_PAYLOAD", help="As the services have it: do all zones fit?", min=1)
    ] = Carried.mirror_max_payload,
    retained_max_bytes: Annotated[
        int, typer.Option(envvar="RETAINED_MAX_BYTES", help="As the services have it: do all zones fit?", min=1)
    ] = Carried.retained_max_bytes,
) -> None:
    """Check a campus file: say all that is wrong, with its place and what to do, and else what is in it.

    Exit code 1 if the services could not use it. What they could use, but is hardly meant, is a warning.

    Example: python -m geofence check my-campus.geojson
    """
    campus = _load(file)
    _sum_up(campus)
    carried = Carried(timezone=timezone, mirror_max_payload=mirror_max_payload, retained_max_bytes=retained_max_bytes)
    for line in sentences(doubts(campus, carried)):
        typer.echo(f"warning: {line}", err=True)


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


def _sum_up(campus: Campus) -> None:
    west, south, east, north = campus.boundary.geometry.bounds
    typer.echo(f"{campus.boundary.name} ({campus.boundary.id}), version {campus.version}, zones: {len(campus.zones)}")
    typer.echo(f"  from {west:.4f}, {south:.4f} to {east:.4f}, {north:.4f} (longitude, latitude)")
    categories: dict[str, list[str]] = defaultdict(list)
    for zone in campus.zones:
        categories[zone.category or "no category"].append(zone.id)
    for category, ids in sorted(categories.items()):
        typer.echo(f"  {category} ({len(ids)}): {', '.join(sorted(ids))}")


def _load(file: Path | None) -> Campus:
    try:
        return load_campus(file)
    except InvalidCampusError as error:
        for line in sentences(error.mistakes):
            typer.echo(f"{error.file}: {line}", err=True)
        if MADE_ELSEWHERE & {mistake.kind for mistake in error.mistakes}:
            typer.echo(
                f"If another program made it: python -m geofence import {error.file} -o campus.geojson", err=True
            )
        raise typer.Exit(1) from error


if __name__ == "__main__":
    app(prog_name="python -m geofence")
