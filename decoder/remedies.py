"""What to do about each reason for a dead letter, in one line for the author of the app that sent it."""

from core.errors import Reason

REMEDIES: dict[Reason, str] = {
    Reason.TOO_LARGE: "Send fewer positions in a message, or none of what nobody reads: it may have 65,536 bytes.",
    Reason.NOT_BASE64: "Send the JSON as it is, or in base64: what came is neither.",
    Reason.NOT_JSON: "Let a library write the JSON, in UTF-8, and send all of it: NaN and Infinity are not JSON.",
    Reason.NOT_GEOJSON: "Send a GeoJSON Feature with a Point, or what one of the apps in docs/formats.md sends.",
    Reason.NOT_A_POINT: "Send each position as a Feature of its own, with a Point as its geometry.",
    Reason.BAD_COORDINATES: "Send numbers in degrees: longitude first, then latitude, then the altitude, if any.",
    Reason.BAD_PROPERTY: "Mend the property that is named: docs/formats.md has its type and unit.",
    Reason.TOO_MANY_FEATURES: "Send 500 positions in a message at the most.",
    Reason.NO_DEVICE: "Send `device_id`, or give the device an MQTT user of its own (`python -m broker users add`).",
    Reason.WRONG_DEVICE: "Leave `device_id` out, or send the MQTT user's name; who speaks for many is a `gateway`.",
    Reason.FUTURE_TIMESTAMP: "Set the device's clock, and see that the app writes UTC, or an offset that is true.",
    Reason.TOO_OLD: "Send sooner, or as a user with the role `gateway`, or raise POSITION_MAX_AGE.",
    Reason.MALFORMED_ENTRY: "See what else writes to this Redis; all services need one version and KINDS_FILE.",
    Reason.REJECTED_DOCUMENT: "See what the document store says: it takes others. The position was counted.",
    Reason.REJECTED_WINDOW: "See what the time-series store says, and what else writes to its buckets.",
    Reason.REJECTED_RECORD: "See what Kafka says: the topic's `max.message.bytes` may be too small. It was counted.",
    Reason.MALFORMED_WINDOW: "See what else writes to this Redis; a backfill of that hour puts the figures right.",
    Reason.POISON: "See in the logs what the decoders died of, and report it: nothing of the message was kept.",
    Reason.UNKNOWN_TOPIC: "Publish to the topic of a kind; brokers and decoders need the same KINDS_FILE.",
}
_OF_AN_APP: dict[tuple[str, Reason], str] = {
    ("OwnTracks", Reason.NOT_GEOJSON): "Take the encryption key out of the app's settings: TLS protects what it sends.",
    (
        "OwnTracks",
        Reason.NO_DEVICE,
    ): "Give the phone an MQTT user of its own, or set the tracker id (`tid`).",
    ("OwnTracks", Reason.BAD_COORDINATES): "Send `lat` and `lon` as numbers in degrees.",
    ("Traccar", Reason.BAD_COORDINATES): "Send `latitude` and `longitude` in `coords` as numbers in degrees.",
    ("flat JSON", Reason.BAD_COORDINATES): "Send latitude and longitude in degrees.",
}


def remedy(app: str, reason: Reason) -> str:
    """The remedy for what was wrong with the messages of an app, as `decoder.explain` names it."""
    return _OF_AN_APP.get((app, reason), REMEDIES[reason])
