"""History as CSV (RFC 4180): a row a window, for spreadsheets and for `pandas.read_csv`."""

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, repeat

from starlette.requests import Request
from starlette.responses import Response

from api.history.body import Format, History, Range
from core.clock import parse_rfc3339

MEDIA_TYPE = "text/csv"
COLUMNS = ("zone", "kind", "window", "start", "end", "devices", "suppressed", "recorded")
"""`devices` is empty where the count is withheld. `recorded` is false for windows of which no minute was recorded, and,
where there is a 0, before what is kept: there, a 0 means that nothing is known."""
KEPT_SINCE = "Kept-Since"
"""The header that says what the member `kept_since` does in JSON."""
_NEVER = (math.inf, math.inf)
_WORD = {True: "true", False: "false"}
_JSON, _WILD = "application/json", ("application/*", "*/*")


class Csv(Response):
    """Histories of one range as one table."""

    media_type = MEDIA_TYPE

    def __init__(self, histories: Sequence[History], asked: Range, *, name: str, headers: Mapping[str, str]) -> None:
        """`name` is what a browser calls the file, without its ending; letters, digits, hyphens and full stops."""
        kept = {KEPT_SINCE: histories[0].kept_since} if histories and histories[0].kept_since else {}
        super().__init__(
            _table(histories, asked),
            headers={
                "X-Content-Type-Options": "nosniff",
                "Content-Disposition": f'inline; filename="{name}.csv"',
                **kept,
                **headers,
            },
        )


def wanted(request: Request, asked: Format | None) -> Format:
    """The format of an answer: what the parameter says or, without one, what the client's Accept prefers."""
    if asked is not None:
        return asked
    qualities: dict[str, float] = {}
    for part in ",".join(request.headers.getlist("accept")).split(","):
        media_type, *parameters = (text.strip().lower() for text in part.split(";"))
        qualities[media_type] = _quality(parameters)
    csv = qualities.get(MEDIA_TYPE, 0.0)
    if _JSON in qualities:
        return Format.CSV if csv > qualities[_JSON] else Format.JSON
    # Who names CSV beside a wildcard means CSV.
    return Format.CSV if csv and csv >= max(qualities.get(name, 0.0) for name in _WILD) else Format.JSON


def _quality(parameters: Sequence[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name == "q":
            try:
                return min(max(float(value), 0.0), 1.0)
            except ValueError:
                return 0.0
    return 1.0


def _table(histories: Sequence[History], asked: Range) -> str:
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(COLUMNS)
    for history in histories:
        table.writerows(_rows(history, asked))
    return text.getvalue()


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
