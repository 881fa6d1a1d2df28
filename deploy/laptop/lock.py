"""Who uses DATA_DIR: one run at a time. The standard library alone, as `make clean` has no more."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK = "lock"
"""The file in DATA_DIR that a run holds. It stays, and says that the folder is one of ours."""


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold `folder`. Raises BlockingIOError where somebody else does, OSError where there can be no lock."""
    lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(lock)
