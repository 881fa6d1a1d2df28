"""A picture of a campus: one HTML file that loads nothing from anywhere."""

from html import escape

import numpy as np
import shapely

from geofence.campus import Campus
from geofence.importing.areas import near, square_metres
from geofence.importing.found import Area
from geofence.zones import Zone

WIDTH = 1_000
"""Pixels; the height follows from the campus."""
_HIGHEST = 1_600
_MARGIN = 20
_COLOURS = ("#1f6f8b", "#b5541c", "#4f7942", "#7a4f9a", "#8a6d1d", "#a8324a", "#3b5998", "#5f6b6d")
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
body {{ font: 15px/1.4 system-ui, sans-serif; margin: 1.5rem; color: #1c2733; background: #fff; max-width: 1000px; }}
svg {{ width: 100%; height: auto; border: 1px solid #ccd3da; background: #f4f6f4; }}
svg text {{ font-size: 11px; text-anchor: middle; pointer-events: none; }}
svg text {{ paint-order: stroke; stroke: #fff; stroke-width: 3px; }}
table {{ border-collapse: collapse; margin-top: 1rem; }}
th, td {{ text-align: left; padding: .2rem .8rem .2rem 0; border-bottom: 1px solid #e3e7ea; }}
td.n, th.n {{ text-align: right; }}
.key span {{ display: inline-block; width: .8em; height: .8em; margin: 0 .3em 0 1em; }}
</style>
</head>
<body>
<h1>{title}</h1>
<p>{summary} <a href="{map}">The same place on openstreetmap.org</a></p>
<p class="key">{key}</p>
{svg}
<table>
<tr><th>id</th><th>name</th><th>category</th><th class="n">capacity</th><th class="n">m²</th></tr>
{rows}
</table>
</body>
</html>
"""


def page(campus: Campus, why: str) -> str:
    """The campus as an HTML page with a drawing and a table. Point at a zone to read its name."""
    categories = sorted({zone.category or "no category" for zone in campus.zones})
    colours = {name: _COLOURS[index % len(_COLOURS)] for index, name in enumerate(categories)}
    west, south, east, north = campus.boundary.geometry.bounds
    longitude, latitude = campus.boundary.geometry.representative_point().coords[0]
    return _PAGE.format(
        title=escape(campus.boundary.name),
        summary=escape(
            f"{len(campus.zones):,} zones between {west:.4f}, {south:.4f} and {east:.4f}, {north:.4f} (longitude, "
            f"latitude). The outline: {why}."
        ),
        map=f"https://www.openstreetmap.org/?mlat={latitude:.5f}&amp;mlon={longitude:.5f}#map=16/{latitude:.5f}/{longitude:.5f}",
        key="".join(f'<span style="background:{colours[name]}"></span>{escape(name)}' for name in categories),
        svg=_svg(campus, colours),
        rows="\n".join(_row(zone) for zone in campus.everything),
    )


def _svg(campus: Campus, colours: dict[str, str]) -> str:
    middle = float(shapely.get_parts(campus.boundary.geometry)[0].bounds[0])
    outline = _whole(campus.boundary.geometry, middle)
    west, south, east, north = outline.bounds
    narrow = max(float(np.cos(np.radians((south + north) / 2))), 0.01)
    wide, high = (east - west) * narrow, north - south
    scale = min((WIDTH - 2 * _MARGIN) / wide, (_HIGHEST - 2 * _MARGIN) / high)

    def path(area: Area) -> str:
        parts = []
        for part in shapely.get_parts(_whole(area, middle)).tolist():
            for ring in (part.exterior, *part.interiors):
                points = np.asarray(ring.coords)
                across = (points[:, 0] - west) * narrow * scale + _MARGIN
                down = (north - points[:, 1]) * scale + _MARGIN
                steps = "L".join(f"{x:.1f} {y:.1f}" for x, y in zip(across.tolist(), down.tolist(), strict=True))
                parts.append(f"M{steps}Z")
        return "".join(parts)

    drawn = [f'<path d="{path(campus.boundary.geometry)}" fill="#fff" stroke="#1c2733" stroke-width="2"/>']
    labels = []
    # The larger ones first, so that those in them are seen.
    for zone in sorted(campus.zones, key=lambda zone: -zone.geometry.area):
        colour = colours[zone.category or "no category"]
        drawn.append(
            f'<path d="{path(zone.geometry)}" fill="{colour}" fill-opacity=".45" fill-rule="evenodd" stroke="{colour}">'
            f"<title>{escape(f'{zone.name} ({zone.id})')}</title></path>"
        )
        x, y = _whole(zone.geometry, middle).representative_point().coords[0]
        at = f'x="{(x - west) * narrow * scale + _MARGIN:.1f}" y="{(north - y) * scale + _MARGIN:.1f}"'
        labels.append(f"<text {at}>{escape(zone.name[:24])}</text>")
    size = f"0 0 {wide * scale + 2 * _MARGIN:.0f} {high * scale + 2 * _MARGIN:.0f}"
    return f'<svg viewBox="{size}" role="img" aria-label="the campus">\n' + "\n".join(drawn + labels) + "\n</svg>"


def _whole(area: Area, longitude: float) -> Area:
    """The same area in one piece, where it was split at 180 degrees."""
    return shapely.MultiPolygon([near(part, longitude) for part in shapely.get_parts(area).tolist()])


def _row(zone: Zone) -> str:
    cells = (zone.id, zone.name, "outline" if zone.role == "boundary" else zone.category or "-")
    numbers = ("-" if zone.capacity is None else f"{zone.capacity:,}", f"{square_metres(zone.geometry):,.0f}")
    return (
        "<tr>"
        + "".join(f"<td>{escape(cell)}</td>" for cell in cells)
        + "".join(f'<td class="n">{cell}</td>' for cell in numbers)
        + "</tr>"
    )
