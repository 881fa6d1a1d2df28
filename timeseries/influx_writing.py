"""A batch of points of which InfluxDB may refuse some: which they are, and whether they are to blame.

"No" to one point is told from "no" to everything by what else was taken: where most of a batch is refused, it is not
for the points, and all of it waits for an operator.
"""

import re
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from core.errors import UnavailableError
from timeseries.influx_answers import AnswerError, Meaning
from timeseries.store import MAX_POINTS

REQUESTS_MAX = 100
"""Requests to look for what is refused in one batch; what is undecided then is written again later."""
_DROPPED = re.compile(r"dropped[ =](\d{1,9})\b", re.ASCII)
_EXPIRED = "retention policy"

Part = tuple[int, int]
"""First point, and the one after the last."""


@dataclass(slots=True)
class Batch:
    """What became of the points of a batch, by their places in it."""

    expired: int = 0
    refused: dict[int, str] = field(default_factory=dict)
    undone: list[tuple[Part, UnavailableError]] = field(default_factory=list)
    away: UnavailableError | None = None
    """Why other batches need not be tried now: the server itself is away, not just this bucket."""


async def write_batch(send: Callable[[str], Awaitable[None]], lines: Sequence[str], *, taken_before: int = 0) -> Batch:
    """Write lines in as few requests as it takes to find those that are refused.

    `send` raises AnswerError and UnavailableError. `taken_before` is how many points the bucket has just taken of
    others.
    """
    batch = Batch()
    undecided: list[tuple[Part, AnswerError]] = []
    parts: deque[Part] = deque([(0, len(lines))])
    requests = 0
    while parts:
        first, after = part = parts.popleft()
        requests += 1
        try:
            await send("\n".join(lines[first:after]))
        except UnavailableError as error:
            _give_up(batch, part, parts, error)
            break
        except AnswerError as error:
            if error.meaning is not Meaning.REFUSED:
                _give_up(batch, part, parts, error.unavailable(), lacks=error.meaning is Meaning.LACKS)
                break
            if _EXPIRED in error.words:
                # The rest of the part is stored.
                batch.expired += min(_dropped(error.words), after - first)
            elif after - first == 1:
                batch.refused[first] = error.words
            elif requests + len(parts) >= REQUESTS_MAX:
                undecided.append((part, error))
            else:
                middle = (first + after) // 2
                parts.extend([(first, middle), (middle, after)])
    doubtful = len(batch.refused) + sum(after - first for (first, after), _ in undecided)
    taken = len(lines) - doubtful - sum(after - first for (first, after), _ in batch.undone)
    if batch.refused and taken + taken_before <= doubtful:
        words = next(iter(batch.refused.values()))
        everything = UnavailableError(f"InfluxDB refuses nearly everything: {words}")
        batch.undone += [((place, place + 1), everything) for place in batch.refused]
        batch.refused = {}
    batch.undone += [(part, error.unavailable()) for part, error in undecided]
    return batch


def _give_up(batch: Batch, part: Part, parts: Sequence[Part], error: UnavailableError, *, lacks: bool = False) -> None:
    # Only what was in the request may be written yet.
    not_asked = UnavailableError(str(error), retry_after=error.retry_after)
    batch.undone.append((part, error))
    batch.undone += [(other, not_asked) for other in parts]
    batch.away = None if lacks else not_asked


def _dropped(words: str) -> int:
    found = _DROPPED.search(words)
    return int(found[1]) if found else MAX_POINTS
