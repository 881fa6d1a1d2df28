"""When each fix is due."""

import math
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from simulator.fix import Fix

AnyFix = TypeVar("AnyFix", bound=Fix)

MAX_SPEED = math.inf
"""As fast as the other side takes them."""


def paced(
    fixes: Iterable[AnyFix], *, speed: float, elapsed: Callable[[], float], sleep: Callable[[float], None]
) -> Iterator[AnyFix]:
    """Each fix when it is due: as long after the first as it was recorded, divided by `speed`.

    `elapsed` is a clock in seconds that never goes back, with any zero. Who is late does not wait: the next fixes come
    at once, until the track has caught up.
    """
    started = elapsed()
    first: int | None = None
    for fix in fixes:
        first = fix.at_ms if first is None else first
        due = started + (fix.at_ms - first) / 1000 / speed
        if (early := due - elapsed()) > 0:
            sleep(early)
        yield fix
