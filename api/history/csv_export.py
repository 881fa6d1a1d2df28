"""History as CSV (RFC 4180): a row a window, for spreadsheets and for `pandas.read_csv`."""

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, repeat

from starlette.requests import Request

from api.history.body import Format, History, Range
from api.http.csv_answers import CsvAnswer, prefers_csv
from core.clock import parse_rfc3339

COLUMNS = ("zone", "kind", "window", "start", "end", "devices", "suppressed", "recorded")
"""`devices` is empty where the count is withheld. `recorded` is false for windows of which no minute was recorded, and,
where there is a 0, before what is kept: there, a 0 means that nothing is known."""
KEPT_SINCE = "Kept-Since"
"""The header that says what the member `kept_since` does in JSON."""
_NEVER = (math.inf, math.inf)
_WORD = {True: "true", False: "false"}


class Csv(CsvAnswer):
    """Histories of one range as one table."""

    def __init__(self, histories: Sequence[History], asked: Range, *, name: str, headers: Mapping[str, str]) -> None:
        """`name` is as `CsvAnswer` says."""
        kept = {KEPT_SINCE: histories[0].kept_since} if histories and histories[0].kept_since else {}
        rows = chain([COLUMNS], chain.from_iterable(_rows(history, asked) for history in histories))
        super().__init__(rows, name=name, headers={**kept, **headers})


def wanted(request: Request, asked: Format | None) -> Format:
    """The format of an answer: what the parameter says or, without one, what the client's Accept prefers."""
    if asked is not None:
        return asked
    return Format.CSV if prefers_csv(request) else Format.JSON


def _rows(history: History, asked: Range) -> Iterator[tuple[str | int | None, ...]]:
    # Texts: of members of an enumeration the writer would ask for each row what they are called.
    zone, kind, window = history.zone, str(history.kind), str(history.window)
    # After the last of them, one that no window is in.
    gaps = chain(((parse_rfc3339(gap.start), parse_rfc3339(gap.end)) for gap in history.unrecorded), repeat(_NEVER))
    begins, ends = next(gaps)
    for at, point in zip(asked.starts, history.points, strict=True):
        while ends <= at:
            begins, ends = next(gaps)
        yield zone, kind, window, point.start, point.end, point.devices, _WORD[point.suppressed], _WORD[at < begins]
