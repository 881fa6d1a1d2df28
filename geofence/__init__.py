"""Pure geometry: the campus, its zones, and which of them hold a position. No clock, and no I/O but reading one file.

Coordinates are degrees of WGS 84, longitude before latitude, as in GeoJSON (RFC 7946).
"""

from geofence.apart import Finest, share_a_place, too_fine
from geofence.campus import MAX_FEATURES, Campus, InvalidCampusError, changed_zones, load_campus, parse_campus
from geofence.cells import box_of, cell
from geofence.fence import Geofence
from geofence.zones import Zone

__all__ = [
    "MAX_FEATURES",
    "Campus",
    "Finest",
    "Geofence",
    "InvalidCampusError",
    "Zone",
    "box_of",
    "cell",
    "changed_zones",
    "load_campus",
    "parse_campus",
    "share_a_place",
    "too_fine",
]
