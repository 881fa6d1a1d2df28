"""The wire format of `raw`: an entry holds a batch of messages, as brokers and the API append them.

    n   how many messages
    b   MessagePack: [1, [[topic, user, role, received_at, refused, [payload, ...]], ...]], where 1 is the version of
        the format; `refused` is empty where the broker kept the payload

An entry is bounded in messages and bytes, so that whatever is done with one is bounded work. Entries of the version
before, a message each, have the fields of `core.messages.RawMessage.encode`, and are still read.
"""

from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

import msgspec

from core.clock import EARLIEST_MS, LATEST_MS
from core.errors import Reason
from core.messages import RawMessage
from core.unreadable import UNREADABLE

MOST_MESSAGES = 500
"""Of one entry: as many as a decoder takes to a batch by default."""
MOST_BYTES = 512 * 1024
"""Of the payloads of one entry. A payload alone has 64 KiB at the most."""
VERSION: Literal[1] = 1
COUNT, BATCH = b"n", b"b"
"""Names of the fields."""
_REASONS = {"": None, **{reason.value: reason for reason in Reason}}


class Group(NamedTuple):
    """Messages that share everything but their payload; the fields are those of core.messages.RawMessage."""

    topic: str
    user: str
    role: str
    received_at: int
    refused: str
    """Empty if they were not."""
    payloads: list[bytes]


class Entry(NamedTuple):
    """An entry that is to be appended."""

    messages: int
    batch: bytes


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[Literal[1], list[Group]]).decode


def encode_entry(groups: list[Group]) -> Entry:
    """One entry of all of it, which is within the bounds."""
    return Entry(sum(len(group.payloads) for group in groups), _encode((VERSION, groups)))


def encode_entries(groups: Iterable[Group]) -> list[Entry]:
    """As many entries as the bounds ask for, in the order of the messages."""
    entries: list[Entry] = []
    taken: list[Group] = []
    messages = size = 0
    for group in groups:
        for part in _parts(group):
            own = sum(map(len, part.payloads))
            if taken and (messages + len(part.payloads) > MOST_MESSAGES or size + own > MOST_BYTES):
                entries.append(encode_entry(taken))
                taken, messages, size = [], 0, 0
            taken.append(part)
            messages += len(part.payloads)
            size += own
    if taken:
        entries.append(encode_entry(taken))
    return entries


def _parts(group: Group) -> list[Group]:
    """A group in pieces that are each within the bounds: itself, nearly always."""
    payloads = group.payloads
    if len(payloads) <= MOST_MESSAGES and sum(map(len, payloads)) <= MOST_BYTES:
        return [group]
    parts: list[list[bytes]] = []
    size = 0
    for payload in payloads:
        size += len(payload)
        if not parts or len(parts[-1]) == MOST_MESSAGES or size > MOST_BYTES:
            parts.append([])
            size = len(payload)
        parts[-1].append(payload)
    return [group._replace(payloads=part) for part in parts]


def group_of(message: RawMessage) -> Group:
    """A message as a group of one."""
    return Group(
        message.topic,
        message.user,
        message.role,
        message.received_at,
        message.refused.value if message.refused else "",
        [message.payload],
    )


def counted(fields: Mapping[bytes, bytes]) -> int:
    """How many messages an entry was counted for when it was appended; 0 for one of the version before, and others."""
    try:
        found = int(fields.get(COUNT, b""))
    except ValueError:
        return 0
    return found if 0 < found <= MOST_MESSAGES and BATCH in fields else 0


def decode_entry(fields: Mapping[bytes, bytes]) -> list[RawMessage]:
    """The messages of an entry, one at least. Raises ValueError if no broker of this version or the last wrote it."""
    try:
        if BATCH not in fields:
            return [RawMessage.decode(dict(fields))]
        messages = [
            RawMessage(group.topic, group.user, group.role, group.received_at, payload, _REASONS[group.refused])
            for group in _decode(fields[BATCH])[1]
            if EARLIEST_MS <= group.received_at <= LATEST_MS
            for payload in group.payloads
        ]
    except (KeyError, *UNREADABLE) as error:
        raise ValueError("an entry of raw that no broker wrote") from error
    if not messages or len(messages) != counted(fields):
        raise ValueError("an entry of raw whose count is another")
    return messages
