"""A batch of raw messages, decoded: positions on the campus, dead letters, and counts. No I/O, no clock."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from core.clock import AHEAD_MS
from core.errors import InvalidMessageError, Reason
from core.kinds import KindId, Kinds, Role, listed
from core.messages import DeadLetter, Position, RawMessage
from decoder.believable import what_they_say
from decoder.dead_letters import Refused, dead_letters
from decoder.devices import DeviceHasher
from decoder.rules import Rules
from geofence import Geofence, cell
from payloads import Fix, Refusal, Sender
from payloads.reading import read_at_once
from runtime.ages import parse_ages
from runtime.devices import DestroyedKeyError
from state.effect_parts import Outside, Said
from state.slots import partition_of

FEATURES_AT_ONCE = 1000
LETTER_BYTES_AT_ONCE = 1_000_000
"""At more, usable, ignored or neither, the rest of the messages is left for the next batch: one script acknowledges a
batch. The last message of a batch may bring 499 features, and 450 kB of dead letters, more."""
KEY_SOURCE = "key:"
"""How the user begins who sends by the API with a key, where that is a part of who a device is."""
PRESENCE_MAX_MS = 86_400_000
"""The longest PRESENCE_TTL."""


@dataclass(slots=True)
class Batch:
    """What a batch of messages came to."""

    taken: int = 0
    """How many of the messages it is of: the first ones."""
    fence: str = ""
    """Version of the campus that all of it was fenced with."""
    number: int = 0
    """The number of that campus (`state.campus`)."""
    positions: list[Position] = field(default_factory=list)
    partitions: list[int] | None = None
    """Of each position, the partition of its device; None where there is one partition."""
    said: list[Said] | None = None
    """Of each position, what it says of zones; None where all of them are sure."""
    outside: list[Outside] = field(default_factory=list)
    """Devices that were outside the campus, each once: they leave the zones they were in."""
    dead: list[DeadLetter] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    """What the dead letters of messages are made of, for those who are told of it."""
    sources: set[str] = field(default_factory=set)
    """Who sent positions of devices beside these themselves, where that is a part of who a device is."""
    totals: Counter[str] = field(default_factory=Counter)
    """Increments of the hash `totals` (`state.totals`); dead letters are counted where they are added."""
    ignored: Counter[str] = field(default_factory=Counter)
    """Messages that are no positions and may be sent all the same, by what they are (`payloads.IGNORED`)."""


Found = tuple[RawMessage, KindId, Fix]


class BatchDecoder:
    """Decodes batches with one key, each with the geometry of the moment at which it began."""

    def __init__(
        self,
        *,
        kinds: Kinds,
        fence: Geofence,
        hasher: DeviceHasher,
        partitions: int,
        rules: Rules | None = None,
        features_at_once: int = FEATURES_AT_ONCE,
        presence_ttl: int = 300,
        by_source: bool = False,
    ) -> None:
        """`rules` are those of the settings' defaults unless given; `presence_ttl` is in seconds.

        With `by_source` who sends a position is a part of who its device is. A batch ends with the message that brings
        it to `features_at_once`, usable, ignored or neither.
        """
        self.fence = fence
        self._kinds = kinds
        self._topics = listed(kinds.ingest_levels, "or")
        self.number = 0
        """The number of the campus that `fence` is of."""
        self._partitions = partitions
        self._rules = rules or Rules(parse_ages("", kinds))
        self._role_name = ""
        self._role: Role | None = None
        self._is_device = False
        self._max_age: int | None = None
        self._hasher = hasher
        # A device's clock may be ahead: what was counted before the key changed may lapse so much later.
        self._lapsed_ms = presence_ttl * 1000 + AHEAD_MS
        self._by_source = by_source
        self._features_at_once = features_at_once

    def decode(self, messages: Sequence[RawMessage], malformed: Sequence[DeadLetter] = ()) -> Batch:
        """The effects of the first of `messages`, as many as one script can acknowledge, and of `malformed` entries.

        Never raises for what they hold, but MissingKeyError where keys of devices rotate and that of a time is to be
        made known: then it is to be done again.
        """
        fence = self.fence
        batch = Batch(fence=fence.version, number=self.number, dead=list(malformed))
        fixes: list[Found] = []
        refused = batch.refused
        letter_bytes = 0
        for message in messages:
            bad = len(refused)
            read = len(fixes) + bad + (batch.ignored.total() if batch.ignored else 0)
            if read >= self._features_at_once or letter_bytes >= LETTER_BYTES_AT_ONCE:
                break
            batch.taken += 1
            self._read(message, fixes, refused, batch.ignored)
            if len(refused) > bad:
                # Of what was in gzip a letter may be much longer than the message.
                letter_bytes += sum(len(each.member or message.payload) for each in refused[bad:])
        batch.totals["messages"] = batch.taken
        batch.totals["ignored"] = batch.ignored.total()
        self._locate(fence, fixes, batch)
        batch.dead += dead_letters(fence, self._kinds, refused)
        batch.totals = +batch.totals
        return batch

    def _read(self, message: RawMessage, fixes: list[Found], refused: list[Refused], ignored: Counter[str]) -> None:
        # Most batches are of one role.
        if message.role != self._role_name:
            self._role_name = message.role
            role = self._role = self._kinds.role_by_name.get(message.role)
            self._max_age = None if role is None else self._rules.max_age_ms.get(role)
            self._is_device = role is not None and role.kind is not None
        try:
            kind = self._kind(message)
        except InvalidMessageError as error:
            refused.append(Refused(message, error, None))
            return
        own = message.user if self._is_device else None
        # Whose a topic is does not matter where a device sends, for itself: so that most messages do not ask for it.
        topic_id = self._kinds.topic_id(message.topic) if own is None else None
        sender = Sender(own, topic_id, message.role, message.received_at, self._max_age)
        found = read_at_once(message.payload, sender)
        if isinstance(found, Fix):
            fixes.append((message, kind, found))
            return
        for outcome in found:
            if isinstance(outcome, Fix):
                fixes.append((message, kind, outcome))
            elif isinstance(outcome, Refusal):
                refused.append(Refused(message, outcome.error, outcome.member))
            else:
                ignored[outcome.what] += 1

    def _kind(self, message: RawMessage) -> KindId:
        if message.refused is not None:
            raise InvalidMessageError(message.refused, "a payload over the broker's limit; nothing of it was kept")
        kind = self._kinds.ingest_kind(message.topic)
        if kind is None:
            raise InvalidMessageError(Reason.UNKNOWN_TOPIC, f"positions go to {self._topics}")
        if self._role is None:
            raise InvalidMessageError(Reason.MALFORMED_ENTRY, "sent in a role that is none: of a kind that has gone?")
        return kind

    def _locate(self, fence: Geofence, fixes: list[Found], batch: Batch) -> None:
        places = np.array([(fix.longitude, fix.latitude) for _, _, fix in fixes], dtype=np.float64).reshape(-1, 2)
        positions, hasher, version = batch.positions, self._hasher.hash, fence.version
        rotates, by_source, source, destroyed = self._hasher.rotates, self._by_source, "", 0
        rules, outside, partitions = self._rules, dict[str, Outside](), self._partitions
        of_positions = None if partitions == 1 else list[int]()
        batch.partitions = of_positions
        located = fence.locate(places[:, 0], places[:, 1])
        says, unsure_outside = what_they_say(fence, rules, [fix for _, _, fix in fixes], places, located)
        said = None if says is None else list[Said]()
        batch.said = said
        for index, ((message, kind, fix), zones) in enumerate(zip(fixes, located, strict=True)):
            metres = fix.accuracy or 0
            inaccurate, nowhere = metres > rules.max_accuracy, metres > rules.max_accuracy_campus
            # It may as well be inside; or it was so long ago that nobody counts as present since.
            if zones is None and (
                nowhere or index in unsure_outside or fix.observed_at < message.received_at - PRESENCE_MAX_MS
            ):
                continue
            if by_source:
                source = self._source(message)
                batch.sources.add(source)
            try:
                device = hasher(kind, fix.device_id, source=source, at=fix.observed_at)
            except DestroyedKeyError:
                destroyed += 1
                batch.refused.append(_without_key(message))
                continue
            if zones is None:
                self._leaves(outside, kind, device, fix)
            else:
                if of_positions is not None:
                    of_positions.append(partition_of(fix.device_id, partitions))
                if said is not None and says is not None:
                    said.append(None if inaccurate else says[index])
                positions.append(
                    Position(
                        kind,
                        device,
                        fix.observed_at,
                        message.received_at,
                        fix.longitude,
                        fix.latitude,
                        zones if not inaccurate else () if nowhere else zones[:1],
                        cell(fix.longitude, fix.latitude),
                        fix.altitude,
                        fix.accuracy,
                        fix.speed,
                        fix.heading,
                        version,
                        False,  # noqa: FBT003 - implausible: positional arguments are faster
                        inaccurate,
                    )
                )
            if rotates and not nowhere:
                self._leaves_before(outside, kind, fix, source)
        batch.totals["positions"] = len(positions)
        batch.totals["outside"] = len(fixes) - len(positions) - destroyed
        batch.outside = list(outside.values())

    def _leaves(self, outside: dict[str, Outside], kind: KindId, device: str, fix: Fix) -> None:
        """Note that a device, by a hash of it, is not on the campus from a time on; of several the last."""
        known = outside.get(device)
        if known is None or known.observed_at < fix.observed_at:
            partition = partition_of(fix.device_id, self._partitions) if self._partitions > 1 else 0
            outside[device] = Outside(kind, device, fix.observed_at, partition)

    def _leaves_before(self, outside: dict[str, Outside], kind: KindId, fix: Fix, source: str) -> None:
        """By its hash of before the key changed a device is present no more: else it counts twice until that lapses."""
        before = self._hasher.hash_before(
            kind, fix.device_id, source=source, at=fix.observed_at, within=self._lapsed_ms
        )
        if before is not None:
            self._leaves(outside, kind, before, fix)

    def _source(self, message: RawMessage) -> str:
        """Who sent a message; "" where the device speaks for itself."""
        if self._kinds.role_by_name[message.role].kind is not None:
            return ""
        if message.user.startswith(KEY_SOURCE):
            return message.user
        return f"{message.role}:{message.user}" if message.user else message.role


def _without_key(message: RawMessage) -> Refused:
    """Of a message that has waited for so long that a key was destroyed meanwhile nothing is kept."""
    detail = "so old that the key of its device's hash was destroyed before it was decoded"
    return Refused(message, InvalidMessageError(Reason.TOO_OLD, detail), None, is_secret=True)
