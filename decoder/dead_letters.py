"""Dead letters of what cannot be used: what may be kept of it, and what is told of it where nothing may."""

import base64
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from core.errors import InvalidMessageError
from core.kinds import Kinds
from core.messages import DeadLetter, RawMessage
from decoder.contents import Contents, contents
from geofence import Geofence

MAX_TOPIC = 200
"""Characters of a topic that a dead letter keeps."""


class Refused(NamedTuple):
    """A message, or one feature of it, that cannot be used."""

    message: RawMessage
    error: InvalidMessageError
    member: bytes | None
    """JSON that sends the feature alone; None where it is the whole message."""
    is_secret: bool = False
    """Whether nothing of it may be kept, wherever its places are."""


def dead_letters(fence: Geofence, kinds: Kinds, refused: Sequence[Refused]) -> list[DeadLetter]:
    """One for each. A payload is kept only where each place in it is on the campus, and nothing else may be a place."""
    found = [_contents(each) for each in refused]
    places = np.array([place for each in found if each for place in each.places], dtype=np.float64).reshape(-1, 2)
    on_campus = iter([zones is not None for zones in fence.locate(places[:, 0], places[:, 1])])
    letters = []
    for each, inside in zip(refused, found, strict=True):
        here = [next(on_campus) for _ in inside.places] if inside else []
        kept = inside is not None and inside.known and bool(here) and all(here) and not each.is_secret
        letters.append(_letter(each, inside, kinds, kept=kept))
    return letters


def first_level(topic: str, kinds: Kinds) -> str:
    """As much of a topic as can name no device: nothing of one that is not for positions."""
    return topic.partition("/")[0] if kinds.ingest_kind(topic) else "?"


def _contents(refused: Refused) -> Contents | None:
    """None where the broker has kept nothing."""
    if refused.message.refused is not None:
        return None
    return contents(refused.message.payload if refused.member is None else refused.member)


def _letter(refused: Refused, inside: Contents | None, kinds: Kinds, *, kept: bool) -> DeadLetter:
    message, error, member = refused.message, refused.error, refused.member
    size = None if inside is None else len(message.payload if member is None else member)
    shape = "" if inside is None else inside.shape
    if not kept:
        return DeadLetter(
            error.reason,
            error.detail,
            first_level(message.topic, kinds),
            message.received_at,
            payload=None,
            size=size,
            shape=shape,
        )
    return DeadLetter(
        error.reason,
        error.detail,
        message.topic[:MAX_TOPIC],
        message.received_at,
        payload=message.payload if member is None else base64.b64encode(member),
        user=message.user,
        role=message.role,
        size=size,
        shape=shape,
    )
