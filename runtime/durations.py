"""Durations as settings write them: 45s, 90m, 36h, 7d."""

import re

_UNITS = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_DURATION = re.compile(r"(\d{1,6})([smhd])", re.ASCII)


def parse_duration(text: str) -> int:
    """Milliseconds. Raises ValueError for what is not a whole number, above 0, of seconds, minutes, hours or days."""
    found = _DURATION.fullmatch(text)
    if not found or not int(found[1]):
        raise ValueError(f"{text!r} is no duration such as 45s, 90m, 36h or 7d")
    return int(found[1]) * _UNITS[found[2]]
