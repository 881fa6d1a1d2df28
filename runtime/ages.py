"""How old a position may be, by the role of who sends it."""

from collections.abc import Mapping

from core.kinds import Kinds, Role
from runtime.durations import parse_duration

_USUAL = "7d"


def parse_ages(text: str, kinds: Kinds, *, most: int | None = None) -> dict[Role, int]:
    """Milliseconds by role, of a text such as `car=7d,mobile=12h`; a role that is not named has no limit.

    Without a text devices and clients without a user have seven days. Gateways and services may send positions of any
    time: a replay, or what was kept while a network was away. `most`, in milliseconds, is the limit of whoever has none
    of these, where there is one. Raises ValueError that says what is wrong.
    """
    ages: dict[Role, int] = {} if most is None else dict.fromkeys(kinds.roles, most)
    if not text.strip():
        return ages | dict.fromkeys((*kinds.device_roles, Role.ANONYMOUS), parse_duration(_USUAL))
    return ages | _named_ages(text, kinds, most)


def _named_ages(text: str, kinds: Kinds, most: int | None) -> dict[Role, int]:
    ages: dict[Role, int] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, duration = part.partition("=")
        try:
            role = kinds.role(name.strip())
        except ValueError as error:
            raise ValueError(f"{part!r} is not role=duration: {error}") from None
        if role in ages:
            raise ValueError(f"{role} is there twice")
        ages[role] = parse_duration(duration.strip())
        if most is not None and ages[role] > most:
            raise ValueError(
                f"{part!r} is more than {most // 86_400_000}d: older positions have no key where keys rotate "
                "(DEVICE_KEY_ROTATION)"
            )
    return ages


def too_old(observed_at: int, received_at: int, role: Role, ages: Mapping[Role, int]) -> bool:
    """Whether a position was too old when it was received; times in milliseconds since the epoch."""
    most = ages.get(role)
    return most is not None and observed_at < received_at - most
