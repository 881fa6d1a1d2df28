"""Passwords: argon2id hashes in PHC form, made and checked in threads, and remembered for a short while."""

import asyncio
import base64
import hashlib
import os
import random
import secrets
import sys
import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import argon2
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError
from argon2.low_level import Type

from broker.auth.fair_queue import FairQueue, QueueFullError

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
TIMES_KEPT = 50
"""How many of the last checks say how long one takes."""
MEASURED_SECONDS = 1.0
"""After so long without a check, that of an unknown user is a real one: nobody else shall seem to be quicker."""
NICENESS = 2
"""Of the threads, on Linux: the event loop of the node comes first, but only just. Where a machine is busy with other
things, more of it starves them: at 10, eleven clients took six seconds to log in again; at 0, four."""
REMEMBERED_SECONDS = 300.0
"""How long a right password is not hashed again."""
REFUSED_SECONDS = 5.0
"""How long a wrong one is not: a device that keeps trying costs one hash in that time."""
MAX_REMEMBERED = 10_000


class BusyError(Exception):
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


class _Check(NamedTuple):
    """One question that waits for its answer."""

    key: bytes
    password: bytes
    stored: str | None
    answer: asyncio.Future[bool]


class Passwords:
    """Checks passwords off the event loop; bounded in threads, in what waits, and in what it remembers.

    What waits is shared out by address, and within an address by user. An unknown user is answered as a wrong password
    is: it waits for its turn, and then for as long as a check has taken lately, without the processor.

    It remembers no password: only a keyed digest, with a key that lives as long as this object, of a user's name, the
    password and the stored hash. So what it remembers ends with a change of any of them.
    """

    def __init__(self, *, clock: Callable[[], float], threads: int = THREADS, max_waiting: int = MAX_WAITING) -> None:
        """`clock` gives seconds and never goes back; its zero is any."""
        self._clock = clock
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="argon2", initializer=_give_way)
        self._threads = threads
        self._running = 0
        self._max_waiting = max_waiting
        self._waiting: FairQueue[_Check] = FairQueue(max_waiting)
        self._key = secrets.token_bytes(32)
        self._right: OrderedDict[bytes, float] = OrderedDict()
        self._wrong: OrderedDict[bytes, float] = OrderedDict()
        self._under_way: dict[bytes, asyncio.Future[bool]] = {}
        self._nobodys = nobodys_hash()
        self._took: deque[float] = deque(maxlen=TIMES_KEPT)
        """Seconds that checks took lately, from their turn to their answer."""
        self._measured = -MEASURED_SECONDS

    async def check(self, name: str, password: bytes, stored: str | None, *, address: str = "") -> bool:
        """Whether a password is the one of a stored hash; False, too, for a stored hash that is none.

        `stored` is None for a user whom nobody knows. `address` is that of the client, or what it counts as. The same
        question by several connections at once is hashed once. Raises BusyError.
        """
        if not 1 <= len(password) <= MAX_PASSWORD_BYTES:
            return False
        key = self._digest(name.encode(), password, (stored or "").encode())
        for remembered, answer in ((self._right, True), (self._wrong, False)):
            until = remembered.get(key)
            if until is not None and until > self._clock():
                return answer
        under_way = self._under_way.get(key)
        if under_way is None:
            under_way = self._start(address, name, key, password, stored)
        # Shielded: a connection that goes away while it waits must not end the hashing for the others.
        return await asyncio.shield(under_way)

    def close(self) -> None:
        """Hash nothing more; whoever still waits is cancelled."""
        self._threads = 0
        for under_way in list(self._under_way.values()):
            under_way.cancel()
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _start(self, address: str, name: str, key: bytes, password: bytes, stored: str | None) -> asyncio.Future[bool]:
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        try:
            out = self._waiting.put(address, name, _Check(key, password, stored, answer))
        except QueueFullError:
            raise self._busy() from None
        if out is not None and not out.answer.done():
            out.answer.set_exception(self._busy())
        self._under_way[key] = answer
        answer.add_done_callback(lambda done: self._answered(key, done))
        self._go_on()
        return answer

    def _busy(self) -> BusyError:
        return BusyError(f"{self._max_waiting} passwords wait to be checked")

    def _go_on(self) -> None:
        while self._running < self._threads and (taken := self._waiting.take()) is not None:
            address, name, check = taken
            if check.answer.done():
                self._waiting.done(address, name)
            elif check.stored is None and not self._wants_to_measure:
                # Its turn costs no thread, so it keeps nobody else waiting.
                took = random.choice(self._took)  # noqa: S311 - it decides nothing
                asyncio.get_running_loop().call_later(took, self._pretended, address, name, check.answer)
            else:
                self._hash(address, name, check)

    @property
    def _wants_to_measure(self) -> bool:
        """Whether it is not known any more how long a check takes at present: then the next one is a real one."""
        return not self._took or self._clock() - self._measured >= MEASURED_SECONDS

    def _pretended(self, address: str, name: str, answer: asyncio.Future[bool]) -> None:
        self._waiting.done(address, name)
        if not answer.done():
            answer.set_result(False)
        self._go_on()

    def _hash(self, address: str, name: str, check: _Check) -> None:
        self._running += 1
        self._measured = began = self._clock()
        stored = self._nobodys if check.stored is None else check.stored
        hashing = asyncio.wrap_future(self._submit(check.password, stored))

        def hashed(done: asyncio.Future[bool]) -> None:
            self._running -= 1
            self._waiting.done(address, name)
            self._took.append(self._clock() - began)
            if not check.answer.done():
                if done.cancelled():
                    check.answer.cancel()
                elif (error := done.exception()) is not None:
                    check.answer.set_exception(error)
                else:
                    check.answer.set_result(done.result() and check.stored is not None)
            self._go_on()

        hashing.add_done_callback(hashed)

    def _submit(self, password: bytes, stored: str) -> Future[bool]:
        return self._executor.submit(matches, password, stored)

    def _answered(self, key: bytes, done: asyncio.Future[bool]) -> None:
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
        thread = threading.get_native_id()
        # A broker that gives way further already, as in an engine that was started with `nice`, may not give way less.
        os.setpriority(os.PRIO_PROCESS, thread, max(NICENESS, os.getpriority(os.PRIO_PROCESS, thread)))


def matches(password: bytes, stored: str) -> bool:
    """Whether a password is the one of a stored hash, in this thread; it takes as long as to hash it.

    Raises BusyError where there is no memory for it.
    """
    try:
        return HASHER.verify(stored, password)
    except (VerifyMismatchError, InvalidHashError):
        return False
    except VerificationError as error:
        # No memory, most likely: that says nothing about the password.
        raise BusyError(str(error)) from error
