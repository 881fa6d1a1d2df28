"""A box in a query, the same for zones and for positions."""

import math

Box = tuple[float, float, float, float]
"""West, south, east, north in degrees of WGS 84; west is never east of east."""

LONGEST = 200
_PLANE, _SPACE = 4, 6
"""How many numbers a box has, without heights and with them."""


def boxes(text: str) -> tuple[Box, ...]:
    """The box of a query, in two parts where it spans the antimeridian; heights are ignored (OGC API Features, 7.15.3).

    Raises ValueError with what is wrong.
    """
    try:
        numbers = [float(part) for part in text.split(",")] if len(text) <= LONGEST else []
    except ValueError:
        numbers = []
    if len(numbers) == _SPACE:
        numbers = [*numbers[:2], *numbers[3:5]]
    if len(numbers) != _PLANE or not all(map(math.isfinite, numbers)):
        raise ValueError("write four numbers, joined by commas: west, south, east, north")
    west, south, east, north = numbers
    if not (-180 <= west <= 180 and -180 <= east <= 180 and -90 <= south <= 90 and -90 <= north <= 90):  # noqa: PLR2004
        raise ValueError("a longitude is within -180 and 180, a latitude within -90 and 90; longitude comes first")
    if south > north:
        raise ValueError("south is above north")
    if west > east:
        return (west, south, 180.0, north), (-180.0, south, east, north)
    return ((west, south, east, north),)
