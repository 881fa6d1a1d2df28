"""Names of members that apps use in positions: what they are says what may be kept of their values."""

from enum import Enum, auto


class Means(Enum):
    """What a member holds."""

    TYPE = auto()  # a word
    PLACE = auto()  # a position, or lists of them
    BOX = auto()  # a bounding box
    LONGITUDE = auto()
    LATITUDE = auto()
    MEASURE = auto()  # one number
    TIME = auto()
    IDENTITY = auto()
    MORE = auto()  # an object, or several


_NAMES = {
    Means.TYPE: "type _type kind event provider",
    Means.PLACE: "coordinates coordinate coords position point location latlng lnglat loc gps geo",
    Means.BOX: "bbox",
    Means.LONGITUDE: "longitude lon lng long x",
    Means.LATITUDE: "latitude lat y",
    Means.MEASURE: "accuracy acc hacc vacc vac horizontalaccuracy verticalaccuracy horizontal_accuracy"
    " vertical_accuracy speed vel velocity spd speedaccuracy speed_accuracy"
    " heading bearing course cog dir direction altitude alt elevation ele height battery batt batterylevel"
    " battery_level level hdop pdop satellites sat sats rssi snr distance odometer temperature count number"
    " seq sequence",
    Means.TIME: "timestamp time time_long ts tst datetime date observedat observed_at createdat created_at fixtime"
    " gpstime utc",
    Means.IDENTITY: "device_id deviceid device id tid uid uuid imei name user username client clientid client_id"
    " topic aid ser unique_id uniqueid androidid vehicle vehicleid sensor tracker serial",
    Means.MORE: "geometry geometries properties features feature positions points locations data payload message body"
    " attributes extras sensors status value values",
}
KNOWN: dict[str, Means] = {name: means for means, names in _NAMES.items() for name in names.split()}
"""By name, in small letters. No name that is not here is ever kept: it may be anything, a device id or a place."""


def meaning(name: str) -> Means | None:
    """What a member of that name holds; None where nobody can know."""
    return KNOWN.get(name.lower())
