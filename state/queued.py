"""An application message on its way through the brokers, and as it waits in their queues."""

import msgspec


class Message(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What somebody published, outside the ingest stream `raw`."""

    topic: str
    payload: bytes
    qos: int
    """0, 1 or 2: what it was published with."""
    retain: bool = False
    """Whether the publisher asked that it be retained."""
    anonymous: bool = False
    """Whether that was a client without a user, whose retained messages have limits of their own."""
    user: str = ""
    """Of a position: who has sent it. Queues keep it, so that erasing a device finds what is its."""
    properties: tuple[tuple[int, bytes], ...] = ()
    """Identifier and value of each, as MQTT 5 has them beside topic and payload; nothing sets them yet. It is the last,
    so that what was stored without them stays readable."""
