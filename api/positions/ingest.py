"""Positions over HTTP, for devices that cannot speak MQTT: the same stream, the same rules, the same limit."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from prometheus_client import Counter

from api.http.problems import ProblemError
from api.http.shared_limits import SharedLimits
from api.positions.ingest_answers import nothing_usable, too_large, unusable
from core.clock import Clock
from core.errors import Reason, UnavailableError
from core.kinds import KindId, Kinds, Role
from core.messages import RawMessage
from payloads import Fix, Ignored, Outcome, Refusal, Sender, comes_again, read
from runtime.position_rates import cost_of, unpacked_size
from state.client import Redis
from state.entries import encode_entry, group_of
from state.newest_input import note_newest_input
from state.raw import Raw
from state.server import RedisWatch
from state.slots import partition_of

MAX_PAYLOAD = 65_536
"""Bytes of a message, as brokers take it."""
APPEND_SECONDS = 5.0
"""How long an append may take, Redis's own sync to disk included."""
FULL_RETRY_SECONDS = 5
SENDER = Role.GATEWAY
"""The role that decoders see: a key may speak for many devices."""
GZIP = b"\x1f\x8b"
_TOO_MUCH = {Reason.TOO_LARGE, Reason.TOO_MANY_FEATURES}
_AS_IT_IS = {"", "identity"}
_GZIPPED = {"gzip", "x-gzip"}


@dataclass(frozen=True, slots=True)
class Read:
    """What a message holds, at least one thing of which may be sent, or which comes again until it is taken."""

    received_at: int
    """When it was received, milliseconds since the epoch: what decides how old its positions are."""
    taken: int
    """Positions that the decoder will use, wherever they are."""
    ignored: int
    """What apps send beside positions."""
    refused: Sequence[Refusal]
    """Those that the decoder will make dead letters of."""


def message_of(body: bytes, encoding: str) -> bytes:
    """The message in a body: the body, as a device would publish it.

    `encoding` is the Content-Encoding. Raises 413 for what is larger than a message may be, 415 for an encoding other
    than gzip, 422 for an empty body, and for one that is not what the encoding says.
    """
    named = encoding.strip().lower()
    if named not in _AS_IT_IS | _GZIPPED:
        raise ProblemError(
            status=415,
            detail="The body is encoded in a way that is not read here: send it as it is, or with gzip.",
            # RFC 9110, section 12.5.3.
            headers={"Accept-Encoding": "gzip"},
        )
    if len(body) > MAX_PAYLOAD:
        raise too_large(f"It has {len(body):,} bytes, and a message has {MAX_PAYLOAD:,} at the most")
    if not body.strip():
        raise unusable(Reason.NOT_JSON, "it is empty: send a position")
    # Whether it is gzip is seen from its first bytes, as of a message over MQTT.
    if named in _GZIPPED and not body.startswith(GZIP):
        raise unusable(Reason.NOT_JSON, "Content-Encoding says that it is gzip, and it is not")
    return body


@dataclass(frozen=True, kw_only=True)
class Ingest:
    """How positions are taken, as durable as Redis makes what a broker appends."""

    kinds: Kinds
    redis: Redis
    raw: Raw
    partitions: int
    max_length: int
    """Messages that may wait for a decoder."""
    ages: Mapping[Role, int]
    """How old a position may be, milliseconds by role."""
    watch: RedisWatch
    """How full Redis is, and whether it may be used."""
    limit: SharedLimits | None
    """How many positions each key may send: keys are gateways. None where gateways have no limit."""
    clock: Clock
    by_source: bool = False
    """Whether who sends is a part of who a device is: then decoders are told which key it was."""
    refused: Counter
    """What senders were told that it cannot be used, by reason."""

    def read(self, payload: bytes) -> Read:
        """What the decoder will find in a message, by the function that the decoder has.

        Raises 422 where no position in it can be used, which says what is wrong with each, and 413 for what holds more
        than a message may. But what an app would send again until it is taken, and what never can be, is taken.
        """
        received_at = self.clock()
        outcomes = read(payload, Sender(None, None, SENDER.name, received_at, self.ages.get(SENDER)))
        refused = [each for each in outcomes if isinstance(each, Refusal)]
        for refusal in refused:
            self.refused.labels(refusal.error.reason.value).inc()
        taken = _count(outcomes, Fix)
        # Also beside what apps send that is none: nothing is kept, so that nobody else would hear of it. Smaller
        # messages an app can be set to send, and then they are taken: for that it keeps what it has.
        too_much = any(each.error.reason in _TOO_MUCH for each in refused)
        if refused and not taken and (too_much or not comes_again(payload)):
            raise nothing_usable(refused)
        return Read(received_at, taken, _count(outcomes, Ignored), refused)

    def wait_of(self, payload: bytes, key: str) -> float:
        """Seconds after which a key may send a message, by its size alone, as a broker does it; 0 where it may now.

        It counts then, whatever is in it.
        """
        return self.limit.take(key, cost_of(len(payload), unpacked_size(payload))) if self.limit is not None else 0.0

    def sender(self, key_id: str, name: str) -> str:
        """Who decoders are told has sent: a key by its name, or by its id where that is a part of who a device is."""
        return f"key:{key_id}" if self.by_source else name

    async def append(self, payload: bytes, *, kind: KindId, user: str, received_at: int) -> None:
        """Append a message to a stream `raw`. It is there when this returns.

        `user` is the `sender`, and may speak for many devices, as a gateway may. Raises 503 where too many messages
        wait already, and UnavailableError where Redis does not answer: it may be there then or not, and it does no harm
        to send it again.
        """
        message = RawMessage(self.kinds[kind].topic, user, SENDER.name, received_at, payload)
        # Nothing depends on the order: this spreads what one sender sends. Any bytes are latin-1.
        partition = partition_of(payload.decode("latin-1"), self.partitions)
        try:
            async with asyncio.timeout(APPEND_SECONDS):
                appended = await self.raw.append(partition, [encode_entry([group_of(message)])], most=self.max_length)
                with suppress(UnavailableError):  # it is kept, and that is what matters
                    await note_newest_input(self.redis, {kind: received_at})
        except TimeoutError as error:
            raise UnavailableError(f"Redis did not answer within {APPEND_SECONDS} s") from error
        if not appended.taken:
            raise ProblemError(
                status=503,
                type_="/docs#unavailable",
                title="A store is away",
                detail="Too many messages wait to be decoded, so this one was not taken. "
                f"Try again in {FULL_RETRY_SECONDS} s.",
                headers={"Retry-After": str(FULL_RETRY_SECONDS)},
            )


def _count(outcomes: Sequence[Outcome], kind: type[Fix | Ignored]) -> int:
    return sum(isinstance(each, kind) for each in outcomes)
