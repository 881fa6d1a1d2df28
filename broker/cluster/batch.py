"""A batch of messages, as the script `publish` wants it."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from broker.cluster.routes import Plan, Wanted
from broker.protocol.message import Message
from core.kinds import Kinds

MAX_ENTRY_BYTES = 256 * 1024
"""Payload of one entry of an inbox, unless a single message has more."""
MAX_TARGETS = 500
"""Messages that one script puts into queues: it keeps Redis from everything else meanwhile."""
MAX_WORK = 6000
"""What the messages of one script may be worth, for the same reason: so many that nobody retains or guards."""
RETAINED_WORK = 10
GUARDED_WORK = 5
"""And as much again for each node that gets it, for it is an entry of its own there."""
BYTES_OF_ONE_TARGET = 16_384
"""A message of so many bytes more counts as one more, for it is copied into each queue."""
UNGUARDED = 0

_encoder = msgspec.msgpack.Encoder()


class Guard(NamedTuple):
    """What makes a message be published once: whoever comes second finds that it is done."""

    client_id: str = ""
    packet_id: int = 0
    """Of a QoS 2 message that a persistent session's client has sent."""
    owner: str = ""
    connection: int = 0
    """Of a will: the connection that it is of."""


class Routed(NamedTuple):
    """A message and who gets it."""

    message: Message
    guard: Guard | None
    plan: Plan
    retain: bool
    """Whether it is to be retained, or to end what is."""
    state: bool = False
    """Whether it is a state: persistent sessions get it as what is retained, once they are told that it has changed."""


class Part:
    """What one script does."""

    def __init__(self) -> None:
        self.guards: list[Guard] = []
        self.blobs: list[bytes] = []
        self.inboxes: dict[str, list[tuple[int, int, int]]] = {}
        self.queues: list[tuple[int, int, tuple[str, ...], list[str], bool]] = []
        self.retained: list[tuple[int, str, int, bool, int]] = []
        self.states: dict[str, list[tuple[int, str]]] = {}
        self.targets = 0
        self.positions = False
        """Whether there are positions of devices among them."""

    def blob(self, value: Message | Sequence[Message]) -> int:
        """The number of an encoded message, or of several."""
        self.blobs.append(_encoder.encode(value))
        return len(self.blobs)

    def without(self, refused: set[int]) -> "Part":
        """What a later part does, once it is known which guards have refused."""
        part = Part()
        part.blobs = self.blobs
        part.positions = self.positions
        part.queues = [
            (UNGUARDED, blob, filters, clients, position)
            for guard, blob, filters, clients, position in self.queues
            if guard not in refused
        ]
        return part


def split(messages: Sequence[Routed]) -> Iterator[list[Routed]]:
    """The messages in their order, as many at a time as one script may deal with."""
    some: list[Routed] = []
    work = 0
    for routed in messages:
        guarded = GUARDED_WORK * (1 + len(routed.plan.nodes_qos_0)) if routed.guard is not None else 0
        own = 1 + RETAINED_WORK * routed.retain + guarded
        if some and work + own > MAX_WORK:
            yield some
            some, work = [], 0
        some.append(routed)
        work += own
    if some:
        yield some


def build(messages: Sequence[Routed], kinds: Kinds) -> list[Part]:
    """The scripts that do all of it: the first has the guards, later ones only more messages for queues."""
    first = Part()
    parts = [first]
    open_entries: dict[str, _Entry] = {}
    for message, guard, plan, retain, state in messages:
        number = UNGUARDED
        if guard is not None:
            first.guards.append(guard)
            number = len(first.guards)
        for node in plan.nodes if message.qos else plan.nodes_qos_0:
            entry = open_entries.get(node)
            if entry is None:
                entry = open_entries[node] = _Entry(node, kinds)
            entry.add(message, number, first)
        if state:
            for node in plan.nodes_qos_0:
                first.states.setdefault(node, []).append((number, message.topic))
        elif message.qos and plan.queues:
            _queue(message, number, plan, kinds, parts)
        if retain:
            blob = first.blob(message) if message.payload else 0
            first.retained.append((number, message.topic, blob, message.anonymous, message.qos if state else 0))
    for entry in open_entries.values():
        entry.end(first)
    return parts


class _Entry:
    """The entry of a node's inbox that is being filled; a message with a guard has one to itself."""

    __slots__ = ("_kinds", "_messages", "_node", "_size")

    def __init__(self, node: str, kinds: Kinds) -> None:
        self._node = node
        self._kinds = kinds
        self._messages: list[Message] = []
        self._size = 0

    def add(self, message: Message, guard: int, part: Part) -> None:
        size = len(message.payload)
        if guard or self._size + size > MAX_ENTRY_BYTES:
            self.end(part)
        self._messages.append(message)
        self._size += size
        if guard:
            self.end(part, guard)

    def end(self, part: Part, guard: int = UNGUARDED) -> None:
        if self._messages:
            entry = (guard, part.blob(self._messages), len(self._messages))
            part.inboxes.setdefault(self._node, []).append(entry)
            part.positions |= any(self._kinds.ingest_kind(message.topic) for message in self._messages)
        self._messages = []
        self._size = 0


def _queue(message: Message, guard: int, plan: Plan, kinds: Kinds, parts: list[Part]) -> None:
    position = kinds.ingest_kind(message.topic) is not None
    # Those who want the same share it, so it is known by itself alone: that is faster than by what is in it.
    alike: dict[int, tuple[Wanted, list[str]]] = {}
    for client, wanted in plan.queues.items():
        alike.setdefault(id(wanted), (wanted, []))[1].append(client)
    own = 1 + len(message.payload) // BYTES_OF_ONE_TARGET
    for (most, filters), clients in alike.values():
        # Subscribers get the RETAIN flag only with what was retained before they came [MQTT-3.3.1-9].
        queued = Message(message.topic, message.payload, min(most, message.qos), user=message.user)
        # A script that finds that somebody has unsubscribed may have to look at each of the filters.
        each = own + len(filters) - 1
        step = max(1, MAX_TARGETS // each)
        for begin in range(0, len(clients), step):
            some = clients[begin : begin + step]
            if parts[-1].targets and parts[-1].targets + len(some) * each > MAX_TARGETS:
                parts.append(Part())
            part = parts[-1]
            part.queues.append((guard, part.blob(queued), filters, some, position))
            part.positions |= position
            part.targets += len(some) * each
