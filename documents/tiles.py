"""Tiles: the cells of the earth by which documents are indexed in space, and which of them an area touches.

A tile is a geohash of 6 characters, about 1.2 km by 0.6 km at the equator: a campus has a few. An index leads from a
tile to its documents in the order of time; which of them lie in the area is then looked up exactly. Longer cells would
make hundreds of questions of one query, shorter ones would look at too much.
"""

from itertools import product

TILE_CHARACTERS = 6
TILES_MAX = 64
"""Tiles of one query at the most: each of them is a question to the store."""
_ALPHABET = "0123456789bcdefghjkmnpqrstuvwxyz"
_SIDE = 1 << (5 * TILE_CHARACTERS // 2)  # tiles around the earth, and from pole to pole
_MARGIN = 1e-9  # degrees, a tenth of a millimetre: whoever made the cells may have rounded in another way

BBox = tuple[float, float, float, float]
"""West, south, east, north, in degrees."""


def tiles_of_box(box: BBox) -> frozenset[str]:
    """The tiles that a box touches. Raises ValueError where there are more than `TILES_MAX`."""
    west, south, east, north = box
    columns = range(_number(west - _MARGIN, 180.0), _number(east + _MARGIN, 180.0) + 1)
    rows = range(_number(south - _MARGIN, 90.0), _number(north + _MARGIN, 90.0) + 1)
    if len(columns) * len(rows) > TILES_MAX:
        raise ValueError(f"the area is too large: at most {TILES_MAX} tiles of about 1 km")
    return frozenset(_name(column, row) for column, row in product(columns, rows))


def _number(degrees: float, most: float) -> int:
    return min(max(int((degrees + most) / (2 * most) * _SIDE), 0), _SIDE - 1)


def _name(column: int, row: int) -> str:
    # A geohash takes the bits of both in turn, the longitude's first, five to a character.
    bits = 0
    for bit in reversed(range(_SIDE.bit_length() - 1)):
        bits = bits << 2 | (column >> bit & 1) << 1 | row >> bit & 1
    return "".join(_ALPHABET[bits >> 5 * place & 31] for place in reversed(range(TILE_CHARACTERS)))
