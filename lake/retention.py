"""Dates whose positions are not kept any more.

Windows, coverage and results stay, here as elsewhere: there is no device in them.
"""

from datetime import date

from lake.layout import POSITIONS, path_date
from lake.lock import Hold
from lake.store import Lake


def drop_before(lake: Lake, hold: Hold, day: date) -> int:
    """Delete the positions of dates before `day`, which is one of UTC; how many files. Raises UnavailableError."""
    old = [stored.path for stored in lake.list(POSITIONS) if (at := path_date(stored.path)) and at < day]
    for path in old:
        hold.renew()
        lake.delete([path])
    lake.delete_unfinished(POSITIONS)
    return len(old)
