"""What a form of positions is, and how a list of them is read."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from core.errors import InvalidMessageError
from payloads.checking import checked_count
from payloads.fix import Fix, Ignored, Outcome, Refusal, Sender
from payloads.objects import object_in

Head = Mapping[str, msgspec.Raw] | Sequence[msgspec.Raw]
"""The members of a JSON object, or of a list, not yet decoded."""
One = Callable[[Mapping[str, Any], Sender], Fix | Ignored]
"""Reads one object. Raises InvalidMessageError."""


@dataclass(frozen=True, slots=True)
class Format:
    """One form."""

    name: str
    """What people call it."""
    matches: Callable[[Head], bool]
    """Whether an object or a list with these members is of this form."""
    read: Callable[[Head, bytes, Sender], Fix | list[Outcome]]
    """What is in JSON of this form, of which the members are given as well. Raises InvalidMessageError where all of it
    is unusable."""
    insists: bool = False
    """Whether its app sends a message over HTTP again and again until it is answered as one that was taken."""


def alone(one: One, text: bytes, sender: Sender) -> Fix | list[Outcome]:
    """What one object comes to. Raises InvalidMessageError where it is unusable."""
    outcome = one(object_in(text), sender)
    return outcome if isinstance(outcome, Fix) else [outcome]


def each(one: One, members: Sequence[msgspec.Raw], sender: Sender, envelope: bytes = b"%b") -> list[Outcome]:
    """What the members of a list come to, each for itself. Raises InvalidMessageError (too_many_features).

    `envelope` has `%b` where the member is, in what an app would send to send it alone: a dead letter has to be of the
    same form, for whoever replays it, and for whoever looks for what names a device.
    """
    checked_count(len(members))
    return [_outcome(one, index, member, sender, envelope) for index, member in enumerate(members)]


def _outcome(one: One, index: int, member: msgspec.Raw, sender: Sender, envelope: bytes) -> Outcome:
    try:
        return one(object_in(member), sender)
    except InvalidMessageError as error:
        return Refusal(error, index, envelope % bytes(member))
