"""Cells of the earth, by which documents are found in space."""

import re

import pygeohash

CELL_CHARACTERS = 8
"""A cell of 8 characters is 38 m wide and 19 m high at the equator, and narrower towards the poles."""
_GEOHASH = re.compile(r"[0-9b-hjkmnp-z]{1,12}", re.ASCII)


def box_of(geohash: str) -> tuple[float, float, float, float]:
    """West, south, east, north of a cell, in degrees. Raises ValueError for what is no geohash."""
    # Asked for with wrong characters pygeohash logs, and raises errors of several kinds.
    if not _GEOHASH.fullmatch(geohash):
        raise ValueError(f"{geohash!r} is no geohash")
    found = pygeohash.decode_exactly(geohash)
    east, north = found.longitude_error, found.latitude_error
    return found.longitude - east, found.latitude - north, found.longitude + east, found.latitude + north


def cell(longitude: float, latitude: float) -> str:
    """The geohash that holds a position, in degrees; longitude first, as everywhere here."""
    # pygeohash takes the latitude first.
    return pygeohash.encode(latitude, longitude, precision=CELL_CHARACTERS)
