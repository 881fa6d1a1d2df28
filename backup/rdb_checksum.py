"""The checksum of what DUMP answers: CRC-64 with Jones's polynomial, as Redis has it (crc64.c)."""

_REVERSED = 0x95AC9329AC4BC9B5
"""0xad93d23594c935a9, its bits in the other order."""


def _entry(number: int) -> int:
    for _ in range(8):
        number = number >> 1 ^ _REVERSED if number & 1 else number >> 1
    return number


_TABLE = tuple(_entry(number) for number in range(256))


def crc64(data: bytes, crc: int = 0) -> int:
    """Of all the bytes behind those that have `crc`; `b"123456789"` has 0xe9c6d914c4b8d9ca."""
    table = _TABLE
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc
