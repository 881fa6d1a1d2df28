"""Device ids become keyed hashes: the same device is the same hash, and nobody without the key can tell which.

Where keys rotate (DEVICE_KEY_ROTATION), the key of a hash is that of the position's time (`runtime.epochs`): made of
DEVICE_KEY and of a secret that is destroyed some days after its time is over. From then on nobody can tell which
device a hash was of, or whether two hashes of different times are of one.
"""

import hashlib
import os
import secrets
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from core.errors import BadSettingsError
from core.kinds import KindId
from runtime.epochs import DeviceKey
from runtime.settings import DeviceSettings

KEY_BYTES = 32
HASH_BYTES = 16
AWAY_BYTES = 8
"""Enough for no two of a million devices to have the same, and no more: it lives for minutes."""
CLIENT_BYTES = 8
SOURCES_KEPT = 1000
SECRET_BYTES = 32
AWAY_KEPT = 20_000
"""Devices whose second hashes are remembered: 5 MB."""


class Epoch(NamedTuple):
    """A key, and the time whose positions it is of."""

    start: int
    """Its first millisecond, since the epoch."""
    end: int
    """The first that is not."""
    key: "HashKey"


class MissingKeyError(LookupError):
    """The key of a time is not known here: it is to be read, or made."""

    def __init__(self, at: int) -> None:
        """`at` is in milliseconds since the epoch."""
        super().__init__("the key of that time is not known")
        self.at = at


class DestroyedKeyError(LookupError):
    """The key of a time was destroyed: nothing of that time can be hashed any more."""


class HashKey:
    """One key: that of devices which send for themselves, and those of others who send for devices."""

    __slots__ = ("_key", "_of_sources", "own")

    def __init__(self, key: bytes) -> None:
        self._key = key
        # Copied for each device: the key is taken in once.
        self.own = hashlib.blake2b(digest_size=HASH_BYTES, key=key)
        self._of_sources: dict[str, hashlib.blake2b] = {}

    def of(self, source: str) -> hashlib.blake2b:
        """For a source: one of its own, so that no choice of an id makes the device of another source of it."""
        if not source:
            return self.own
        found = self._of_sources.get(source)
        if found is None:
            if len(self._of_sources) >= SOURCES_KEPT:
                self._of_sources.clear()
            key = hashlib.blake2b(source.encode(), digest_size=KEY_BYTES, key=self._key, person=b"source").digest()
            found = self._of_sources[source] = hashlib.blake2b(digest_size=HASH_BYTES, key=key)
        return found

    def hash(self, kind: KindId, device_id: str, source: str) -> str:
        """As `DeviceHasher.hash`."""
        hashed = self.of(source).copy()
        hashed.update(f"{kind}\0{device_id}".encode())
        return hashed.hexdigest()


class DeviceHasher:
    """Hashes device ids with BLAKE2b, keyed, to 16 bytes."""

    def __init__(self, key: bytes, *, rotates: bool = False) -> None:
        """`rotates`: the keys of times are taken up with `take_up`, and nothing is hashed before."""
        if len(key) != KEY_BYTES:
            raise BadSettingsError(f"DEVICE_KEY: {KEY_BYTES} bytes are needed, as {2 * KEY_BYTES} hexadecimal digits")
        self.rotates = rotates
        self._key = key
        self._always = HashKey(key)
        self._keys: list[DeviceKey] = []
        self._epochs: list[Epoch] = []
        self._starts: list[int] = []
        self._destroyed_until = 0
        self._last: Epoch | None = None
        self._keyed_again = hashlib.blake2b(digest_size=AWAY_BYTES, key=key, person=b"away")
        self._keyed_of_clients = hashlib.blake2b(digest_size=CLIENT_BYTES, key=key, person=b"client")
        self._keyed_of_readers = hashlib.blake2b(digest_size=SECRET_BYTES, key=key, person=b"pseudonym")
        self.away = lru_cache(AWAY_KEPT)(self._away)
        """The second hash of a device by its first: 16 hexadecimal digits, under which it is known while it is outside
        the campus. Without the key nobody can tell which devices the two are of."""

    def hash(self, kind: KindId, device_id: str, *, source: str = "", at: int | None = None) -> str:
        """32 hexadecimal digits. A car and a phone of the same name are two devices.

        `source` is who sent it, where that is a part of who a device is (DEVICE_SOURCE); "": the device itself. `at` is
        the time of the position, milliseconds since the epoch: without it nothing can be hashed where keys rotate.
        Raises MissingKeyError and DestroyedKeyError, only where they do.
        """
        key = self._epoch(at).key if self.rotates else self._always
        hashed = key.of(source).copy()
        hashed.update(f"{kind}\0{device_id}".encode())
        return hashed.hexdigest()

    def hash_before(self, kind: KindId, device_id: str, *, source: str, at: int, within: int) -> str | None:
        """What a device's hash was until the key changed; None where that is longer ago than `within` milliseconds.

        Raises as `hash` does.
        """
        if not self.rotates:
            return None
        epoch = self._epoch(at)
        if at - epoch.start >= within:
            return None
        before = self._epochs[bisect_right(self._starts, epoch.start) - 2] if epoch.start > self._starts[0] else None
        if before is None or before.end != epoch.start:
            return None
        return before.key.hash(kind, device_id, source)

    def hashes(
        self, kind: KindId, device_id: str, *, keys: Iterable[DeviceKey] = (), sources: Iterable[str] = ()
    ) -> list[str]:
        """All hashes that a device may have, with these keys beside that of before any rotated.

        `sources` are those beside the device itself.
        """
        every = [self._always, *(self._made(key) for key in keys)]
        return [key.hash(kind, device_id, source) for key in every for source in dict.fromkeys(("", *sources))]

    def take_up(self, keys: Sequence[DeviceKey], *, destroyed_until: int) -> None:
        """Know these keys, which are in the order of time; those of before `destroyed_until` are gone for good."""
        self._destroyed_until = destroyed_until
        if list(keys) != self._keys:
            self._keys = list(keys)
            self._epochs = [Epoch(key.start, key.end, self._made(key)) for key in keys]
            self._starts, self._last = [epoch.start for epoch in self._epochs], None

    def _made(self, key: DeviceKey) -> HashKey:
        """Whoever has one of the two, the secret or DEVICE_KEY, has nothing."""
        return HashKey(hashlib.blake2b(key.secret, digest_size=KEY_BYTES, key=self._key, person=b"epoch").digest())

    def _epoch(self, at: int | None) -> Epoch:
        if at is None:
            raise ValueError("where keys rotate, a hash is of a time")
        last = self._last
        # Most positions are of one time.
        if last is not None and last.start <= at < last.end:
            return last
        index = bisect_right(self._starts, at) - 1
        if index >= 0 and at < self._epochs[index].end:
            self._last = self._epochs[index]
            return self._last
        if at < self._destroyed_until:
            raise DestroyedKeyError("the key of that time was destroyed")
        raise MissingKeyError(at)

    def client(self, name: str) -> str:
        """What Redis is told of a client of the API, who may be an address: 16 hexadecimal digits."""
        hashed = self._keyed_of_clients.copy()
        hashed.update(name.encode())
        return hashed.hexdigest()

    def secret(self, name: str) -> bytes:
        """A key of 32 bytes for what is told of devices, by a name. Nobody has it without DEVICE_KEY."""
        hashed = self._keyed_of_readers.copy()
        hashed.update(name.encode())
        return hashed.digest()

    def _away(self, hashed: str) -> str:
        again = self._keyed_again.copy()
        again.update(hashed.encode())
        return again.hexdigest()


def device_hasher(settings: DeviceSettings, *, rotates: bool = False) -> DeviceHasher:
    """The hasher with the key of these settings: DEVICE_KEY, or the one in DATA_DIR, made at first use.

    `rotates` is as of `DeviceHasher`. Raises BadSettingsError as `device_key` does.
    """
    configured = settings.device_key.get_secret_value() if settings.device_key else None
    return DeviceHasher(device_key(configured, settings.data_dir / "device.key"), rotates=rotates)


def device_key(configured: str | None, path: Path) -> bytes:
    """The key: DEVICE_KEY in hexadecimal digits or, without that, the one in a file that is made at first use.

    Raises BadSettingsError where DEVICE_KEY is not hexadecimal, or the file can be neither read nor written.
    """
    if configured:
        try:
            return bytes.fromhex(configured)
        except ValueError as error:
            raise BadSettingsError(
                f"DEVICE_KEY: not hexadecimal digits; make one with: openssl rand -hex {KEY_BYTES}"
            ) from error
    try:
        return _kept_key(path)
    except OSError as error:
        raise BadSettingsError(f"DATA_DIR: the key of the device ids cannot be kept in {path}: {error}") from error


def _kept_key(path: Path) -> bytes:
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Complete before it has its name, and never over another's: two processes may start at once.
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        draft.touch(mode=0o600)
        draft.write_text(secrets.token_hex(KEY_BYTES))
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return bytes.fromhex(path.read_text().strip())
