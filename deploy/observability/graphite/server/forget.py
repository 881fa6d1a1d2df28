"""Remove series of Graphite that nobody writes any more, and the longest unwritten where all of them are too large.

`python3 forget.py [--every SECONDS]`. Each node that there ever was has series of its own (350 kB each, as
storage-schemas.conf says), and carbon removes none. GRAPHITE_KEEP_DAYS (30; 1 to 730) is how long one is kept after its
last point; GRAPHITE_KEEP_BYTES (5 GB) how large all may be together. What is still written is kept in any case, for
carbon would make it anew, empty. The standard library alone: it runs in the image of Graphite.
"""

import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

LEAST_DAYS, MOST_DAYS = 1, 730
LEAST_BYTES, MOST_BYTES = 100_000_000, 100_000_000_000_000
WRITTEN_WITHIN = 3600.0
"""Seconds; a series has a point a minute, and carbon writes it within minutes."""
_DAY = 86400.0
_DIGITS = 20


class Series(NamedTuple):
    """A file of carbon's."""

    path: str
    written: float
    """Seconds since 1970."""
    size: int
    """Bytes."""


def unwanted(found: Iterable[Series], now: float, keep_days: int, keep_bytes: int) -> list[Series]:
    """Which of them are to go; the longest unwritten first."""
    by_age = sorted(found, key=lambda series: series.written)
    left, gone = sum(series.size for series in by_age), []
    for series in by_age:
        age = now - series.written
        if age <= WRITTEN_WITHIN or (age <= keep_days * _DAY and left <= keep_bytes):
            break
        gone.append(series)
        left -= series.size
    return gone


def remove(folder: Path, now: float, keep_days: int, keep_bytes: int) -> int:
    """Remove what is to go below a folder of carbon's, and folders that are empty then; how many series went."""
    gone = unwanted(_series(folder), now, keep_days, keep_bytes)
    for series in gone:
        path = Path(series.path)
        path.unlink(missing_ok=True)
        for parent in path.parents:
            if parent == folder or any(parent.iterdir()):
                break
            parent.rmdir()
    return len(gone)


def _series(folder: Path) -> Iterable[Series]:
    for path in folder.rglob("*.wsp"):
        status = path.lstat()
        yield Series(str(path), status.st_mtime, status.st_size)


def number_of(environment: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    """What a setting says. Raises ValueError."""
    text = environment.get(name) or str(default)
    if not text.isascii() or not text.isdecimal() or len(text) > _DIGITS or not least <= int(text) <= most:
        raise ValueError(f"{name} is not a number from {least} to {most}: {text[:40]!r}")
    return int(text)


def main(
    arguments: Sequence[str],
    *,
    now: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Once, or for ever with `--every`; the exit code."""
    if arguments and (len(arguments) != 2 or arguments[0] != "--every" or not arguments[1].isdecimal()):  # noqa: PLR2004
        sys.stderr.write(__doc__ or "")
        return 2
    folder = Path(os.environ.get("GRAPHITE_FOLDER") or "/var/lib/graphite") / "whisper"
    try:
        keep_days = number_of(os.environ, "GRAPHITE_KEEP_DAYS", 30, LEAST_DAYS, MOST_DAYS)
        keep_bytes = number_of(os.environ, "GRAPHITE_KEEP_BYTES", 5_000_000_000, LEAST_BYTES, MOST_BYTES)
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    while True:
        try:
            if count := remove(folder, now(), keep_days, keep_bytes):
                sys.stderr.write(f"removed {count} series\n")
        except OSError as error:
            # As where carbon makes a folder in the place of one that went.
            sys.stderr.write(f"nothing more is removed for the moment: {error}\n")
            if not arguments:
                return 1
        if not arguments:
            return 0
        sleep(float(arguments[1]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
