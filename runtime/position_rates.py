"""How many positions a second a user may send, by role: POSITION_RATE."""

import binascii
from collections.abc import Mapping
from typing import NamedTuple

from pydantic import Field

from core.errors import BadSettingsError
from core.kinds import Kinds, Role
from runtime.settings import Settings

BYTES_OF_ONE = 512
"""A message counts as one position for every 512 bytes, or part of them: a broker knows its size without decoding it. A
usual position has some 450 bytes of base64, and a collection of 500 of them counts as some hundreds."""
MAX_RATE = 1_000_000
MAX_UNPACKED = 65_536
"""Bytes that are unpacked of a message, at the most (`payloads.unwrapping`)."""
_GZIP = b"\x1f\x8b"
_GZIP_IN_BASE64 = b"H4sI"
_GZIPS = (_GZIP, _GZIP_IN_BASE64)
_BLANKS = b" \t\r\n"
_URL_SAFE = bytes.maketrans(b"-_", b"+/")


class Rate(NamedTuple):
    """How fast positions may come."""

    rate: float
    """Positions a second."""
    burst: float
    """Positions that may come at once, after a while without any."""


_USUAL = Rate(100, 1000)


def cost_of(size: int, unpacked: int = 0) -> int:
    """How many positions a message of so many bytes counts as, which are so many once they are unpacked."""
    return -(-max(size, unpacked) // BYTES_OF_ONE) or 1


def is_gzip(message: bytes, start: int = 0) -> bool:
    """Whether what begins there in a message is in gzip, or in base64 of it: whether to ask for `unpacked_size`."""
    return message.startswith(_GZIPS, start)


def unpacked_size(payload: bytes) -> int:
    """How many bytes a payload in gzip has once it is unpacked, by its own account; 0 for one that is none.

    One that says less than is true is no gzip, and is refused. Of more than the largest message nothing is unpacked.
    """
    if payload.startswith(_GZIP_IN_BASE64):
        try:
            payload = binascii.a2b_base64(payload.translate(_URL_SAFE).rstrip(_BLANKS + b"=") + b"==")
        except binascii.Error:
            return 0
    if not payload.startswith(_GZIP):
        return 0
    return min(int.from_bytes(payload.rstrip(_BLANKS)[-4:], "little"), MAX_UNPACKED)


def parse_rates(text: str, kinds: Kinds) -> Mapping[Role, Rate]:
    """`role=rate:burst`, joined by commas; roles that are not named have no limit. Raises ValueError.

    Without a text devices may send 100 positions a second, and 1000 at once.
    """
    if not text.strip():
        return dict.fromkeys(kinds.device_roles, _USUAL)
    rates: dict[Role, Rate] = {}
    for part in filter(None, (each.strip() for each in text.split(","))):
        name, _, numbers = part.partition("=")
        rate, _, burst = numbers.partition(":")
        try:
            role, found = kinds.role(name.strip()), Rate(float(rate), float(burst or rate))
        except ValueError as error:
            roles = ", ".join(role.name for role in kinds.roles)
            raise ValueError(f"{part!r} is not role=rate:burst, where a role is one of {roles}") from error
        if not (0 < found.rate <= MAX_RATE and 1 <= found.burst <= MAX_RATE):
            raise ValueError(f"{part!r}: a rate is above 0, a burst 1 or more, and neither above {MAX_RATE:,}")
        if role in rates:
            raise ValueError(f"{role.name} is there twice")
        rates[role] = found
    return rates


class RateSettings(Settings):
    """What brokers and the API must agree on about how fast positions may come."""

    position_rate: str = Field(
        default="",
        description="Positions a second of one user, and at once, by role: car=100:1000,gateway=2000; roles that are"
        " not named have no limit; unset: 100:1000 for devices of each kind. A message counts as one for each 512 bytes"
        " begun. Over HTTP, keys are gateways.",
    )

    def position_rates(self, kinds: Kinds) -> Mapping[Role, Rate]:
        """POSITION_RATE by role. Raises BadSettingsError, which names it."""
        try:
            return parse_rates(self.position_rate, kinds)
        except ValueError as error:
            raise BadSettingsError(f"POSITION_RATE: {error}") from error
