"""OpenStreetMap as Overpass answers it, and as XML: osm2geojson puts the areas together."""

import json
import logging
import warnings
from collections.abc import Iterator
from typing import Any

from geofence.importing.extra import needed
from geofence.importing.found import CannotImportError, Raw

ASK_WITH_GEOMETRY = "ask Overpass with `out geom;` or `out body; >; out skel qt;`"


def read_overpass(content: dict[str, Any]) -> Iterator[Raw]:
    """What an answer of Overpass in JSON has. Raises CannotImportError."""
    remark = content.get("remark")
    if not content["elements"]:
        said = f": it says {remark[:200]!r}" if isinstance(remark, str) else ""
        raise CannotImportError(f"the answer of Overpass is empty{said}: ask again, or for another place")
    library = needed("osm2geojson")
    return _features(lambda: library.json2geojson(content, log_level="CRITICAL"))


def read_xml(data: bytes) -> Iterator[Raw]:
    """What a file of OpenStreetMap's XML has, from Overpass, JOSM or an export. Raises CannotImportError."""
    library = needed("osm2geojson")
    return _features(lambda: library.xml2geojson(data, log_level="CRITICAL"))


def _features(read: Any) -> Iterator[Raw]:  # noqa: ANN401 - what osm2geojson gives is not typed
    logging.getLogger("osm2geojson").setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            features = read()["features"]
    except Exception as error:
        # The library raises whatever a file that is none of OpenStreetMap makes its code do.
        raise CannotImportError(
            f"it cannot be read as OpenStreetMap ({type(error).__name__}: {str(error)[:100]}): {ASK_WITH_GEOMETRY}"
        ) from error
    if not features:
        raise CannotImportError(f"nothing in it has a geometry: {ASK_WITH_GEOMETRY}")
    for feature in features:
        properties = feature["properties"]
        tags = properties.get("tags")
        yield Raw(
            geometry=json.loads(json.dumps(feature["geometry"])),
            tags=tags if isinstance(tags, dict) else {},
            own_id=None,
            osm=f"{properties.get('type')}/{properties.get('id')}",
        )
