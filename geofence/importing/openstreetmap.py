"""OpenStreetMap as Overpass answers it, and as XML: osm2geojson puts the areas together."""

import contextlib
import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import shapely

from geofence.importing.extra import needed
from geofence.importing.found import CannotImportError, Raw, printable

ASK_WITH_GEOMETRY = "ask Overpass with `out geom;` or `out body; >; out skel qt;`"


def read_overpass(content: dict[str, Any]) -> Iterator[Raw]:
    """What an answer of Overpass in JSON has. Raises CannotImportError."""
    remark = content.get("remark")
    if not content["elements"]:
        said = f": it says {remark[:200]!r}" if isinstance(remark, str) else ""
        raise CannotImportError(f"the answer of Overpass is empty{said}: ask again, or for another place")
    library = needed("osm2geojson")
    return _things(lambda: library.json2shapes(content, filter_used_refs=False, log_level="CRITICAL"))


def read_xml(data: bytes) -> Iterator[Raw]:
    """What a file of OpenStreetMap's XML has, from Overpass, JOSM or an export. Raises CannotImportError."""
    library = needed("osm2geojson")
    return _things(lambda: library.xml2shapes(data, filter_used_refs=False, log_level="CRITICAL"))


def _things(read: Callable[[], Any]) -> Iterator[Raw]:
    """All that has tags. The library's own filter would leave out a building that is a part of something else, too."""
    logging.getLogger("osm2geojson").setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            things = read()
    except Exception as error:
        # The library raises whatever a file that is none of OpenStreetMap makes its code do, and prints about it.
        said = f"{type(error).__name__}: {printable(str(error))[:100]}"
        raise CannotImportError(f"it cannot be read as OpenStreetMap ({said}): {ASK_WITH_GEOMETRY}") from error
    if not things:
        raise CannotImportError(f"nothing in it has a geometry: {ASK_WITH_GEOMETRY}")
    for thing in things:
        properties = thing["properties"]
        tags = properties.get("tags")
        if isinstance(tags, dict) and tags:
            yield Raw(
                geometry=json.loads(shapely.to_geojson(thing["shape"])),
                tags=tags,
                own_id=None,
                osm=f"{properties.get('type')}/{properties.get('id')}",
                crs="EPSG:4326",
            )
