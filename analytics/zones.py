"""The zones as a table, and which of them hold others: a way from a building into its room is none."""

import pyarrow as pa
import shapely

from geofence.campus import Campus

ZONES = pa.schema(
    [
        pa.field("zone", pa.string(), nullable=False),
        pa.field("name", pa.string(), nullable=False),
        pa.field("category", pa.string()),
        pa.field("campus", pa.bool_(), nullable=False),  # whether it is the campus as a whole
        pa.field("capacity", pa.int64()),
        pa.field("outline", pa.binary(), nullable=False),  # as WKB, degrees of WGS 84
    ]
)
RELATED = pa.schema([pa.field("zone", pa.string(), nullable=False), pa.field("other", pa.string(), nullable=False)])
HELD_SHARE = 0.999
"""A zone holds another that has so much of its area in it: outlines that were drawn one by one do not quite meet."""


def zones_table(campus: Campus) -> pa.Table:
    """The campus and its zones, a row for each."""
    everything = campus.everything
    return pa.table(
        [
            [zone.id for zone in everything],
            [zone.name for zone in everything],
            [zone.category for zone in everything],
            [zone is campus.boundary for zone in everything],
            pa.array([zone.capacity for zone in everything], pa.int64()),
            [shapely.to_wkb(zone.geometry) for zone in everything],
        ],
        schema=ZONES,
    )


def related_zones(campus: Campus) -> pa.Table:
    """The pairs of which one holds the other, both ways round; without the campus, which holds all."""
    zones = campus.zones
    shapes = [zone.geometry for zone in zones]
    tree = shapely.STRtree(shapes)
    pairs = set()
    for inner, outer in zip(*tree.query(shapes, predicate="intersects"), strict=True):
        if inner == outer:
            continue
        common = shapely.area(shapely.intersection(shapes[inner], shapes[outer]))
        if common >= HELD_SHARE * shapely.area(shapes[inner]):
            pairs |= {(zones[inner].id, zones[outer].id), (zones[outer].id, zones[inner].id)}
    return pa.table([[zone for zone, _ in sorted(pairs)], [other for _, other in sorted(pairs)]], schema=RELATED)
