"""One batch of raw messages, decoded: positions on the campus, dead letters, and counts. No I/O, no clock."""

import base64
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from core.errors import InvalidMessage, Reason
from core.messages import DeadLetter, Kind, Position, RawMessage, ingest_kind
from decoder.devices import DeviceHasher
from decoder.feature import Fix, read_feature
from decoder.payload import features
from geofence import Geofence, cell

MAX_TOPIC = 200
"""Characters of a topic that a dead letter keeps."""


@dataclass(slots=True)
class Batch:
    """What a batch of messages came to."""

    positions: list[Position] = field(default_factory=list)
    dead: list[DeadLetter] = field(default_factory=list)
    totals: Counter[str] = field(default_factory=Counter)
    """Increments of the hash `totals` (core/streams.py); dead letters are counted where they are buried."""


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A feature of which the place is known: a fix, or something unusable that must not be kept if it lies outside."""

    message: RawMessage
    kind: Kind
    longitude: float
    latitude: float
    outcome: Fix | DeadLetter


class BatchDecoder:
    """Decodes batches with one geometry and one key."""

    def __init__(self, *, fence: Geofence, hasher: DeviceHasher) -> None:
        self._fence = fence
        self._hasher = hasher

    def decode(self, messages: Sequence[RawMessage], malformed: Sequence[DeadLetter] = ()) -> Batch:
        """The effects of `messages`, and of `malformed` entries beside them; never raises for what they hold."""
        batch = Batch(dead=list(malformed))
        candidates: list[_Candidate] = []
        for message in messages:
            batch.totals["messages"] += 1
            try:
                self._read(message, batch, candidates)
            except InvalidMessage as error:
                batch.dead.append(_dead(message, error, message.payload))
        self._locate(candidates, batch)
        return batch

    def _read(self, message: RawMessage, batch: Batch, candidates: list[_Candidate]) -> None:
        if message.refused is not None:
            error = InvalidMessage(message.refused, "a payload over the broker's limit; nothing of it was kept")
            batch.dead.append(_dead(message, error, None))
            return
        kind = ingest_kind(message.topic)
        if kind is None:
            raise InvalidMessage(Reason.UNKNOWN_TOPIC, "positions go to car-iotp or mobile-iotp")
        for feature in features(message.payload):
            try:
                fix = read_feature(feature, message)
                candidates.append(_Candidate(message, kind, fix.longitude, fix.latitude, fix))
            except InvalidMessage as error:
                letter = _dead(message, error, base64.b64encode(feature.text))
                if error.place is None:
                    batch.dead.append(letter)
                else:
                    candidates.append(_Candidate(message, kind, *error.place, letter))

    def _locate(self, candidates: list[_Candidate], batch: Batch) -> None:
        located = self._fence.locate(
            np.array([candidate.longitude for candidate in candidates], dtype=np.float64),
            np.array([candidate.latitude for candidate in candidates], dtype=np.float64),
        )
        for candidate, zones in zip(candidates, located, strict=True):
            outcome = candidate.outcome
            if isinstance(outcome, DeadLetter):
                batch.dead.append(outcome if zones else _without_trace(outcome))
            elif zones is None:
                batch.totals["outside"] += 1
            else:
                batch.totals["positions"] += 1
                batch.positions.append(self._position(candidate, outcome, zones))

    def _position(self, candidate: _Candidate, fix: Fix, zones: tuple[str, ...]) -> Position:
        return Position(
            kind=candidate.kind,
            device=self._hasher.hash(candidate.kind, fix.device_id),
            observed_at=fix.observed_at,
            received_at=candidate.message.received_at,
            longitude=fix.longitude,
            latitude=fix.latitude,
            zones=zones,
            cell=cell(fix.longitude, fix.latitude),
            altitude=fix.altitude,
            accuracy=fix.accuracy,
            speed=fix.speed,
            heading=fix.heading,
        )


def _dead(message: RawMessage, error: InvalidMessage, payload: bytes | None) -> DeadLetter:
    return DeadLetter(
        reason=error.reason,
        detail=error.detail,
        topic=message.topic[:MAX_TOPIC],
        received_at=message.received_at,
        payload=payload,
        user=message.user if payload is not None else "",
        role=message.role,
    )


def _without_trace(letter: DeadLetter) -> DeadLetter:
    """The letter for something outside the campus: no payload, and no topic below which a device may be named."""
    return DeadLetter(letter.reason, letter.detail, letter.topic.partition("/")[0], letter.received_at, payload=None)
