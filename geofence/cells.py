"""Cells of the earth, by which documents are found in space."""

import pygeohash

CELL_CHARACTERS = 8
"""A cell of 8 characters is 38 m wide and 19 m high at the equator, and narrower towards the poles."""


def cell(longitude: float, latitude: float) -> str:
    """The geohash that holds a position, in degrees; longitude first, as everywhere here."""
    # pygeohash takes the latitude first.
    return pygeohash.encode(latitude, longitude, precision=CELL_CHARACTERS)
