"""Commands around campus files: `python -m geofence check FILE`, `python -m geofence locate LONGITUDE LATITUDE`."""

import shlex
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


@app.command(name="import")
def import_(
    files: Annotated[
        list[Path],
        typer.Argument(
            help="GeoJSON, Overpass JSON, OpenStreetMap XML or PBF, KML, KMZ, Shapefile (.shp or zipped), GeoPackage, "
            "Esri JSON, TopoJSON; several make one campus."
        ),
    ],
    *,
    out: Annotated[Path, typer.Option("-o", "--out", help="The campus file to write.")] = Path("campus.geojson"),
    name: Annotated[str | None, typer.Option(help="What the campus is called.")] = None,
    outline: Annotated[
        list[str] | None, typer.Option(help="Name or id of the area that is its outline; several are joined.")
    ] = None,
    margin: Annotated[
        float, typer.Option(help="Metres around all zones, where nothing in the files is the outline.", min=0, max=5000)
    ] = 25,
    named_only: Annotated[bool, typer.Option("--named-only", help="Leave out areas without a name.")] = False,
    crs: Annotated[
        str | None, typer.Option(help="What the coordinates are in, where a file does not say it: EPSG:2157.")
    ] = None,
    latitude_first: Annotated[
        bool, typer.Option("--latitude-first", help="The files have latitudes before longitudes.")
    ] = False,
    picture: Annotated[
        Path | None, typer.Option(help="The HTML page to draw; by default beside the campus file.")
    ] = None,
    interactive: Annotated[
        bool, typer.Option("--interactive", help="Ask what no file says: outline, name, capacities.")
    ] = False,
) -> None:
    """Make a campus file of what other programs have exported, draw it, and say what is in it and what was left out.

    The outline is a feature that is said to be it, or a university, or what holds all else, or a hull with a margin.
    Edit the file as you like, and check it.

    Example: python -m geofence import export.geojson -o campus.geojson
    """
    # What it needs is no service's: only this command has it.
    from geofence.importing import command  # noqa: PLC0415
    from geofence.importing.found import CannotImportError  # noqa: PLC0415
    from geofence.importing.making import Wishes  # noqa: PLC0415

    picture = picture or out.with_suffix(".html")
    wishes = Wishes(outline=tuple(outline or ()), name=name, margin=margin, named_only=named_only)
    try:
        made = command.import_files(
            files,
            out,
            wishes=wishes,
            crs=crs,
            latitude_first=latitude_first,
            picture=picture,
            say=typer.echo,
            warn=lambda line: typer.echo(line, err=True),
            ask=_ask if interactive else None,
        )
    except CannotImportError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    typer.echo(f"{out}: {made.campus.boundary.name}, zones: {len(made.campus.zones)}; {picture}: what it looks like")
    typer.echo(f"Next: python -m geofence check {shlex.quote(str(out))}")


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


def _ask(question: str, default: str) -> str:
    return str(typer.prompt(question, default=default, show_default=bool(default)))


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
