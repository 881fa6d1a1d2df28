"""Sessions: who is connected where, subscriptions, and the queues of those who may be away.

{c} is a client id, {o} an owner: `u:` and a user's name, or `a:` and the address of anonymous clients. Keys
(`state.mqtt`):

    sessions:{mqtt}           set         the clients of all persistent sessions
    owner:{mqtt}:{o}          set         the clients of one owner's persistent sessions
    session:{mqtt}:{c}        hash        `node` and `connection` while there is one, its `owner`, `clean`, and what it
                                          began with; of a persistent session the `next` sequence number of its queue,
                                          the highest `sent`, the highest sent `before` the connection, and one
                                          (`floor`) not above any unfinished one; the `bytes` that it costs, and how far
                                          it has come in `states`. With `ending` it is none, and the rest of its
                                          subscriptions is yet to be deleted
    subscriptions:{mqtt}:{c}  hash        filter -> `state.routes.SubscriptionOptions`. Of persistent sessions only,
                                          like what follows
    queue:{mqtt}:{c}          stream      messages of QoS 1 and 2 until the client has them: `b`, or QoS and topic of
                                          what is in `retained`: `s` a state, `r` what was there when the client
                                          subscribed; and in `a` since when (ms). Ids are `<sequence number>-0`; packet
                                          ids are made of these numbers
    brief:{mqtt}:{c}          stream      the same of what was published to the ingest topics: it lives for minutes at
                                          the most, and the erasure of a device reaches it
    brief:{mqtt}              sorted set  clients with such a queue -> since when its oldest message may be there (ms)
    sessions:bytes:{mqtt}     hash        owner, and `all` -> bytes of queues and subscriptions
                                          (`state/lua/mqtt/costs.lua`)
    released:{mqtt}:{c}       sorted set  sequence numbers of QoS 2 messages that the client has, and has not finished
                                          with
    received:{mqtt}:{c}       set         packet ids of QoS 2 messages that came from the client, and that it has not
                                          released
    sessions:expiry:{mqtt}    sorted set  clients of persistent sessions without a connection -> when they are deleted
                                          (ms)

Only the scripts of `state.mqtt` change them. All methods raise UnavailableError where Redis does not answer: they may
have been done then or not; to call them again does no harm.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from core.errors import UnavailableError
from core.unreadable import UNREADABLE
from state.access import Right, access
from state.client import Redis
from state.mqtt import Answer, PipelineBatcher, key
from state.queued import Message
from state.routes import SubscriptionOptions
from state.unreadable import remove_unreadable, unreadable

ACCESS = {
    Right.WRITE: [access("received:{mqtt}:", "SREM"), *unreadable("queue:{mqtt}:", "XDEL")],
}
SESSIONS = key("sessions")
BYTES = key("sessions:bytes")
EXPIRY = key("sessions:expiry")
BRIEF = key("brief")
NOT_THERE = "this node is not one of the cluster: others took it for dead, or Redis was emptied"
AT_ONCE = 1000
"""Sequence numbers, or retained messages, that one script deals with."""

Losses = tuple[int, int, int, int, int, str]
"""What a script has dropped from queues (queue.lua): for length, age, bytes of the queue, of the owner, of all; who."""

_encoder = msgspec.msgpack.Encoder()
_message = msgspec.msgpack.Decoder(Message)
_place = msgspec.msgpack.Decoder(tuple[str, int])


def session(client: str) -> str:
    """The session of a client."""
    return key("session", client)


def owned(owner: str) -> str:
    """The clients of the persistent sessions of one owner."""
    return key("owner", owner)


def subscriptions(client: str) -> str:
    """The subscriptions of a persistent session."""
    return key("subscriptions", client)


def queue(client: str) -> str:
    """The messages of a persistent session that its client has not got yet."""
    return key("queue", client)


def brief(client: str) -> str:
    """The positions of a persistent session that its client has not got yet."""
    return key("brief", client)


def released(client: str) -> str:
    """The QoS 2 messages that the client of a persistent session has got, and has not finished with."""
    return key("released", client)


def received(client: str) -> str:
    """The packet ids of QoS 2 messages from the client of a persistent session that it has not released."""
    return key("received", client)


class Opened(NamedTuple):
    """What a client that has connected goes on with."""

    present: bool
    """Whether there was a persistent session, and it is to be gone on with."""
    subscriptions: dict[str, int]
    """Filter -> QoS, of that session."""
    received: set[int]
    """Packet ids of the QoS 2 messages that the client has sent and not released."""
    released: list[int]
    """Sequence numbers of the QoS 2 messages for which PUBREL is to be repeated, in their order."""
    previous: tuple[str, int] | None
    """Node and connection that this client had until now; another node than this one has been told to close it."""


class Queued(NamedTuple):
    """A message of a queue."""

    sequence: int
    message: Message
    """`qos` is the one to deliver it with."""
    duplicate: bool
    """Whether it was sent over an earlier connection."""


class Loaded(NamedTuple):
    """The next messages of a queue."""

    queued: list[Queued]
    after: int
    """The sequence number to go on after; as it was, where there was nothing."""
    aged: int
    """How many were too old, and are dropped."""
    more: bool
    """Whether there may be more."""


class Change(NamedTuple):
    """What a client subscribes to, and what its node wants of others for that; None stands for no longer."""

    node: str
    connection: int
    client: str
    """Empty where only the node's interest has changed."""
    subscriptions: Sequence[tuple[str, SubscriptionOptions | None]]
    """Of persistent sessions alone."""
    interest: Sequence[tuple[str, SubscriptionOptions | None]]
    states: bool
    """Whether these are the client's first that may match states (load.lua)."""
    limits: tuple[int, int]
    """Bytes of all sessions of one owner, and of all."""


class Choice(NamedTuple):
    """Which versions of applications a client gets of its queue."""

    versions: Mapping[str, str]
    """By application; of others it gets all."""
    as_published: Sequence[str]
    """Topic filters: what they match it gets whatever the version."""


ALL_VERSIONS = Choice({}, ())


class SessionStore:
    """The sessions in Redis."""

    def __init__(self, client: Redis, turns: PipelineBatcher) -> None:
        self._client = client
        self._turns = turns

    async def open(
        self,
        node: str,
        connection: int,
        client: str,
        *,
        owner: str,
        clean: bool,
        now: int,
        will: Message | None,
        most: tuple[int, int],
    ) -> Opened | str:
        """Begin a connection; `most` is how many persistent sessions its owner may have, and all may.

        `other` where the client id is another owner's, `user` or `all` where there is no room for another persistent
        session of this owner, or of anybody: then nothing has changed. Raises UnavailableError, too, where the node is
        not one of the cluster.
        """
        about = [session(client), subscriptions(client), received(client), released(client)]
        encoded = b"" if will is None else _encoder.encode((client, will))
        answer: Answer = b"again"
        while answer == b"again":
            answer = await self._turns.run(
                "open", about, node, connection, client, owner, int(clean), now, encoded, *most
            )
        if answer is None:
            raise UnavailableError(NOT_THERE)
        if isinstance(answer, bytes):
            return answer.decode()
        present, previous, filters, received_ids, released_numbers = answer
        pairs = zip(filters[::2], filters[1::2], strict=True)
        return Opened(
            present == b"1",
            {text: qos for name, stored in pairs if (text := _text(name)) and (qos := _qos(stored)) is not None},
            {int(each) for each in received_ids if each.isdigit()},
            [int(each) for each in released_numbers if each.isdigit()],
            _place_of(previous),
        )

    async def close(self, node: str, connection: int, client: str, *, expires: int, forget_will: bool) -> None:
        """End a connection, unless another has taken over. A persistent session is kept until `expires` (ms)."""
        await self._turns.run("close", [session(client)], node, connection, client, expires, int(forget_will))

    async def subscribe(self, change: Change) -> set[str] | None:
        """The filters for which there was no room; None if another connection has taken over.

        Raises UnavailableError, too, where the node is not one of the cluster.
        """
        about = [session(change.client), subscriptions(change.client)] if change.client else [key("nodes")]
        answer = await self._turns.run("subscribe", about, _encoder.encode(change._asdict()))
        if answer is None:
            raise UnavailableError(NOT_THERE)
        return None if answer == 0 else set(map(bytes.decode, answer))

    async def load(
        self,
        node: str,
        connection: int,
        client: str,
        *,
        after: int,
        count: int,
        drop_before: tuple[int, int],
        states: Sequence[tuple[str, int]],
        choice: Choice,
    ) -> Loaded | None:
        """Up to `count` messages with a sequence number above `after`; None if another connection has taken over.

        They count as sent. `drop_before` is when those came that are too old, and positions that are. `states` are the
        filters by which the client may receive states, with their QoS. What was never sent, and is of a version of an
        application that `choice` does not give the client, is dropped.
        """
        filters = _encoder.encode(states) if states else b""
        answer = await self._turns.run(
            "load",
            [session(client), queue(client), brief(client)],
            node,
            connection,
            client,
            after,
            count,
            *drop_before,
            filters,
            _encoder.encode(choice) if choice.versions else b"",
        )
        if answer is None:
            return None
        before, aged, found, more = int(answer[0]), answer[1], iter(answer[2]), bool(answer[3])
        queued = []
        for number, field, reference, message in zip(found, found, found, found, strict=True):
            after = int(number)
            try:
                queued.append(Queued(after, _queued_message(field, reference, message), after <= before))
            except UNREADABLE:
                await remove_unreadable(self._client, "queue", "XDEL", queue(client), f"{after}-0")
        return Loaded(queued, after, aged, more)

    async def enqueue(
        self,
        node: str,
        connection: int,
        client: str,
        *,
        name: str,
        now: int,
        limits: Sequence[int],
        retained: Sequence[tuple[str, int]],
    ) -> Losses | None:
        """Put what is retained into a queue, as references: topics, with QoS 1 or 2. At most AT_ONCE of them.

        Done once for each `name`. None if another connection has taken over.
        """
        answer = await self._turns.run(
            "enqueue",
            [session(client), queue(client)],
            node,
            connection,
            client,
            name,
            now,
            _encoder.encode(limits),
            *(f"{qos}{topic}" for topic, qos in retained),
        )
        if answer is None:
            return None
        length, age, size, user, everybody, owner = answer
        return length, age, size, user, everybody, owner.decode()

    async def acknowledge(self, client: str, sequences: Sequence[int]) -> None:
        """A client has QoS 1 messages (PUBACK)."""
        about = [session(client), queue(client), brief(client)]
        for some in _some(sequences):
            await self._turns.run("acknowledge", about, client, *some)

    async def received(self, client: str, sequences: Sequence[int]) -> None:
        """A client has QoS 2 messages (PUBREC)."""
        about = [session(client), queue(client), brief(client), released(client)]
        for some in _some(sequences):
            await self._turns.run("received", about, client, *some)

    async def complete(self, client: str, sequences: Sequence[int]) -> None:
        """A client has finished with QoS 2 messages (PUBCOMP)."""
        for some in _some(sequences):
            await self._turns.run("complete", [session(client), released(client)], client, *some)

    async def release(self, client: str, packet_id: int) -> None:
        """A client has released a QoS 2 message that it had sent (PUBREL)."""
        await self._turns.send(("SREM", received(client), packet_id))

    async def expire(self, now: int, count: int) -> int:
        """Delete some of the sessions whose time is over; how many there were."""
        return int(await self._turns.run("expire", [EXPIRY, SESSIONS], now, count))

    async def erase(self, count: int) -> bool:
        """Delete some of the sessions of users who were removed; whether there may be more."""
        return bool(await self._turns.run("erase", [key("users:removed"), SESSIONS], count))

    async def sweep(self, before: int, count: int) -> tuple[int, bool]:
        """Drop some of the positions that came before (ms); how many, and whether there may be more."""
        dropped, more = await self._turns.run("sweep", [BRIEF, BYTES], before, count)
        return int(dropped), bool(more)


def _some(sequences: Sequence[int]) -> list[Sequence[int]]:
    return [sequences[first : first + AT_ONCE] for first in range(0, len(sequences), AT_ONCE)]


def _qos(stored: bytes) -> int | None:
    """None for what no script of ours has written."""
    try:
        return SubscriptionOptions.decode(stored).qos
    except ValueError:
        return None


def _queued_message(field: bytes, reference: bytes, message: bytes) -> Message:
    if not reference:
        return _message.decode(message)
    topic, qos = reference[1:].decode(), int(reference[:1])
    payload = _message.decode(message).payload if message else b""
    # Only what was retained before the client came has the flag [MQTT-3.3.1-8], [MQTT-3.3.1-9].
    return Message(topic, payload, qos, retain=field == b"r")


def _place_of(previous: bytes) -> tuple[str, int] | None:
    """Node and connection; None for none, and for what cannot be read."""
    try:
        return _place.decode(previous) if previous else None
    except UNREADABLE:
        return None


def _text(name: Answer) -> str:
    """The empty one for what is no text, as no filter is."""
    try:
        return str(name.decode())
    except UnicodeDecodeError:
        return ""
