"""What was made, for people: a table and what was left out."""

from collections.abc import Iterator, Sequence

from rich.cells import cell_len, set_cell_size

from geofence.importing.areas import square_metres
from geofence.importing.found import LeftOut
from geofence.importing.making import Made

MAX_ROWS = 200
_EXAMPLES = 3
_LONGEST = 40


def table(made: Made) -> Iterator[str]:
    """A line for each zone, the outline first, with columns in line."""
    header = ("id", "name", "category", "capacity", "m²")
    rows = [
        (
            zone.id,
            zone.name,
            zone.category or ("outline" if zone.role == "boundary" else "-"),
            "-" if zone.capacity is None else str(zone.capacity),
            f"{square_metres(zone.geometry):,.0f}",
        )
        for zone in made.campus.everything[:MAX_ROWS]
    ]
    widths = [min(_LONGEST, max(cell_len(row[index]) for row in (header, *rows))) for index in range(len(header))]
    for row in (header, *rows):
        cells = [set_cell_size(cell, width) for cell, width in zip(row[:3], widths[:3], strict=True)]
        cells += [cell.rjust(width) for cell, width in zip(row[3:], widths[3:], strict=True)]
        yield "  ".join(cells).rstrip()
    if (more := len(made.campus.everything) - MAX_ROWS) > 0:
        yield f"and {more:,} more, which are in the file"


def left_out_lines(left_out: Sequence[LeftOut]) -> Iterator[str]:
    """A line for each reason, with some of what was left out for it."""
    reasons: dict[str, list[str]] = {}
    for one in left_out:
        reasons.setdefault(one.why, []).append(one.called)
    for why, called in sorted(reasons.items()):
        more = f" and {len(called) - _EXAMPLES:,} more" if len(called) > _EXAMPLES else ""
        yield f"left out, {why}: {len(called):,} ({', '.join(called[:_EXAMPLES])}{more})"
