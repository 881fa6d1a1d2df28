"""How old a position may be, by the role of who sends it."""

from collections.abc import Mapping

from core.messages import Role
from runtime.durations import parse_duration

DEFAULT_AGES = "car=7d,mobile=7d,anonymous=7d"
"""Gateways and services may send positions of any time: a replay, or what was kept while a network was away."""


def parse_ages(text: str) -> dict[Role, int]:
    """Milliseconds by role, of a text such as `car=7d,mobile=12h`; a role that is not named has no limit.

    Raises ValueError that says what is wrong.
    """
    ages: dict[Role, int] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, duration = part.partition("=")
        try:
            role = Role(name.strip())
        except ValueError:
            raise ValueError(f"{name!r} is not a role: {', '.join(Role)}") from None
        if role in ages:
            raise ValueError(f"{role} is there twice")
        ages[role] = parse_duration(duration.strip())
    return ages


def too_old(observed_at: int, received_at: int, role: Role, ages: Mapping[Role, int]) -> bool:
    """Whether a position was too old when it was received; times in milliseconds since the epoch."""
    most = ages.get(role)
    return most is not None and observed_at < received_at - most
