"""What waits in `raw`, and what dead letters hold of messages, sealed with keys that are destroyed (RAW_ENCRYPTION).

    raw-keys:{campus}  hash  in the Redis of keys (`state.keys_redis`): name -> 32 bytes. `m` and a number is the key of
                       a minute, for entries of `raw`; `d` and a number that of a day, for dead letters

A sealed text is MessagePack: `[2, name of the key, nonce, AES-256-GCM]`. In an entry of `raw` it takes the place of `b`
(`state.entries`), and `n` is what it is sealed together with; an entry may move to another stream. In a dead letter it
is the field `sealed`, of `[topic, user, payload]`.

- Whoever seals takes the key of the present period, which is on the disk of the keys' Redis before it is used. Where
  that Redis is away, the key of the last minute is used for some minutes more; then nothing is taken, as where Redis is
  away.
- A key of a minute is destroyed once no entry that waits can be sealed with it: some minutes later, or as long as
  decoders are away. One of a day is destroyed when its letters have expired. The file is rewritten without it then.
- A clock may jump, as where a machine has slept, and a monotonic one does not know of that. So a key is used only as
  long as both clocks of who seals allow, and destroyed only once the clocks of the keys' Redis and of who destroys do.
- What nobody has the key of any more is as what nobody can read: a dead letter, counted.
"""

import asyncio
import os
import re
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast

import msgspec
import structlog
from pydantic import Field

from core.clock import Clock, system_clock
from core.errors import UnavailableError
from core.unreadable import UNREADABLE
from runtime.settings import KeysSettings
from state.access import Right, access
from state.client import Redis
from state.entries import BATCH, COUNT, Entry
from state.keys_redis import open_keys_redis, rewrite_keys
from state.lua import lua
from state.raw_redis import raw_redis
from state.server import masters
from state.slots import CAMPUS, guard, tag

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

ACCESS = {
    Right.READ: [access("raw-keys:{campus}", "HMGET")],
    Right.TELL: [access("raw-keys:{campus}", "EVAL HSETNX HGET"), access("", "TIME")],
    # Who destroys keys looks what the entries that wait are sealed with.
    Right.WRITE: [access("raw-keys:{campus}", "HKEYS HDEL"), access("", "TIME"), access("raw:{p}", "XRANGE")],
}
RAW_KEYS = f"raw-keys:{CAMPUS}"
SEALED = b"sealed"
"""The field of a dead letter."""
MINUTE_S, DAY_S = 60, 86_400
MINUTES_MORE = 4
"""So many minutes after its own a key may be used for entries, where the keys' Redis is away."""
MINUTES_KEPT = MINUTES_MORE + 3
"""A key of a minute that is older may be destroyed: what was sealed with it has arrived by then, or does not count."""
LATE_S = 60.0
"""An entry that has arrived so long after its key was to be used no more is sent again, with another key."""
_KEY_BYTES, _NONCE_BYTES = 32, 12
_FIRST_BYTES = b"\x94\x02"
"""Of a sealed text: an array of four, and 2. A batch that is not sealed begins with an array of two, and 1."""
_NAME = re.compile(rb"([md])(\d{1,10})")
_CACHED = 256
_BESIDE = "sealing"

Fields = dict[bytes, bytes]
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[Literal[2], bytes, bytes, bytes]).decode
_decode_letter = msgspec.msgpack.Decoder(tuple[str, str, bytes]).decode
_log = structlog.stdlib.get_logger("keys")


class SealingSettings(KeysSettings):
    """What whoever seals needs."""

    raw_encryption: bool | None = Field(
        default=None,
        description="Seal messages that wait, and those in dead letters, with keys that live for minutes and days;"
        " needs KEYS_REDIS_URL. Unset: where PRIVACY is not open and there is a Redis of keys.",
    )

    def seals(self, *, is_open: bool) -> bool:
        """Whether what waits is sealed; `is_open` says whether PRIVACY is open."""
        return self.has_keys_redis and not is_open if self.raw_encryption is None else self.raw_encryption


def _cipher(secret: bytes) -> "AESGCM":
    # Who only looks at how much waits, such as the autoscaler, has no such library.
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415

    return AESGCM(secret)


class _Kind(NamedTuple):
    """A kind of key."""

    prefix: str
    period_s: int
    more_s: float
    """So many seconds after its period a key may be used, where no other is to be had."""


_MINUTES = _Kind("m", MINUTE_S, MINUTES_MORE * MINUTE_S)
_DAYS = _Kind("d", DAY_S, DAY_S / 2)


class Moment(NamedTuple):
    """A time by both clocks, in seconds: the monotonic one, and that of the day."""

    monotonic: float
    wall: float

    def later(self, seconds: float) -> "Moment":
        """So many seconds later."""
        return Moment(self.monotonic + seconds, self.wall + seconds)

    def is_before(self, other: "Moment") -> bool:
        """By both."""
        return self.monotonic < other.monotonic and self.wall < other.wall


ALWAYS = Moment(float("inf"), float("inf"))
Now = Callable[[], Moment]


@dataclass(frozen=True, slots=True)
class _Key:
    name: bytes
    cipher: "AESGCM"
    renew_at: Moment
    """When another is to be asked for."""
    until: Moment
    """When it may be used no more."""

    def seal(self, text: bytes, together: bytes) -> bytes:
        nonce = os.urandom(_NONCE_BYTES)
        return _encode((2, self.name, nonce, self.cipher.encrypt(nonce, text, together)))


class _Current:
    """The key of the present period, of one kind."""

    def __init__(self, client: Redis, kind: _Kind, now: Now) -> None:
        self._kind = kind
        self._now = now
        self._script = client.register_script(lua("seal_key"))
        self._key: _Key | None = None
        self._renewal: asyncio.Task[_Key | UnavailableError] | None = None

    async def key(self) -> _Key:
        """The key to seal with. Raises UnavailableError where there is none that may be used."""
        now = self._now()
        key = self._key
        if key is not None and now.is_before(key.renew_at):
            return key
        if self._renewal is None or self._renewal.done():
            self._renewal = asyncio.create_task(self._renew())
        if key is not None and now.is_before(key.until):
            return key  # until the next one has come
        answer = await asyncio.shield(self._renewal)
        if isinstance(answer, UnavailableError):
            raise UnavailableError(f"the Redis of keys: {answer}") from answer
        return answer

    async def _renew(self) -> _Key | UnavailableError:
        asked_at = self._now()
        args: list[Any] = [self._kind.prefix, self._kind.period_s, os.urandom(_KEY_BYTES)]
        try:
            name, secret, left = cast("Any", await self._script(keys=[guard(CAMPUS), RAW_KEYS], args=args))
        except UnavailableError as error:
            return error
        renew_at = asked_at.later(left)
        self._key = key = _Key(name, _cipher(secret), renew_at, renew_at.later(self._kind.more_s))
        return key


class Sealing:
    """Seals, opens, and destroys keys."""

    def __init__(
        self,
        keys: Redis,
        *,
        seals: bool = True,
        monotonic: Callable[[], float] = time.monotonic,
        clock: Clock = system_clock,
    ) -> None:
        """`keys` is the Redis of keys; with `seals` false it opens what was sealed, and seals nothing."""
        self._client = keys
        self.seals = seals
        self._monotonic = monotonic
        self._clock = clock
        self._minutes = _Current(keys, _MINUTES, self._now)
        self._days = _Current(keys, _DAYS, self._now)
        self._known: dict[bytes, AESGCM] = {}
        self._to_rewrite = True

    def _now(self) -> Moment:
        return Moment(self._monotonic(), self._clock() / 1000)

    async def sealed(self, entries: Sequence[Entry]) -> tuple[list[Entry], Moment]:
        """Entries of `raw` as they are to be appended, and until when they count.

        Raises UnavailableError where there is no key for them.
        """
        if not (self.seals and entries):
            return list(entries), ALWAYS
        key = await self._minutes.key()
        made = [Entry(each.messages, key.seal(each.batch, str(each.messages).encode())) for each in entries]
        return made, key.until.later(LATE_S)

    def counts(self, until: Moment) -> bool:
        """Whether what has arrived now counts, that was to arrive until then."""
        return self._now().is_before(until)

    async def opened(self, entries: Sequence[tuple[bytes, Fields]]) -> list[tuple[bytes, Fields]]:
        """Entries of `raw` as they were before they were sealed; what cannot be opened stays as it is.

        Raises UnavailableError where the Redis of keys does not answer.
        """
        sealed = [fields for _, fields in entries if is_sealed(fields)]
        batches = iter(await self._texts([(fields[BATCH], fields.get(COUNT, b"")) for fields in sealed]))
        return [
            (entry_id, _with_batch(fields, next(batches)) if is_sealed(fields) else fields)
            for entry_id, fields in entries
        ]

    async def sealed_letter(self, fields: dict[bytes | str, Any]) -> dict[bytes | str, Any]:
        """The fields of a dead letter as they are to be kept. Raises UnavailableError where there is no key for it."""
        if not self.seals or "payload" not in fields:
            return fields
        text = _encode((fields["topic"], fields["user"], fields["payload"]))
        key = await self._days.key()
        rest = {name: value for name, value in fields.items() if name not in {"topic", "user", "payload"}}
        return rest | {"topic": "", SEALED.decode(): key.seal(text, b"")}

    async def opened_letters(self, entries: Sequence[tuple[bytes, Fields]]) -> list[tuple[bytes, Fields]]:
        """Dead letters as they were before they were sealed; those that nobody can open any more without a payload.

        Raises UnavailableError where the Redis of keys does not answer.
        """
        texts = iter(await self._texts([(fields[SEALED], b"") for _, fields in entries if SEALED in fields]))
        return [
            (entry_id, _letter_with(fields, next(texts)) if SEALED in fields else fields)
            for entry_id, fields in entries
        ]

    async def _texts(self, sealed: Sequence[tuple[bytes, bytes]]) -> list[bytes | None]:
        """What is in sealed texts, each with what it was sealed together with; None for what nobody can open."""
        await self._learn(text for text, _ in sealed)
        found = [self._text(*each) for each in sealed]
        closed = {key_of(text) for (text, _), opened in zip(sealed, found, strict=True) if opened is None}
        if old := [name for name in self._known if name in closed]:
            # Where that Redis has lost a key, or its clock went back, there is another one of the same name now.
            for name in old:
                del self._known[name]
            await self._learn(text for text, _ in sealed)
            found = [
                self._text(*each) if opened is None else opened for each, opened in zip(sealed, found, strict=True)
            ]
        return found

    async def _learn(self, texts: Iterable[bytes]) -> None:
        """Have the keys of sealed texts, as far as they are there."""
        names = {name for name in map(key_of, texts) if name is not None}
        wanted = [name for name in names if name not in self._known]
        if not wanted:
            return
        try:
            found = cast("list[bytes | None]", await cast("Any", self._client.hmget(RAW_KEYS, wanted)))
        except UnavailableError as error:
            raise UnavailableError(f"the Redis of keys: {error}") from error
        for name, secret in zip(wanted, found, strict=True):
            if secret is not None and len(secret) == _KEY_BYTES:
                self._known[name] = _cipher(secret)
        while len(self._known) > _CACHED:
            # Rather the oldest; but none of those that are wanted now.
            oldest = next((name for name in self._known if name not in names), None)
            if oldest is None:
                break
            del self._known[oldest]

    def _text(self, sealed: bytes, together: bytes) -> bytes | None:
        """What is in a sealed text whose key is known; None where nobody can open it."""
        name = key_of(sealed)
        cipher = None if name is None else self._known.get(name)
        if cipher is None:
            return None
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - as in `_cipher`

        _, _, nonce, text = _decode(sealed)
        try:
            return cipher.decrypt(nonce, text, together)
        except (InvalidTag, ValueError):
            return None

    async def destroy(self, client: Redis, partitions: int, *, letters_keep_s: float) -> int:
        """Destroy the keys that nothing which is kept can be sealed with; how many those were.

        `client` is the Redis of everything else, `letters_keep_s` how long dead letters are kept. Raises
        UnavailableError: then it is to be done again.
        """
        (seconds, _), names = await self._time_and_names()
        seconds = min(seconds, self._clock() // 1000)
        minute = seconds // MINUTE_S
        waiting = await _oldest_waiting(client, partitions)
        # Of what is not sealed nobody knows what is behind it.
        oldest = None if waiting is None else min(minute, waiting) - MINUTES_KEPT
        day = (seconds - int(letters_keep_s)) // DAY_S - 1
        gone = [name for name in names if _is_over(name, minute=oldest, day=day)]
        if gone:
            await cast("Any", self._client.hdel(RAW_KEYS, *gone))
            self._to_rewrite = True
            for name in gone:
                self._known.pop(name, None)
        if self._to_rewrite:
            if not await rewrite_keys(self._client):
                _log.warning("the Redis of keys may not rewrite its file: keys that were destroyed are still in it")
            self._to_rewrite = False
        if gone:
            _log.debug("keys are destroyed", keys=len(gone))
        return len(gone)

    async def _time_and_names(self) -> tuple[tuple[int, int], list[bytes]]:
        server = (await masters(self._client))[0]
        now = cast("tuple[int, int]", await cast("Any", server).time())
        return now, cast("list[bytes]", await cast("Any", self._client.hkeys(RAW_KEYS)))


def _with_batch(fields: Fields, batch: bytes | None) -> Fields:
    return fields if batch is None else fields | {BATCH: batch}


def _letter_with(fields: Fields, text: bytes | None) -> Fields:
    rest = {name: value for name, value in fields.items() if name != SEALED}
    if text is None:
        return rest
    topic, user, payload = _decode_letter(text)
    return rest | {b"topic": topic.encode(), b"user": user.encode(), b"payload": payload}


def is_sealed(fields: Fields) -> bool:
    """Whether an entry of `raw` is sealed."""
    return fields.get(BATCH, b"").startswith(_FIRST_BYTES)


def key_of(sealed: bytes) -> bytes | None:
    """The name of the key of a sealed text; None where it is none."""
    try:
        name = _decode(sealed)[1]
    except UNREADABLE:
        return None
    return name if _NAME.fullmatch(name) else None


def _is_over(name: bytes, *, minute: int | None, day: int) -> bool:
    found = _NAME.fullmatch(name)
    if found is None:
        return False
    if found[1] == b"d":
        return int(found[2]) < day
    return minute is not None and int(found[2]) < minute


async def _oldest_waiting(client: Redis, partitions: int) -> int | None:
    """The minute of the key of the first entry that waits, of all partitions; far away where none does.

    None where one of the first entries is not sealed.
    """
    async with raw_redis(client).pipeline(transaction=False) as pipeline:
        for partition in range(partitions):
            pipeline.xrange(f"raw:{tag(partition, partitions)}", count=1)
        answers = await pipeline.execute()
    oldest = 1 << 60
    for answer in answers:
        for _, fields in cast("list[tuple[bytes, Fields]]", answer):
            name = key_of(fields.get(BATCH, b""))
            found = None if name is None else _NAME.fullmatch(name)
            if found is None:
                return None
            oldest = min(oldest, int(found[2]))
    return oldest


def seal_with(client: Redis, sealing: Sealing) -> None:
    """Have what goes into `raw` and into dead letters by this client sealed, and what comes out of them opened."""
    setattr(client, _BESIDE, sealing)


def sealing_of(client: Redis) -> Sealing | None:
    """Who seals for this client; None where nobody does."""
    return cast("Sealing | None", getattr(client, _BESIDE, None))


@asynccontextmanager
async def open_sealing(
    settings: SealingSettings, client: Redis, user: str, *, is_open: bool
) -> AsyncIterator[Sealing | None]:
    """Have `client` seal and open, where there is a Redis of keys. `is_open` says whether PRIVACY is open.

    Raises BadSettingsError where RAW_ENCRYPTION asks for what takes one, and there is none.
    """
    if not (settings.has_keys_redis or settings.raw_encryption):
        yield None
        return
    async with open_keys_redis(settings, user) as keys:
        sealing = Sealing(keys, seals=settings.seals(is_open=is_open))
        seal_with(client, sealing)
        yield sealing


async def opened_by(client: Redis, entries: Sequence[tuple[bytes, Fields]]) -> list[tuple[bytes, Fields]]:
    """As `Sealing.opened`. Raises UnavailableError, too, where one is sealed and this process knows no keys."""
    if sealing := sealing_of(client):
        return await sealing.opened(entries)
    if any(is_sealed(fields) for _, fields in entries):
        raise UnavailableError("what waits is sealed, and KEYS_REDIS_URL is not set: set it as it was")
    return list(entries)
