"""What reading a message comes to: fixes, refusals, and what is no position but may be sent all the same."""

from dataclasses import dataclass

import msgspec

from core.errors import InvalidMessageError


class Sender(msgspec.Struct, frozen=True, gc=False):
    """Who sent a message, as far as reading it depends on that."""

    own: str | None
    """The id of the device that sent it; None where the sender is none, and says whose a position is."""
    topic_id: str | None
    """The device that a topic of an app names; None where the topic names none."""
    role: str
    """The name of its role, for people."""
    received_at: int
    """When the message was received, milliseconds since the epoch."""
    max_age: int | None
    """How old a fix may be then (ms), None for any age."""


class Fix(msgspec.Struct, frozen=True, gc=False):
    """A checked feature: a device was at a place at a time. Not yet known to be on the campus."""

    device_id: str
    longitude: float
    latitude: float
    """Degrees, WGS 84."""
    altitude: float | None
    """Metres."""
    observed_at: int
    """Milliseconds since the epoch."""
    accuracy: float | None
    """Metres."""
    speed: float | None
    """Metres a second."""
    heading: float | None
    """Degrees clockwise from true north."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A message, or one member of it, that cannot be used."""

    error: InvalidMessageError
    index: int | None = None
    """Which of the message's members it is, from 0; None where it is the whole message."""
    member: bytes | None = None
    """JSON that sends that member alone; None where it is the whole message."""

    def __post_init__(self) -> None:
        """Let go of where the error was raised: these frames refer to one another, so that only a collector frees them.

        Five hundred of them are 8,000 objects, and a collector that has seen some such messages stops for 90 ms.
        """
        self.error.__traceback__ = self.error.__cause__ = self.error.__context__ = None


@dataclass(frozen=True, slots=True)
class Ignored:
    """What an app sends beside positions: nothing is wrong with it, and nothing is to be done."""

    what: str
    """A word that tells of which kind it is, in small letters."""


Outcome = Fix | Refusal | Ignored
