"""Forms of positions beside the GeoJSON of `payloads.geojson`, a file each, chosen by what is in a payload."""

from payloads.formats.feature_list import FEATURE_LIST
from payloads.formats.form import Format, Head
from payloads.formats.gpslogger import GPSLOGGER
from payloads.formats.overland import OVERLAND
from payloads.formats.owntracks import IGNORED as BESIDE_LOCATIONS
from payloads.formats.owntracks import OWNTRACKS
from payloads.formats.traccar import TRACCAR, TRACCAR_SERVER

__all__ = ["FORMATS", "IGNORED", "Format", "Head"]

FORMATS: tuple[Format, ...] = (FEATURE_LIST, OWNTRACKS, TRACCAR, TRACCAR_SERVER, OVERLAND, GPSLOGGER)
"""All of them; the first that matches reads a payload."""
IGNORED = BESIDE_LOCATIONS | {"empty", "action", "trip", "no_fix"}
"""All that `payloads.Ignored` may be of: an empty message, and what OwnTracks, Overland and Traccar send beside."""
