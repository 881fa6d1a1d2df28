"""Two families of errors, which decide what happens next.

An `InvalidMessageError` is never tried again: it goes to the dead letters with its reason. An `UnavailableError`
dependency is tried again, later. Anything else is a defect of ours: it ends the stage that it is in, which is started
again.
"""

from enum import StrEnum


class Reason(StrEnum):
    """Why a message could not be used. Each reason is a label of a counter and is written in the dead letter."""

    TOO_LARGE = "too_large"  # more than 64 KiB, also once it is unpacked; of a larger payload the broker keeps nothing
    NOT_BASE64 = "not_base64"  # neither JSON nor base64 of it
    NOT_JSON = (
        "not_json"  # what it decodes to is not JSON in UTF-8, or is nested too deeply; NaN and Infinity are not JSON
    )
    NOT_GEOJSON = "not_geojson"  # JSON, but neither GeoJSON nor of an app (docs/formats.md)
    NOT_A_POINT = "not_a_point"  # GeoJSON, but of another geometry
    BAD_COORDINATES = "bad_coordinates"  # no longitude and latitude as numbers, or one of them out of range
    BAD_PROPERTY = "bad_property"  # a property that we read has the wrong type, or a value out of range
    TOO_MANY_FEATURES = "too_many_features"  # more than 500 in one message
    NO_DEVICE = "no_device"  # no device_id, and the MQTT user is not a device
    WRONG_DEVICE = "wrong_device"  # a device spoke for another
    FUTURE_TIMESTAMP = "future_timestamp"  # more than five minutes ahead of the broker's clock
    TOO_OLD = "too_old"  # older than POSITION_MAX_AGE lets its sender's role send
    MALFORMED_ENTRY = "malformed_entry"  # a stream entry that no service of ours wrote
    REJECTED_DOCUMENT = "rejected_document"  # the document store will never take it
    REJECTED_WINDOW = "rejected_window"  # the time-series store will never take it
    REJECTED_RECORD = "rejected_record"  # Kafka will never take it
    MALFORMED_WINDOW = "malformed_window"  # a name among the windows that changed that is none of a window
    POISON = "poison"  # an entry that every decoder that took it died of; nothing of it is kept
    UNKNOWN_TOPIC = "unknown_topic"  # no kind of the table has it


class InvalidMessageError(Exception):
    """A message, or one feature of it, that can never be used."""

    def __init__(self, reason: Reason, detail: str) -> None:
        """Keep the reason and a sentence for people; the sentence never holds a coordinate or a device id."""
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class UnavailableError(Exception):
    """A dependency does not answer, or asks for less: the work is to be tried again."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        """`retry_after` is the wait in seconds that the dependency asked for, None where it named none."""
        super().__init__(message)
        self.retry_after = retry_after


class UnansweredError(UnavailableError):
    """A dependency was asked to do something, and nobody knows whether it has done it, or will yet."""


class BadSettingsError(Exception):
    """A setting that cannot work; the message names the environment variable and says what to do."""
