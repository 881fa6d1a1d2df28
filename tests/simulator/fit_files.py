"""Writes FIT files: a header, a definition, records, a checksum (https://developer.garmin.com/fit/protocol/)."""

import struct
from collections.abc import Iterable

from simulator.fix import Fix

EPOCH_S = 631_065_600
"""1989-12-31T00:00:00Z."""
RECORD = 20
UINT32, SINT32, UINT16 = 0x86, 0x85, 0x84
UNKNOWN = 0x7FFF_FFFF
_FIELDS = ((253, 4, UINT32), (0, 4, SINT32), (1, 4, SINT32), (2, 2, UINT16), (6, 2, UINT16))
"""Number, size and type of timestamp, latitude, longitude, altitude (a fifth of a metre, from -500), speed (mm/s)."""
_CRC = (
    *(0x0000, 0xCC01, 0xD801, 0x1400, 0xF001, 0x3C00, 0x2800, 0xE401),
    *(0xA001, 0x6C00, 0x7800, 0xB401, 0x5000, 0x9C01, 0x8801, 0x4400),
)
"""The protocol's own table."""


def fit(fixes: Iterable[Fix]) -> bytes:
    """A whole file, as a watch writes it."""
    return framed(definition() + b"".join(record(fix) for fix in fixes))


def semicircles(degrees: float) -> int:
    return round(degrees * (1 << 31) / 180)


def definition() -> bytes:
    fields = b"".join(bytes(field) for field in _FIELDS)
    return struct.pack("<BBBHB", 0x40, 0, 0, RECORD, len(_FIELDS)) + fields


def record(fix: Fix, *, placed: bool = True) -> bytes:
    altitude = 0xFFFF if fix.altitude is None else round((fix.altitude + 500) * 5)
    speed = 0xFFFF if fix.speed is None else round(fix.speed * 1000)
    place = (semicircles(fix.latitude), semicircles(fix.longitude)) if placed else (UNKNOWN, UNKNOWN)
    return struct.pack("<BIiiHH", 0, fix.at_ms // 1000 - EPOCH_S, *place, altitude, speed)


def framed(body: bytes) -> bytes:
    header = struct.pack("<BBHI4s", 14, 0x20, 2140, len(body), b".FIT")
    header += struct.pack("<H", checksum(header))
    return header + body + struct.pack("<H", checksum(header + body))


def checksum(data: bytes) -> int:
    crc = 0
    for byte in data:
        for nibble in (byte & 0xF, byte >> 4):
            crc = (crc >> 4) ^ _CRC[crc & 0xF] ^ _CRC[nibble]
    return crc
