"""Coordinates of any reference system as degrees of WGS 84."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from geofence.campus import WGS_84
from geofence.importing.areas import Project
from geofence.importing.extra import needed
from geofence.importing.found import CannotImportError
from geofence.shapes import MAX_LATITUDE, MAX_LONGITUDE

_BEYOND = 2 * MAX_LONGITUDE


def projection(crs: str | None) -> Project:
    """What makes longitudes and latitudes of a file's coordinates; None is WGS 84. Raises CannotImportError."""
    if crs is None or WGS_84.search(crs):
        return _checked
    pyproj = needed("pyproj")
    try:
        transformer = pyproj.Transformer.from_crs(pyproj.CRS.from_user_input(crs), "OGC:CRS84", always_xy=True)
    except pyproj.exceptions.ProjError as error:
        raise CannotImportError(
            f"nobody knows the coordinate reference system {crs[:80]!r}: name it with --crs, such as --crs EPSG:2157"
        ) from error

    def project(pairs: NDArray[np.float64]) -> NDArray[np.float64]:
        longitudes, latitudes = transformer.transform(pairs[:, 0], pairs[:, 1])
        return _checked(np.column_stack([longitudes, latitudes]))

    return project


def crs_of(content: dict[str, Any]) -> str | None:
    """The reference system that GeoJSON of before 2016 names; None where it names none."""
    crs = content.get("crs")
    properties = crs.get("properties") if isinstance(crs, dict) else None
    if not isinstance(properties, dict):
        return None
    name, code = properties.get("name"), properties.get("code")
    if isinstance(name, str):
        return name
    return f"EPSG:{code}" if isinstance(code, int | str) else None


def _checked(pairs: NDArray[np.float64]) -> NDArray[np.float64]:
    longitudes, latitudes = abs(pairs[:, 0]), abs(pairs[:, 1])
    # Beyond 180 some programs go on counting.
    if np.isfinite(pairs).all() and (longitudes <= _BEYOND).all() and (latitudes <= MAX_LATITUDE).all():
        return pairs
    raise OutOfRangeError(swapped=bool((longitudes <= MAX_LATITUDE).all() and (latitudes <= MAX_LONGITUDE).all()))


class OutOfRangeError(Exception):
    """Coordinates that are no degrees of WGS 84."""

    def __init__(self, *, swapped: bool) -> None:
        super().__init__("latitude first" if swapped else "no degrees")
        self.swapped = swapped
        """Whether they would be, the other way round."""
