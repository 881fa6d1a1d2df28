"""Device ids become keyed hashes: the same device is the same hash, and nobody without the key can tell which."""

import hashlib
import os
import secrets
from functools import lru_cache
from pathlib import Path

from core.errors import BadSettingsError
from core.kinds import KindId
from runtime.settings import DeviceSettings

KEY_BYTES = 32
HASH_BYTES = 16
AWAY_BYTES = 8
"""Enough for no two of a million devices to have the same, and no more: it lives for minutes."""
CLIENT_BYTES = 8
AWAY_KEPT = 20_000
"""Devices whose second hashes are remembered: 5 MB."""


class DeviceHasher:
    """Hashes device ids with BLAKE2b, keyed, to 16 bytes."""

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise BadSettingsError(f"DEVICE_KEY: {KEY_BYTES} bytes are needed, as {2 * KEY_BYTES} hexadecimal digits")
        # Copied for each device: the key is taken in once.
        self._keyed = hashlib.blake2b(digest_size=HASH_BYTES, key=key)
        self._keyed_again = hashlib.blake2b(digest_size=AWAY_BYTES, key=key, person=b"away")
        self._keyed_of_clients = hashlib.blake2b(digest_size=CLIENT_BYTES, key=key, person=b"client")
        self.away = lru_cache(AWAY_KEPT)(self._away)
        """The second hash of a device by its first: 16 hexadecimal digits, under which it is known while it is outside
        the campus. Without the key nobody can tell which devices the two are of."""

    def hash(self, kind: KindId, device_id: str) -> str:
        """32 hexadecimal digits. A car and a phone of the same name are two devices."""
        hashed = self._keyed.copy()
        hashed.update(f"{kind}\0{device_id}".encode())
        return hashed.hexdigest()

    def client(self, name: str) -> str:
        """What Redis is told of a client of the API, who may be an address: 16 hexadecimal digits."""
        hashed = self._keyed_of_clients.copy()
        hashed.update(name.encode())
        return hashed.hexdigest()

    def _away(self, hashed: str) -> str:
        again = self._keyed_again.copy()
        again.update(hashed.encode())
        return again.hexdigest()


def device_hasher(settings: DeviceSettings) -> DeviceHasher:
    """The hasher with the key of these settings: DEVICE_KEY, or the one in DATA_DIR, made at first use.

    Raises BadSettingsError as `device_key` does.
    """
    configured = settings.device_key.get_secret_value() if settings.device_key else None
    return DeviceHasher(device_key(configured, settings.data_dir / "device.key"))


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
