"""Dates that are not kept any more."""

from datetime import date

from lake.lock import held
from lake.retention import drop_before
from lake.rows import WindowRow
from lake.store import Lake
from lake.writing import write_positions, write_windows
from tests.lake.samples import row


def test_positions_of_earlier_dates_go_and_counts_stay(lake: Lake) -> None:
    write_positions(lake, [row(at=f"2026-11-{day}T23:59:59.999Z") for day in (20, 21, 22, 23)])
    write_windows(lake, [WindowRow("library", "car", "5m", 1795132800000, 1795133100000, 3, 1795133100000)])
    with held(lake, "test") as hold:
        assert drop_before(lake, hold, date(2026, 11, 22)) == 2
        assert drop_before(lake, hold, date(2026, 11, 22)) == 0
    assert [stored.path[:25] for stored in lake.list("positions")] == [
        "positions/date=2026-11-22",
        "positions/date=2026-11-23",
    ]
    assert len(lake.list("occupancy")) == 1
