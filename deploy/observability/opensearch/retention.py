"""Remove the logs of days that are over for long enough, and the oldest where all of them are too large.

`python -m deploy.observability.opensearch.retention [--every SECONDS]`. An index holds a day, which its name says.
LOG_KEEP_DAYS (7; 1 to 365) is how many days after it an index is kept: a line is there for that long, and for the rest
of its own day. LOG_KEEP_BYTES (5 GB) is how large all days may be together: above it the oldest goes, and the next, and
today's at last, for a full disk would stop more than the logs. The standard library alone.
"""

import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta

from deploy.observability.opensearch.store import Ask, StoreError, store_at

_INDEX = re.compile(r"logs-(\d{4}-\d\d-\d\d)")
LEAST_DAYS, MOST_DAYS = 1, 365
LEAST_BYTES, MOST_BYTES = 100_000_000, 100_000_000_000_000
_DIGITS = 20


def expired(indices: Iterable[str], today: date, keep_days: int) -> list[str]:
    """Which of these indices hold a day that ended more than `keep_days` days before `today`, in UTC; the oldest first.

    What has another name than ours has is nobody's to remove.
    """
    return sorted(name for name in indices if (day := _day(name)) and day < today - timedelta(days=keep_days))


def _day(name: str) -> date | None:
    found = _INDEX.fullmatch(name)
    try:
        return date.fromisoformat(found[1]) if found else None
    except ValueError:
        return None


def too_large(sizes: Mapping[str, int], keep_bytes: int) -> list[str]:
    """The oldest of these indices (names and bytes) that must go until the rest has `keep_bytes` at the most."""
    days = sorted(name for name in sizes if _day(name))
    left, gone = sum(sizes[name] for name in days), []
    for name in days:
        if left <= keep_bytes:
            break
        gone.append(name)
        left -= sizes[name]
    return gone


def remove(ask: Ask, today: date, keep_days: int, keep_bytes: int) -> list[str]:
    """Remove indices of days that are over for long enough, and what is too much; their names. Raises StoreError."""
    there = ask("GET", "/_cat/indices/logs-*?format=json&bytes=b&h=index,store.size", None)
    # An index that is being made, or is closed, has no size yet.
    sizes = {each["index"]: int(each["store.size"] or 0) for each in there}
    gone = expired(sizes, today, keep_days)
    gone += too_large({name: size for name, size in sizes.items() if name not in gone}, keep_bytes)
    for name in gone:
        ask("DELETE", f"/{name}?ignore_unavailable=true", None)
    return gone


def keep_days_of(text: str) -> int:
    """What LOG_KEEP_DAYS says. Raises ValueError."""
    return _number("LOG_KEEP_DAYS", text, LEAST_DAYS, MOST_DAYS)


def keep_bytes_of(text: str) -> int:
    """What LOG_KEEP_BYTES says. Raises ValueError."""
    return _number("LOG_KEEP_BYTES", text, LEAST_BYTES, MOST_BYTES)


def _number(name: str, text: str, least: int, most: int) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > _DIGITS or not least <= int(text) <= most:
        raise ValueError(f"{name} is not a number from {least} to {most}: {text[:40]!r}")
    return int(text)


def main(
    arguments: Sequence[str],
    *,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Once, or for ever with `--every`, where a store that is away is waited for; the exit code."""
    if arguments and (len(arguments) != 2 or arguments[0] != "--every" or not arguments[1].isdecimal()):  # noqa: PLR2004
        sys.stderr.write(__doc__ or "")
        return 2
    try:
        keep_days = keep_days_of(os.environ.get("LOG_KEEP_DAYS") or "7")
        keep_bytes = keep_bytes_of(os.environ.get("LOG_KEEP_BYTES") or "5000000000")
        ask = store_at(os.environ.get("LOG_STORE_URL") or "http://opensearch:9200")
    except (ValueError, StoreError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    while True:
        try:
            for name in remove(ask, now().date(), keep_days, keep_bytes):
                sys.stderr.write(f"removed {name}\n")
        except StoreError as error:
            sys.stderr.write(f"nothing is removed for the moment: {error}\n")
            if not arguments:
                return 1
        if not arguments:
            return 0
        sleep(float(arguments[1]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
