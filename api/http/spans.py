"""Ranges of time, as they are asked for."""

from api.http.instants import EARLIEST
from api.http.problems import WrongParameter, wrong_parameters
from core.clock import format_rfc3339


def span_of(asked_start: int | None, asked_end: int | None, *, now: int, by_default: int) -> tuple[int, int]:
    """Start and end of a range, milliseconds since the epoch; without them, so much before the end, and now.

    Raises a 422 problem for a range that is empty or reversed.
    """
    end = now if asked_end is None else asked_end
    start = max(EARLIEST, end - by_default) if asked_start is None else asked_start
    if start < end:
        return start, end
    told = format_rfc3339(end)
    until = f"now, {told}, which end is by default" if asked_end is None else f"end, {told}"
    how = "the same as" if start == end else "after"
    detail = f"{format_rfc3339(start)} is {how} {until}; the range must begin before it ends"
    raise wrong_parameters([WrongParameter("start", detail)])
