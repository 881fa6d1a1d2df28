"""Under which names one API key sees devices, where PRIVACY is not open: of each device another one each day.

A pseudonym is the hash that the stores have, as one block of AES under a key that follows from DEVICE_KEY, the API key
and the day. So it is as long as the hash, two keys that compare what they got find nothing that is the same, and this
process can turn one back that it is asked for. What it cannot hide: whoever knows where somebody was at a time finds
their position among the others of that day.
"""

import base64
import os
import re
from collections.abc import Iterable
from datetime import date, datetime
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from core.clock import parse_rfc3339
from core.windows import Width, window_end, window_start
from runtime.devices import HASH_BYTES, DeviceHasher

NONCE_BYTES = 12
_HASH = re.compile(r"[0-9a-f]{32}", re.ASCII)
_DAYS_KEPT = 64
"""Days whose ciphers one answer keeps; documents come in the order of time."""

Feature = dict[str, Any]


class Pseudonyms:
    """The names that one API key sees; of one answer, or of several."""

    def __init__(self, hasher: DeviceHasher, key_id: str, timezone: ZoneInfo) -> None:
        """`key_id` is that of the API key; days are those of the time zone of the campus."""
        self._hasher = hasher
        self._key_id = key_id
        self._timezone = timezone
        self._sealed = AESGCM(hasher.secret(f"{key_id}\0cursor"))
        self._of_day = lru_cache(_DAYS_KEPT)(self._cipher)

    def day_of(self, at: int) -> tuple[int, int]:
        """Start and end of the day that holds a time, in milliseconds since the epoch."""
        start = window_start(Width.DAY, at, self._timezone)
        return start, window_end(Width.DAY, start, self._timezone)

    def of(self, device: str, at: int) -> str:
        """The pseudonym of a device, by its hash, on the day that holds a time: 32 hexadecimal digits."""
        if not _HASH.fullmatch(device):
            # No decoder of ours wrote that. It is named nonetheless, and cannot be asked for.
            return self._hasher.secret(f"{self._key_id}\0{self._date(at)}\0{device}")[:HASH_BYTES].hex()
        return self._of_day(self._date(at)).encryptor().update(bytes.fromhex(device)).hex()

    def hash_of(self, pseudonym: str, at: int) -> str:
        """The hash of whom this was the pseudonym of on the day that holds a time; of none, a hash that nobody has."""
        return self._of_day(self._date(at)).decryptor().update(bytes.fromhex(pseudonym)).hex()

    def named(self, features: Iterable[Feature]) -> list[Feature]:
        """Positions, as they are given, with pseudonyms in place of hashes; they are changed."""
        found = list(features)
        for feature in found:
            properties = feature["properties"]
            device = properties["device"]
            properties["device"] = self.of(device, parse_rfc3339(properties["observed_at"]))
            # An id begins with the hash, and ends with the time.
            feature["id"] = properties["device"] + feature["id"].removeprefix(device)
        return found

    def seal(self, cursor: str) -> str:
        """A cursor that says nothing: the store's own names a document."""
        nonce = os.urandom(NONCE_BYTES)
        return _text(nonce + self._sealed.encrypt(nonce, cursor.encode(), None))

    def opened(self, cursor: str) -> str:
        """The store's cursor in one that `seal` made for this API key. Raises ValueError for any other."""
        try:
            sealed = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
            return self._sealed.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], None).decode()
        except (ValueError, InvalidTag):
            raise ValueError("not a cursor that an earlier page gave to this key") from None

    def _date(self, at: int) -> date:
        # Days are cut at the first midnight, also where a date comes twice: as windows are.
        return datetime.fromtimestamp(window_start(Width.DAY, at, self._timezone) // 1000, self._timezone).date()

    def _cipher(self, day: date) -> Cipher[modes.ECB]:
        # One block alone, of what is as good as random: as a permutation, which needs no mode.
        return Cipher(algorithms.AES(self._hasher.secret(f"{self._key_id}\0{day}")), modes.ECB())  # noqa: S305


def _text(sealed: bytes) -> str:
    return base64.urlsafe_b64encode(sealed).decode().rstrip("=")
