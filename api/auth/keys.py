"""API keys: who may do what is not for everybody. Kept in Redis, hashed; written by `python -m api keys`."""

import base64
import hashlib
import hmac
import re
import secrets
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from core.clock import Clock
from core.errors import UnavailableError
from core.names import name_problem
from core.versions import user_problem
from state.api_keys import API_KEYS, KeyStore
from state.client import Redis

__all__ = ["OF_PEOPLE", "Key", "Keys", "NewKey", "Scope", "make_key"]

SECRET_BYTES = 32
"""256 random bits."""
CACHE_MS = 1_000
"""How long what Redis said about a key is believed: so long may a removed key live on."""
USED_EVERY_MS = 60_000
"""How often, at the most, one process writes down that a key is in use."""
_REMEMBERED = 1024
"""Keys in the cache; the one that was read longest ago goes first."""
PURPOSE_MAX = 200
"""Characters."""
_FORM = re.compile(r"ck_([0-9a-f]{16})_([A-Za-z0-9_-]{43})", re.ASCII)

_NOBODYS = "0" * 64


class Scope(StrEnum):
    """What a key may be for. Every key may read occupancy."""

    OCCUPANCY_READ = "occupancy:read"
    POSITIONS_READ = "positions:read"  # where PRIVACY is not open, how many devices were in which cell
    POSITIONS_EXACT = "positions:exact"  # single positions, whatever PRIVACY is
    POSITIONS_WRITE = "positions:write"
    ADMIN = "admin"  # all of it, and changes of zones and erasure beside

    def __str__(self) -> str:
        return self.value


OF_PEOPLE = frozenset({Scope.POSITIONS_READ, Scope.POSITIONS_EXACT})
"""What needs a purpose where PRIVACY is not open."""


class Key(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A key as it is stored: all but the key itself."""

    id: str
    """The part of the key that is no secret: 16 hexadecimal digits."""
    name: str
    """Whose it is, for people."""
    scopes: tuple[Scope, ...]
    hash: str
    """SHA-256 of the key, hexadecimal."""
    created_at: int
    """Milliseconds since the epoch."""
    user: str = ""
    """The MQTT user whose versions of applications requests with this key get; empty: the key is a person of its own.
    It gives no right."""
    purpose: str = ""
    """What positions are read for, for people: it is written down with each question (`state.audit`). Empty: for
    nothing, and where PRIVACY is not open the key may read none."""

    def allows(self, scope: Scope) -> bool:
        """Whether a request with this key may do what needs the scope."""
        if scope is Scope.OCCUPANCY_READ or scope in self.scopes or Scope.ADMIN in self.scopes:
            return True
        return scope is Scope.POSITIONS_READ and Scope.POSITIONS_EXACT in self.scopes

    def __repr__(self) -> str:
        return f"Key(id={self.id!r}, name={self.name!r}, scopes={[str(scope) for scope in self.scopes]})"


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was made just now."""

    key: Key
    text: str
    """What a client sends. It is kept nowhere: show it, once."""

    def __repr__(self) -> str:
        return f"NewKey({self.key!r})"


def purpose_problem(purpose: str) -> str | None:
    """What is wrong with a purpose; None if nothing is."""
    if not 1 <= len(purpose) <= PURPOSE_MAX:
        return f"a purpose has 1 to {PURPOSE_MAX} characters"
    # As names: it is printed for people.
    if not purpose.isprintable() or purpose != purpose.strip():
        return "a purpose has printable characters alone, and no space at its ends"
    return None


def make_key(name: str, scopes: Iterable[Scope], *, now: int, user: str = "", purpose: str = "") -> NewKey:
    """A new random key; `now` in milliseconds since the epoch.

    Raises ValueError for a bad name or purpose, for a user whose name no rule can have, and for no scope.
    """
    secret = base64.urlsafe_b64encode(secrets.token_bytes(SECRET_BYTES)).rstrip(b"=").decode()
    text = f"ck_{secrets.token_hex(8)}_{secret}"
    return NewKey(key_from(text, name, scopes, now=now, user=user, purpose=purpose), text)


def key_from(text: str, name: str, scopes: Iterable[Scope], *, now: int, user: str = "", purpose: str = "") -> Key:
    """The key whose text somebody has made, in the form `ck_`, 16 hexadecimal digits, `_`, 43 characters of base64url.

    Raises ValueError for another form, and as `make_key`. The text must be random: `now` is in milliseconds.
    """
    found = _FORM.fullmatch(text)
    if not found:
        raise ValueError("a key is ck_, 16 hexadecimal digits, _ and 43 characters of base64url")
    wanted = tuple(sorted(set(scopes)))
    if problem := name_problem(name):
        raise ValueError(problem)
    if user and (problem := user_problem(user)):
        raise ValueError(problem)
    if purpose and (problem := purpose_problem(purpose)):
        raise ValueError(problem)
    if not wanted:
        raise ValueError("a key needs a scope")
    return Key(id=found[1], name=name, scopes=wanted, hash=_hash(text), created_at=now, user=user, purpose=purpose)


def _hash(text: str) -> str:
    # A fast hash, without salt, is enough here: 256 random bits cannot be guessed, however fast one may try, and no two
    # keys are the same. A slow one, as for passwords, would let anybody keep this process busy with wrong keys.
    return hashlib.sha256(text.encode()).hexdigest()


class Keys:
    """The keys in Redis, as one process sees them.

    All methods that ask Redis raise UnavailableError where it does not answer.
    """

    def __init__(self, client: Redis, *, clock: Clock) -> None:
        self._store: KeyStore[Key] = KeyStore(client, key=API_KEYS, kind=Key, name_of=lambda key: key.id)
        self._clock = clock
        self._read: OrderedDict[str, tuple[int, Key]] = OrderedDict()
        self._used: OrderedDict[str, int] = OrderedDict()

    async def verify(self, text: str) -> Key | None:
        """The key that a client sent; None if it is none, or not any more."""
        if (known := self.recent(text)) is not None:
            await self._note_use(known.id)
            return known
        form = _FORM.fullmatch(text)
        if form is None:
            return None
        key_id = form[1]
        asked_at = self._clock()
        key = (await self._store.get([key_id])).get(key_id)
        if not _same(text, key) or key is None:
            # Not remembered: whoever tries keys must not push out those that are right.
            return None
        self._read[key_id] = (asked_at, key)
        self._read.move_to_end(key_id)
        while len(self._read) > _REMEMBERED:
            self._read.popitem(last=False)
        await self._note_use(key_id)
        return key

    def recent(self, text: str) -> Key | None:
        """The key, if Redis has confirmed it within the last second; does not ask it."""
        form = _FORM.fullmatch(text)
        read = self._read.get(form[1]) if form else None
        if read is None:
            return None
        read_at, key = read
        # A clock that was put back must not make a key live longer.
        if not 0 <= self._clock() - read_at < CACHE_MS:
            return None
        return key if _same(text, key) else None

    async def all(self) -> list[tuple[Key, int | None]]:
        """All keys, by name, with the time of their last use: milliseconds since the epoch, to the minute."""
        keys, used = await self._store.all(), await self._store.used()
        keys.sort(key=lambda key: (key.name, key.created_at, key.id))
        return [(key, used.get(key.id)) for key in keys]

    async def add(self, key: Key) -> None:
        """Let a key in from now on."""
        await self._store.put(key)

    async def remove(self, key_id: str) -> bool:
        """Refuse a key, everywhere, a second from now at the latest; False if there is none of that id."""
        removed = await self._store.remove(key_id)
        self._read.pop(key_id, None)
        return removed

    async def _note_use(self, key_id: str) -> None:
        now = self._clock()
        if 0 <= now - self._used.get(key_id, -USED_EVERY_MS) < USED_EVERY_MS:
            return
        # Before the answer: those that come meanwhile need not write it, too.
        self._used[key_id] = now
        self._used.move_to_end(key_id)
        while len(self._used) > _REMEMBERED:
            self._used.popitem(last=False)
        try:
            await self._store.note_use(key_id, now)
        except UnavailableError:
            # A Redis that is full takes no writes, and is still read: who asks has an answer. It is noted next time.
            self._used.pop(key_id, None)


def _same(text: str, key: Key | None) -> bool:
    # Without a key, too: that an id exists must not show in the time that an answer takes.
    return hmac.compare_digest(_hash(text), key.hash if key else _NOBODYS)
