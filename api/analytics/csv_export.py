"""Flows as CSV: a row for each pair of zones, or a table of origins and destinations."""

from collections.abc import Iterator, Sequence

from api.analytics.flows import Flows
from api.http.problems import WrongParameter, wrong_parameters

COLUMNS = ("origin", "destination", "kind", "start", "end", "count", "hours")
CORNER = "origin"
MATRIX_ZONES = 500
"""Zones that a matrix has at the most: it grows with their square."""
Row = Sequence[str | int | None]


def rows(flows: Flows) -> Iterator[Row]:
    """A row for each pair, under the names of the columns."""
    yield COLUMNS
    kind = str(flows.kind)
    for flow in flows.flows:
        yield flow.origin, flow.destination, kind, flows.start, flows.end, flow.count, flow.hours


def matrix(flows: Flows, order: Sequence[str]) -> list[Row]:
    """A row for each origin and a column for each destination; empty where nothing may be told, or there was nothing.

    `order` is that of the zones; those that no flow names are left out. Raises a 422 problem for too many.
    """
    named = {zone for flow in flows.flows for zone in (flow.origin, flow.destination)}
    zones = [*(zone for zone in order if zone in named), *sorted(named.difference(order))]
    if len(zones) > MATRIX_ZONES:
        detail = f"a matrix of {len(zones):,} zones is too large, {MATRIX_ZONES} is the most: choose format=csv"
        raise wrong_parameters([WrongParameter("format", detail)])
    counts = {(flow.origin, flow.destination): flow.count for flow in flows.flows}
    return [(CORNER, *zones), *((origin, *(counts.get((origin, to)) for to in zones)) for origin in zones)]
