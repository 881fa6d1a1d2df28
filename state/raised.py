"""Numbers that go up with each change, so that whoever follows something sees that it is another one: raise.lua."""

import re
from typing import Final

_NUMBER: Final = re.compile(rb"[0-9]{1,16}")


def number_of(text: bytes | None) -> int | None:
    """The number; None for what is none."""
    return int(text) if text is not None and _NUMBER.fullmatch(text) else None
