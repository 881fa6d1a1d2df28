"""Noise of a cell: one number for a zone, kind and day, for ever the same."""

import hashlib

_BYTES = 8


def day_noise(key: bytes, *, zone: str, kind: str, start: int, width: int) -> int:
    """What is added to the distinct count of a day that began at `start` (ms, UTC): -width to width, all as likely.

    By the cell alone and never by its count: who adds devices of their own to the day learns their own number, and no
    second draw. `key` has 16 to 64 bytes, and is secret. 0 where `width` is 0.
    """
    size = 2 * width + 1
    # Whatever is above a multiple of the size is drawn anew, else the first numbers were likelier.
    fair = (1 << 8 * _BYTES) // size * size
    attempt = 0
    while True:
        # Lengths first: no two cells are the same bytes.
        cell = f"{len(zone)}:{zone}{len(kind)}:{kind}{start}:{attempt}".encode()
        drawn = int.from_bytes(hashlib.blake2b(cell, key=key, digest_size=_BYTES, person=b"day noise").digest())
        if drawn < fair:
            return drawn % size - width
        attempt += 1
