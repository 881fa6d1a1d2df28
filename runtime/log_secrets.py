"""A last look at each line of the log: what is a secret by its name, or looks like one, is not written.

Nobody logs a secret on purpose. An error of a library may quote an address with a password in it, or a header.
"""

import re
from collections.abc import Mapping
from typing import Any

REDACTED = "[redacted]"
_NAMES = re.compile(r"passw(?:or)?d|secret|token|authorization|api_?key", re.IGNORECASE)
"""In names of members: `redis_password`, `X-API-Key` (a hyphen is taken for an underscore)."""
_LIKE_SECRETS = re.compile(
    # A key of the API (`api.auth.keys`); what is in a header, of which "basic" is an English word as well; user and
    # password in an address. There a slash may be in the password, if it is not that after a port.
    r"(?P<key>ck_[0-9a-f]{16}_)\S+"
    r"|(?P<header>\bauthorization\W{0,2}[:=]\W{0,3}\w+ )\S+"
    r"|(?P<scheme>\b(?:bearer|token) )\S+"
    r"|(?P<basic>\bbasic )(?=[A-Za-z0-9+/]{16}|[A-Za-z0-9+/]+=)\S+"
    r"|(?P<user>://[^\s/:@]*:)(?!\d*/)[^\s@]+(?=@)",
    re.IGNORECASE,
)
_MOST_NESTED = 4


def without_secrets(text: str) -> str:
    """The text, with `[redacted]` in place of what looks like a secret."""
    # One of these is in each text that it finds something in. Most have none, which is told much quicker so.
    low = text.lower()
    if not ("://" in low or "ck_" in low or "earer " in low or "oken " in low or "asic " in low or "uthor" in low):
        return text
    return _LIKE_SECRETS.sub(lambda found: f"{found.group(found.lastgroup or 0)}{REDACTED}", text)


class Secrets:
    """The last processor before a line is written."""

    def __init__(self) -> None:
        # Names are those that our code has: a few hundred, and told once each.
        self._known: dict[str, bool] = {}

    def __call__(self, _: object, __: str, event_dict: Any) -> Any:  # noqa: ANN401 - structlog's processors are so
        """The record without secrets; it is changed in place."""
        known = self._known
        for name, value in event_dict.items():
            if known[name] if name in known else self._is_secret(name):
                event_dict[name] = REDACTED
            elif type(value) is str:
                # As in `without_secrets`: a call for each member would cost as much as all of this.
                low = value.lower()
                if (
                    "://" in low
                    or "ck_" in low
                    or "earer " in low
                    or "oken " in low
                    or "asic " in low
                    or "uthori" in low
                ):
                    event_dict[name] = without_secrets(value)
            elif value is not None and not isinstance(value, int | float) and name != "exc_info":
                event_dict[name] = self._inside(value, 0)
        return event_dict

    def _is_secret(self, name: str) -> bool:
        known = self._known.get(name)
        if known is None:
            if len(self._known) >= 1000:  # noqa: PLR2004 - more names than the code has: members of what came in
                self._known.clear()
            known = self._known[name] = _NAMES.search(name.replace("-", "_")) is not None
        return known

    def _inside(self, value: Any, depth: int) -> Any:  # noqa: ANN401 - whatever was logged
        if isinstance(value, str):
            return without_secrets(value)
        if isinstance(value, Mapping):
            if depth >= _MOST_NESTED:
                return REDACTED
            return {
                name: REDACTED if self._is_secret(str(name)) else self._inside(member, depth + 1)
                for name, member in value.items()
            }
        if isinstance(value, list | tuple):
            return REDACTED if depth >= _MOST_NESTED else [self._inside(each, depth + 1) for each in value]
        if isinstance(value, int | float | None):
            return value
        return without_secrets(repr(value) if isinstance(value, BaseException) else str(value))
