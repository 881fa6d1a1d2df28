"""A measure of an application's own: each instance answers `{"count", "sum", "sum_of_squares"}` since its start."""

from collections.abc import Iterable, Mapping
from typing import Protocol

import aiohttp
import msgspec

from controller.asking import ask, url_of
from core.errors import UnavailableError
from core.unreadable import UNREADABLE
from state.apps import Canary, Instance, Measure

MAX_ANSWER_BYTES = 4096
MAX_COUNT = 10**12
MAX_SUM = 1e30
"""Without its sign. Of squares it is the square of this."""


class Measures(Protocol):
    """Asks instances for their measure."""

    async def read(self, instance: Instance, path: str) -> Measure | None:
        """What it answers; None where it answers no measure."""
        ...


class HttpMeasures:
    """Over HTTP, from each instance itself."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def read(self, instance: Instance, path: str) -> Measure | None:
        """What it answers; None where it does not in two seconds, or that is no measure."""
        try:
            return parse_measure(await ask(self._session, f"{url_of(instance)}{path}", limit=MAX_ANSWER_BYTES))
        except UnavailableError:
            return None


def parse_measure(body: bytes) -> Measure | None:
    """None for what is no measure: another structure, or numbers with which nobody could reckon."""
    try:
        measure = msgspec.json.decode(body, type=Measure)
    except UNREADABLE:
        return None
    squares = 0 <= measure.sum_of_squares <= MAX_SUM**2
    return measure if 0 <= measure.count <= MAX_COUNT and abs(measure.sum) <= MAX_SUM and squares else None


def measured_since(now: Mapping[str, Measure], canary: Canary, instances: Iterable[Instance]) -> Measure:
    """What some instances have measured, all together, since the step of the canary began."""
    count, total, squares = 0, 0.0, 0.0
    for each in instances:
        measure = now.get(each.name)
        before = canary.measured.get(each.name)
        if measure is None or (before is None and each.since < canary.step_at):
            continue
        # One that was started anew has forgotten what it had measured.
        if before is None or before.count > measure.count:
            before = Measure()
        count += measure.count - before.count
        total += measure.sum - before.sum
        squares += measure.sum_of_squares - before.sum_of_squares
    return Measure(count=count, sum=total, sum_of_squares=squares)
