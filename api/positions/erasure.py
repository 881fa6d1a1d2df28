"""Forgetting a device: its documents, its marks, where it is now, and what of it nobody has decoded or could decode.

What stays, and why:

- Counts. They were right, and there is no device in them, neither in the series nor in Redis: what a device was seen
  in is a key of its own, and goes. So a device that goes on sending is a new one, and is counted once more in windows
  that it was counted in, and that get positions yet: one too many in each of those, for each erasure. So are marks of
  others: who was marked for what it had in common with this device keeps that mark, unless its hour is judged again.
- A stream cannot be rewritten while others read it. So what is in `raw` and in `positions` is waited for, until it has
  become documents, and has been exported, and then erased; where it does not go on, the answer says so, and the erasure
  is to be repeated. So it is with what brokers are about to hand to connected subscribers of positions. What waits for
  those who are away is removed.
- CouchDB keeps the id of a deleted document, hash and time, until the database of its month is dropped. An account of
  MQTT is not a position, and stays. Backups are out of reach, and so is what a file system has freed; and all that was
  exported, but for the lake: what was written to Kafka stays until its topic forgets it (KAFKA_RETENTION).
- Where keys of hashes rotate, nobody can tell which documents, marks and rows of before the oldest key that is left are
  a device's: not even we. They go when all others of their age do (`cannot_reach`).

Nothing is left in files (docs/decisions/0065-nothing-left.md): SQLite's is written anew, and so is Redis's append-only
file, by a decoder, which is waited for. Where that cannot be, the answer says so (`cannot_reach`).
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Annotated

from pydantic import Field

from api.positions.lake import LakeErasure
from api.positions.naming import names
from api.zones import Zones
from core.clock import Clock, format_rfc3339
from core.errors import UnavailableError
from core.kinds import KindId, Kinds
from documents import DocumentStore
from state.client import Redis
from state.dead_letters import DeadLetters
from state.devices import forget_device
from state.judging import forget_marks
from state.known_hashes import KnownHashes
from state.lake import Outcome
from state.passed import LOOK_SECONDS, until_passed
from state.queued import Message
from state.queued_positions import drop_queued, until_delivered
from state.rewriting import ask_for_rewriting, rewritings
from state.server import keeps_append_only
from state.slots import partition_of, tag

PASS_SECONDS = 5.0
"""How long is waited for what was on its way when the erasure began."""
EXPORT_SECONDS = 10.0
"""How much longer where there is a lake: what was gathered for it is written first."""
ERASE_SECONDS = 20.0
"""How long documents are deleted for one request, and how long the lake is waited for; what is left then takes another
one."""
ERASE_DOCUMENTS = 500
REWRITE_SECONDS = 20.0
"""How long is waited for Redis's append-only files, which take some seconds a GB."""

_NOT_REWRITTEN = (
    "Redis's append-only file holds what was deleted until it is rewritten, which the decoder's user may not have done."
)


@dataclass(frozen=True, slots=True)
class Device:
    """One device to be forgotten, by one of its hashes."""

    kind: KindId
    id: str
    """As it calls itself. It is never logged, and part of no answer."""
    hash: str
    away: str
    """Its second hash (`runtime.devices`)."""


@dataclass(frozen=True, slots=True)
class Erased:
    """What was forgotten of a device; all of it is gone. To ask again changes nothing, and finds nothing."""

    documents: Annotated[int, Field(description="Positions deleted from the document store.", examples=[1284])]
    present: Annotated[int, Field(description="Zones in which it was present until now.", examples=[2])]
    dead_letters: Annotated[
        int, Field(description="Messages of it that could not be used, and were kept until now.", examples=[0])
    ]
    queued: Annotated[
        int, Field(description="Positions of it that waited for MQTT clients who were away.", examples=[0])
    ]
    marks: Annotated[int, Field(description="Hours in which it was marked, until now.", examples=[0])]
    lake: Annotated[
        int, Field(description="Rows deleted from the lake (EXPORT); a position may have had several.", examples=[1284])
    ]
    cannot_reach: Annotated[
        list[str],
        Field(
            description="What is left of it all the same, and until when: a sentence each. Backups, exports and what "
            "a subscriber was sent are beyond what this system knows, and are not among them.",
            examples=[[]],
        ),
    ]


@dataclass
class _Found:
    """What an erasure has deleted so far."""

    documents: int = 0
    present: int = 0
    traces: int = 0
    """All that Redis had of where a device is, or was."""
    letters: int = 0
    queued: int = 0
    marks: int = 0

    def __bool__(self) -> bool:
        return any(astuple(self))


class UnfinishedError(UnavailableError):
    """Not all of it could be reached in time; what was, is gone. To be repeated."""


@dataclass(frozen=True, kw_only=True)
class Erasure:
    """All places that hold something of a device. It may be repeated, and done by several at once."""

    kinds: Kinds
    zones: Zones
    documents: DocumentStore
    hashes: KnownHashes
    redis: Redis
    partitions: int
    clock: Clock

    async def erase(self, device_id: str, kinds: Iterable[KindId]) -> Erased:
        """Forget the devices of these kinds that call themselves so.

        Raises UnavailableError where a store is away, and UnfinishedError where something is left: all that could be
        reached is gone then, and the erasure is to be repeated. A device that goes on sending is a new one from then
        on.
        """
        known = await self.hashes.of(kinds, device_id)
        away = self.hashes.hasher.away
        devices = [Device(kind, device_id, hashed, away(hashed)) for kind, hashed in known.hashes]
        zones = [zone.id for zone in self.zones.campus.everything]
        lake = LakeErasure(self.redis, [device.hash for device in devices], self.clock)
        await lake.ask()
        try:
            await _passed(self.redis, self.partitions, PASS_SECONDS + EXPORT_SECONDS * lake.there)
            left = None
        except UnfinishedError as error:
            left = error
        found = _Found()
        try:
            gone = await self._forget(devices, zones, lake, found)
            if left:
                raise left
            cannot_reach = _without_keys(known.since) + _unreadable(gone) + await self.documents.purge()
        except UnavailableError:
            if found and await keeps_append_only(self.redis):
                # The next request finds nothing of it, and waits for this.
                await ask_for_rewriting(self.redis)
            raise
        # Last: Redis's file holds what was deleted there for the erasure, in any of these steps.
        is_found = bool(found) or gone.rows > 0
        cannot_reach += await _rewritten(self.redis, found=is_found)
        if lake.there and not is_found and await keeps_append_only(self.redis):
            # The order itself named the device. Not waited for: of a large Redis who asks again would do so in vain.
            await ask_for_rewriting(self.redis)
        return Erased(
            documents=found.documents,
            present=found.present,
            dead_letters=found.letters,
            queued=found.queued,
            marks=found.marks,
            lake=gone.rows,
            cannot_reach=cannot_reach,
        )

    async def _forget(
        self, devices: Sequence[Device], zones: Sequence[str], lake: LakeErasure, found: "_Found"
    ) -> Outcome:
        """Forget devices everywhere, and add to `found` what that was; what came of the lake."""
        for device in devices:
            forgotten = await forget_device(
                self.redis,
                tag(partition_of(device.id, self.partitions), self.partitions),
                device=device.hash,
                away=device.away,
                kind=device.kind,
                zones=zones,
            )
            found.present += forgotten.zones
            found.traces += forgotten.traces
        letters = DeadLetters(self.redis, partitions=self.partitions)
        found.letters += await _drop_letters(letters, self.kinds, devices)
        found.queued += await drop_queued(
            self.redis,
            lambda message: any(_is_position_of(message, self.kinds, device) for device in _each_once(devices)),
        )
        try:
            for device in devices:
                await _erase_documents(self.documents, device.hash, found)
        finally:
            # After the documents: what is judged from now on is without them.
            found.marks += await forget_marks(self.redis, [device.hash for device in devices], now=self.clock())
        # After the documents: whoever fills the lake from them would bring back what it has read.
        return await _erase_rows(lake)


async def _passed(client: Redis, partitions: int, seconds: float) -> None:
    """Wait until all that is in `raw` now is decoded, and all that is in `positions` then is stored and exported."""
    # Looked at between commands, not asyncio.timeout: on Python 3.11 a cancellation within one can be swallowed.
    until = asyncio.get_running_loop().time() + seconds
    if not await until_passed(client, partitions, until):
        raise UnfinishedError("messages that came before wait to be decoded or stored", retry_after=PASS_SECONDS)
    if not await until_delivered(client, until):
        raise UnfinishedError("messages that came before wait to be handed to subscribers", retry_after=PASS_SECONDS)


async def _erase_rows(lake: LakeErasure) -> Outcome:
    try:
        return await lake.erase(ERASE_SECONDS)
    except UnavailableError as error:
        raise UnfinishedError(str(error), retry_after=error.retry_after) from error


def _without_keys(since: int | None) -> list[str]:
    if since is None:
        return []
    told = (
        f"Nobody can tell which positions of before {format_rfc3339(since)} were its: the keys of their hashes are"
        " destroyed. They go with all others of their age, by DOCUMENTS_KEEP, MARKS_KEEP and LAKE_KEEP."
    )
    return [told]


def _unreadable(gone: Outcome) -> list[str]:
    if not gone.unreadable:
        return []
    told = (
        f"Nobody knows whether files of the lake that cannot be read ({gone.unreadable}) have something of it, such as"
        f" {gone.first}: repair or delete them, and erase once more."
    )
    return [told]


async def _rewritten(client: Redis, *, found: bool) -> list[str]:
    """Wait until Redis's append-only files are without what was deleted; what is left in them all the same.

    Where nothing was `found`, only what an earlier request has asked for is waited for: of a large Redis that takes
    longer than one of them waits, and no request may begin anew what the next one would wait for in vain.
    """
    if not await keeps_append_only(client):
        return []
    number = await ask_for_rewriting(client) if found else (await rewritings(client)).asked
    until = asyncio.get_running_loop().time() + REWRITE_SECONDS
    while (now := await rewritings(client)).done < number:
        if now.refused >= number:
            return [_NOT_REWRITTEN]
        if asyncio.get_running_loop().time() >= until:
            raise UnfinishedError("Redis's append-only file is still to be rewritten", retry_after=PASS_SECONDS)
        await asyncio.sleep(LOOK_SECONDS)
    return []


async def _erase_documents(store: DocumentStore, device: str, found: "_Found") -> None:
    erased = 0
    loop = asyncio.get_running_loop()
    until = loop.time() + ERASE_SECONDS
    while gone := await store.erase(device, limit=ERASE_DOCUMENTS):
        erased += gone
        found.documents += gone
        if gone < ERASE_DOCUMENTS:
            break
        if loop.time() > until:
            raise UnfinishedError(f"{erased} documents are deleted, and there are more", retry_after=1)


async def _drop_letters(letters: DeadLetters, kinds: Kinds, devices: Sequence[Device]) -> int:
    dropped = 0
    hashes, named = [device.hash.encode() for device in devices], _each_once(devices)
    async for page in letters.raw_fields():
        ids = [
            letter_id
            for letter_id, fields in page
            # The key of a document that the store refused.
            if any(hashed in fields.get(b"detail", b"") for hashed in hashes)
            or any(_is_of(fields, kinds, device) for device in named)
        ]
        dropped += await letters.drop(ids)
    return dropped


def _each_once(devices: Sequence[Device]) -> list[Device]:
    """Of each kind one, with whichever of its hashes."""
    return list({device.kind: device for device in devices}.values())


def _is_of(letter: Mapping[bytes, bytes], kinds: Kinds, device: Device) -> bool:
    """Whether a dead letter holds something of a device: rather one too many, for none of them can be used."""
    topic = letter.get(b"topic", b"").decode(errors="replace")
    if kinds.ingest_kind(topic) not in {device.kind, None}:
        return False
    # Also of a topic of an app, which may name a device by several levels.
    if device.id in topic.split("/")[1:] or kinds.topic_id(topic) == device.id:
        return True
    # The role of a device is the id of its kind.
    if letter.get(b"role") == device.kind.encode() and letter.get(b"user", b"").decode(errors="replace") == device.id:
        return True
    return names(letter.get(b"payload", b""), device.id)


def _is_position_of(message: Message, kinds: Kinds, device: Device) -> bool:
    """Whether a message that waits for a subscriber is a device's: rather one too many."""
    if kinds.ingest_kind(message.topic) == device.kind and message.user == device.id:
        return True
    return _is_of({b"topic": message.topic.encode(), b"payload": message.payload}, kinds, device)
