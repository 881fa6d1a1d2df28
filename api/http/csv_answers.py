"""Tables as CSV (RFC 4180), and who is given them."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence

from starlette.requests import Request
from starlette.responses import Response

MEDIA_TYPE = "text/csv"
_JSON, _WILD = "application/json", ("application/*", "*/*")


class CsvAnswer(Response):
    """Rows as one table, the first with the names of its columns."""

    media_type = MEDIA_TYPE

    def __init__(self, rows: Iterable[Sequence[str | int | None]], *, name: str, headers: Mapping[str, str]) -> None:
        """`name` is what a browser calls the file, without its ending; letters, digits, hyphens and full stops."""
        text = io.StringIO()
        csv.writer(text).writerows(rows)
        super().__init__(
            text.getvalue(),
            headers={
                "X-Content-Type-Options": "nosniff",
                "Content-Disposition": f'inline; filename="{name}.csv"',
                **headers,
            },
        )


def prefers_csv(request: Request) -> bool:
    """Whether the client's Accept prefers CSV to JSON."""
    qualities: dict[str, float] = {}
    for part in ",".join(request.headers.getlist("accept")).split(","):
        media_type, *parameters = (text.strip().lower() for text in part.split(";"))
        qualities[media_type] = _quality(parameters)
    quality = qualities.get(MEDIA_TYPE, 0.0)
    if _JSON in qualities:
        return quality > qualities[_JSON]
    # Who names CSV beside a wildcard means CSV.
    return bool(quality) and quality >= max(qualities.get(name, 0.0) for name in _WILD)


def _quality(parameters: Sequence[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name == "q":
            try:
                return min(max(float(value), 0.0), 1.0)
            except ValueError:
                return 0.0
    return 1.0
