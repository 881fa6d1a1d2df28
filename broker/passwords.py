"""Passwords: argon2id hashes in PHC form, made and checked in threads, and remembered for a short while."""

import asyncio
import base64
import hashlib
import os
import secrets
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import argon2
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError
from argon2.low_level import Type

HASHER = argon2.PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
"""The least that OWASP's Password Storage Cheat Sheet asks for: 19 MiB and two passes, tens of milliseconds. More would
slow down every device that comes back after a node was started, and secure little: passwords of devices are random."""
MAX_PASSWORD_BYTES = 1024
HASH_PREFIX = "$argon2"
_MAX_HASH_LENGTH = 512
_MAX_MEMORY_KIB = 64 * 1024
_MAX_TIME_COST = 10
_MAX_PARALLELISM = 8

THREADS = 2
MAX_WAITING = 128
"""Passwords that may wait for a thread: a few seconds of hashing, less than a client waits for its CONNACK."""
NICENESS = 10
"""Of the threads, on Linux: the event loop of the node comes first."""
REMEMBERED_SECONDS = 300.0
"""How long a right password is not hashed again."""
REFUSED_SECONDS = 5.0
"""How long a wrong one is not: a device that keeps trying costs one hash in that time."""
MAX_REMEMBERED = 10_000


class Busy(Exception):  # noqa: N818 - it names a state
    """Passwords cannot be hashed at present, as too many wait for it or there is no memory: try again later."""


def generate_password() -> str:
    """A random password: 192 bits, in characters that need no quoting."""
    return secrets.token_urlsafe(24)


def hash_password(password: bytes) -> str:
    """The hash of a password, in PHC form; it takes tens of milliseconds and 19 MiB.

    Raises ValueError for an empty password, and for one of more than `MAX_PASSWORD_BYTES`.
    """
    if not 1 <= len(password) <= MAX_PASSWORD_BYTES:
        raise ValueError(f"a password has 1 to {MAX_PASSWORD_BYTES} bytes")
    return HASHER.hash(password)


def hash_problem(stored: str) -> str | None:
    """What is wrong with a hash that somebody else made; None if it can be used.

    Its own parameters decide what checking a password costs, so they are bounded.
    """
    if len(stored) > _MAX_HASH_LENGTH:
        return f"a hash of more than {_MAX_HASH_LENGTH} characters"
    try:
        parameters = argon2.extract_parameters(stored)
        # extract_parameters looks at the parameters alone; whether the rest is base64 shows only when it is used.
        _, salt, digest = stored.rsplit("$", 2)
        whole = _bytes_in(salt) >= 8 and _bytes_in(digest) >= 12  # noqa: PLR2004 - the least that argon2 takes
    except (InvalidHashError, ValueError):
        whole = False
    if not whole:
        return "not an argon2 hash in PHC form"
    if parameters.type is not Type.ID:
        return "not argon2id"
    if (
        not 8 * parameters.parallelism <= parameters.memory_cost <= _MAX_MEMORY_KIB
        or not 1 <= parameters.time_cost <= _MAX_TIME_COST
        or not 1 <= parameters.parallelism <= _MAX_PARALLELISM
    ):
        return (
            f"an argon2 hash that costs too much, or nothing: at most m={_MAX_MEMORY_KIB}, t={_MAX_TIME_COST} and "
            f"p={_MAX_PARALLELISM}"
        )
    return None


def _bytes_in(text: str) -> int:
    """How many bytes a PHC string's base64, which has no padding, stands for. Raises ValueError if it is none."""
    decoded = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    if base64.b64encode(decoded).rstrip(b"=") != text.encode():
        raise ValueError("bits beyond the last byte")
    return len(decoded)


def nobodys_hash() -> str:
    """A hash that no known password has: to check a password against it costs what a real one of ours costs."""
    parameters = f"m={HASHER.memory_cost},t={HASHER.time_cost},p={HASHER.parallelism}"
    # 22 and 43 characters: 16 bytes of salt, 32 of the digest, in base64 without padding.
    salt, digest = (
        secrets.token_urlsafe(size).replace("-", "+").replace("_", "/") for size in (HASHER.salt_len, HASHER.hash_len)
    )
    return f"$argon2id$v=19${parameters}${salt}${digest}"


class Passwords:
    """Checks passwords off the event loop; bounded in threads, in what waits, and in what it remembers.

    It remembers no password: only a keyed digest, with a key that lives as long as this object, of a user's name, the
    password and the stored hash. So what it remembers ends with a change of any of them.
    """

    def __init__(self, *, clock: Callable[[], float], threads: int = THREADS, max_waiting: int = MAX_WAITING) -> None:
        """`clock` gives seconds and never goes back; its zero is any."""
        self._clock = clock
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="argon2", initializer=_give_way)
        self._max_waiting = max_waiting
        self._key = secrets.token_bytes(32)
        self._right: OrderedDict[bytes, float] = OrderedDict()
        self._wrong: OrderedDict[bytes, float] = OrderedDict()
        self._under_way: dict[bytes, asyncio.Future[bool]] = {}

    async def check(self, name: str, password: bytes, stored: str) -> bool:
        """Whether a password is the one of a stored hash; False, too, for a stored hash that is none.

        The same question by several connections at once is hashed once. Raises Busy.
        """
        if not 1 <= len(password) <= MAX_PASSWORD_BYTES:
            return False
        key = self._digest(name.encode(), password, stored.encode())
        for remembered, answer in ((self._right, True), (self._wrong, False)):
            until = remembered.get(key)
            if until is not None and until > self._clock():
                return answer
        under_way = self._under_way.get(key)
        if under_way is None:
            under_way = self._start(key, password, stored)
        # Shielded: a connection that goes away while it waits must not end the hashing for the others.
        return await asyncio.shield(under_way)

    def close(self) -> None:
        """Hash nothing more; whoever still waits is cancelled."""
        for under_way in list(self._under_way.values()):
            under_way.cancel()
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _start(self, key: bytes, password: bytes, stored: str) -> asyncio.Future[bool]:
        if len(self._under_way) >= self._max_waiting:
            raise Busy(f"{self._max_waiting} passwords wait to be hashed")
        under_way = asyncio.wrap_future(self._submit(password, stored))
        self._under_way[key] = under_way
        under_way.add_done_callback(lambda done: self._finish(key, done))
        return under_way

    def _submit(self, password: bytes, stored: str) -> Future[bool]:
        return self._executor.submit(matches, password, stored)

    def _finish(self, key: bytes, done: asyncio.Future[bool]) -> None:
        del self._under_way[key]
        if done.cancelled() or done.exception() is not None:
            return
        right = done.result()
        self._remember(self._right if right else self._wrong, key, REMEMBERED_SECONDS if right else REFUSED_SECONDS)

    def _remember(self, remembered: OrderedDict[bytes, float], key: bytes, seconds: float) -> None:
        now = self._clock()
        remembered[key] = now + seconds
        # All of them last equally long, so the oldest is the first.
        remembered.move_to_end(key)
        while len(remembered) > MAX_REMEMBERED or next(iter(remembered.values())) <= now:
            remembered.popitem(last=False)

    def _digest(self, *parts: bytes) -> bytes:
        digest = hashlib.blake2b(key=self._key, digest_size=16)
        for part in parts:
            # With their lengths, so that no two questions look the same.
            digest.update(len(part).to_bytes(4))
            digest.update(part)
        return digest.digest()


def _give_way() -> None:
    # Only on Linux does a thread have a niceness of its own.
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


def matches(password: bytes, stored: str) -> bool:
    """Whether a password is the one of a stored hash, in this thread; it takes as long as to hash it.

    Raises Busy where there is no memory for it.
    """
    try:
        return HASHER.verify(stored, password)
    except (VerifyMismatchError, InvalidHashError):
        return False
    except VerificationError as error:
        # No memory, most likely: that says nothing about the password.
        raise Busy(str(error)) from error
