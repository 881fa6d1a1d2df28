"""Shapefiles, GeoPackages, KML, Esri JSON, TopoJSON and OpenStreetMap's PBF: GDAL reads them, by pyogrio."""

import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from geofence.importing.extra import needed
from geofence.importing.found import MAX_FOUND, CannotImportError, Raw, printable
from geofence.importing.geojson import flattened, id_among, osm_reference
from geofence.looks import Looks

MAX_LAYERS = 200
_CONFIGURATION = Path(__file__).with_name("osmconf.ini")
_LAYERS_OF_OSM = ("multipolygons",)
"""Of the five that GDAL makes of OpenStreetMap, those that have areas."""


def read_with_gdal(file: Path, looks: Looks) -> Iterator[Raw]:
    """What a file has, layer by layer. Raises CannotImportError."""
    pyogrio = needed("pyogrio")
    pyogrio.set_gdal_config_options(
        {"OSM_CONFIG_FILE": str(_CONFIGURATION), "SHAPE_RESTORE_SHX": "YES", "OSM_MAX_TMPFILE_SIZE": "100"}
    )
    try:
        with warnings.catch_warnings():
            # What GDAL thinks of a ring that is not closed, and so on: it is mended, and that is said.
            warnings.simplefilter("ignore")
            layers = (
                _LAYERS_OF_OSM
                if looks is Looks.OSM_PBF
                else [str(name) for name, _ in pyogrio.list_layers(file)[:MAX_LAYERS]]
            )
            for layer in layers:
                yield from _layer(pyogrio, file, layer, has_ids=looks is not Looks.KML)
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, pyogrio.errors.FieldError) as error:
        raise CannotImportError(f"it cannot be read: {printable(str(error))[:200]}") from error
    except (ValueError, RuntimeError, UnicodeDecodeError) as error:
        if isinstance(error, CannotImportError):
            raise
        raise CannotImportError(f"it cannot be read: {type(error).__name__}: {printable(str(error))[:200]}") from error


def _layer(pyogrio: Any, file: Path, layer: str, *, has_ids: bool) -> Iterator[Raw]:  # noqa: ANN401 - not typed
    meta, _, geometries, columns = pyogrio.raw.read(file, layer=layer, max_features=MAX_FOUND + 1)
    if geometries is None:
        return
    names = [str(name) for name in meta["fields"]]
    crs = meta.get("crs")
    for index, wkb in enumerate(geometries):
        properties = {name: _plain(column[index]) for name, column in zip(names, columns, strict=True)}
        tags = flattened(properties)
        # Programs number the places of a KML file themselves.
        own_id = id_among(tags) if has_ids else None
        yield Raw(
            geometry=_geometry(wkb),
            tags={key: value for key, value in tags.items() if key not in {"osm_id", "osm_way_id"}},
            own_id=own_id,
            osm=osm_reference(own_id, {**properties, **tags}),
            layer=layer,
            crs=str(crs) if crs else None,
        )


def _geometry(wkb: bytes | None) -> object:
    shape = shapely.from_wkb(wkb, on_invalid="ignore") if wkb is not None else None
    return None if shape is None or shape.is_empty else json.loads(shapely.to_geojson(shapely.force_2d(shape)))


def _plain(value: Any) -> object:  # noqa: ANN401 - whatever a column has
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value
