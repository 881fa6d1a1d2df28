"""Windows and recorded hours as text: InfluxDB's line protocol, with times in milliseconds.

    occupancy,width=1m,kind=car,zone=campus devices=3i 1550480100000
    coverage,kind=car,zone=campus minutes=1152921504606846975i 1550480400000

`python -m timeseries` has each width in a bucket of its own; here it is a tag.
"""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

from backup.catalogue import DAY_MS, Counted
from backup.sealing import DamagedError
from core.errors import BadSettingsError
from core.kinds import KIND_ID, KindId
from core.windows import ZONE_ID, Width, Window
from timeseries.coverage import Coverage
from timeseries.store import OccupancyPoint, TimeseriesStore

MINUTE_MS = 60_000
HOUR_MS = 3_600_000
STEP_MS = {Width.MINUTE: HOUR_MS, Width.FIVE_MINUTES: 6 * HOUR_MS, Width.HOUR: DAY_MS, Width.DAY: DAY_MS}
"""How much of a day is asked for at once."""
LINE_BYTES_MAX = 512
_SERIES = rf"kind=(?P<kind>{KIND_ID}),zone=(?P<zone>{ZONE_ID})"
_NUMBER = r"0|[1-9][0-9]{0,18}"
_LINE = re.compile(
    rf"(?:occupancy,width=(?P<width>1m|5m|1h|1d)|coverage),{_SERIES} "
    rf"(?:devices=(?P<devices>{_NUMBER})|minutes=(?P<minutes>{_NUMBER}))i (?P<at>0|-?[1-9][0-9]{{0,14}})",
    re.ASCII,
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def day_name(day: int) -> str:
    """The name of a day (UTC) by its number since the epoch: 2026-11-30."""
    return (_EPOCH + timedelta(days=day)).strftime("%Y-%m-%d")


async def lines_of_day(store: TimeseriesStore, day: int, counted: Counted) -> AsyncIterator[bytes]:
    """All that begins on a day, an hour of the narrowest windows in memory at a time."""
    begin = day * DAY_MS
    hours = await store.recorded(start=begin, end=begin + DAY_MS)
    counted.records += len(hours)
    yield b"".join(line(each) for each in hours)
    for width, step in STEP_MS.items():
        for start in range(begin, begin + DAY_MS, step):
            async for points in _windows(store, width, start, start + step):
                counted.records += len(points)
                yield b"".join(line(point) for point in points)


async def _windows(store: TimeseriesStore, width: Width, start: int, end: int) -> AsyncIterator[list[OccupancyPoint]]:
    try:
        points = await store.windows(width, start=start, end=end)
    except ValueError as error:
        # More than one answer holds. One minute of all series that there may be is not.
        if end - start <= MINUTE_MS:
            raise BadSettingsError(f"TIMESERIES_STORE: a minute of it cannot be read at once: {error}") from error
        middle = (start + end) // 2
        async for points in _windows(store, width, start, middle):
            yield points
        async for points in _windows(store, width, middle, end):
            yield points
        return
    yield points


def line(record: OccupancyPoint | Coverage) -> bytes:
    """A point or a recorded hour as a line, with its end."""
    if isinstance(record, Coverage):
        text = f"coverage,kind={record.kind},zone={record.zone} minutes={record.minutes}i {record.hour}\n"
    else:
        window = record.window
        text = (
            f"occupancy,width={window.width.value},kind={window.kind},zone={window.zone} "
            f"devices={record.devices}i {window.start}\n"
        )
    return text.encode()


def parsed(text: bytes, path: str) -> OccupancyPoint | Coverage:
    """What a line says. Raises DamagedError for one that `line` does not write."""
    found = _LINE.fullmatch(text.decode(errors="replace")) if len(text) <= LINE_BYTES_MAX else None
    if found is None or (found["width"] is None) != (found["devices"] is None):
        raise DamagedError(f"{path} has a line that is none of a backup")
    kind, zone, at = KindId(found["kind"]), found["zone"], int(found["at"])
    if found["width"] is None:
        return Coverage(zone, kind, at, int(found["minutes"]))
    return OccupancyPoint(Window(Width(found["width"]), at, zone, kind), int(found["devices"]))
