"""Why something is turned away, and how clients are told: all codes and words in one place.

MQTT 3.1.1 has a code in its CONNACK and one in its SUBACK, and ends the connection for everything else. MQTT 5 has a
code for each answer and for the end: a `Refusal` is what such a code would be looked up by.
"""

from enum import IntEnum, StrEnum

FAILURE = 0x80
"""The return code of a SUBSCRIBE that is refused (3.9.3)."""


class ConnectCode(IntEnum):
    """The return code of a CONNACK (3.2.2.3)."""

    ACCEPTED = 0
    BAD_PROTOCOL = 1
    BAD_CLIENT_ID = 2
    UNAVAILABLE = 3
    BAD_CREDENTIALS = 4
    NOT_AUTHORIZED = 5


class Refusal(StrEnum):
    """The words by which it is counted (`broker_refused_total`) and logged; docs/operating.md says what to do."""

    # A CONNECT, answered with a ConnectCode.
    REFUSED_CONNECT = "refused_connect"
    """By who it is, by what it asks for, or because the service is not there; the log says which."""
    TOO_LARGE_CONNECT = "too_large_connect"
    TOO_MANY_SESSIONS = "too_many_sessions"
    FOREIGN_CLIENT_ID = "foreign_client_id"
    TOO_MANY_WILLS = "too_many_wills"

    # A connection, before its CONNECT.
    TOO_MANY_CONNECTIONS = "too_many_connections"
    TOO_MANY_OF_ONE_ADDRESS = "too_many_of_one_address"
    CONNECT_TIMEOUT = "connect_timeout"

    # A connection that ends.
    BAD_CONNECT = "bad_connect"
    PROTOCOL = "protocol"
    KEEPALIVE = "keepalive"
    SLOW_CONSUMER = "slow_consumer"
    UNFINISHED = "unfinished"
    TAKEN_OVER = "taken_over"
    """By a later connection of the client, here."""
    SUPERSEDED = "superseded"
    """By one at another node."""
    USER_CHANGED = "user_changed"
    EXPELLED = "expelled"
    """The other nodes have taken this one for dead."""
    DEFECT = "defect"
    """A mistake of ours."""

    # A SUBSCRIBE, answered with FAILURE.
    SUBSCRIBE = "subscribe"
    TOO_MANY_SUBSCRIPTIONS = "too_many_subscriptions"
    FILTER_BYTES = "filter_bytes"
    SESSION_BYTES = "session_bytes"

    # A PUBLISH, acknowledged and dropped; `topic_limit` also a SUBSCRIBE.
    PUBLISH = "publish"
    UNMAPPED = "unmapped"
    """To a topic beside those of TOPIC_KINDS: apps publish there what is no position."""
    TOPIC_LIMIT = "topic_limit"
    TOO_LARGE = "too_large"


class Drop(StrEnum):
    """Why a message is gone although nobody refused it (`broker_dropped_total`)."""

    QOS0_BUFFER = "qos0_buffer"
    """Of QoS 0, beyond what waits for Redis."""
    CLEARED = "cleared"
    """An empty payload on a topic of positions: apps clear with it what they think is retained."""
    WILL = "will"
    """A will for a topic of positions: the client was let in without."""
