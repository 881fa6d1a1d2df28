"""What is sent to InfluxDB, byte for byte, beside the documentation that says why it is so: see golden/."""

import json
import string
from collections.abc import AsyncIterator
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from core.clock import parse_rfc3339
from core.kinds import KindId
from tests.kinds_of_tests import CAR, MOBILE
from tests.timeseries.conftest import ORG, TOKEN, FakeInflux, Request
from timeseries import OccupancyPoint, Width, Window, window_end, window_start
from timeseries.influx import EXTENT_QUERY, HISTORY_QUERY, SERIES_QUERY, InfluxOccupancyStore

GOLDEN = Path(__file__).parent / "golden"
DUBLIN = ZoneInfo("Europe/Dublin")
ESCAPED = frozenset(', ="\\\n\r\t\0')
"""What line protocol or Flux gives a meaning within a tag's value or a text."""


@pytest.fixture
async def store(influx: FakeInflux) -> AsyncIterator[InfluxOccupancyStore]:
    async with InfluxOccupancyStore(url=influx.url, org=ORG, token=TOKEN, bucket_prefix="occupancy") as opened:
        yield opened


def golden(name: str) -> str:
    """A golden file without its comments."""
    lines = (GOLDEN / name).read_text(encoding="utf-8").splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith(("#", "//")))


def as_sent(request: Request) -> str:
    query = "&".join(f"{name}={value}" for name, value in sorted(request.query.items()))
    return f"{request.method} {request.path}?{query}\n\n{request.body}\n"


def point(at: str | int, devices: int, *, kind: KindId = CAR, zone: str = "campus", width: Width) -> OccupancyPoint:
    start = parse_rfc3339(at) if isinstance(at, str) else at
    return OccupancyPoint(Window(width, start, zone, kind), devices)


async def test_the_points_of_minutes_are_the_line_protocol_that_was_reviewed(
    store: InfluxOccupancyStore, influx: FakeInflux
) -> None:
    width = Width.MINUTE
    await store.write(
        [
            point("2019-02-18T09:00:00Z", 3, width=width),
            point("2019-02-18T09:00:00Z", 0, width=width, kind=MOBILE),
            point("2019-02-18T09:01:00Z", 250, width=width, zone="Car-Park_5.west"),
        ]
    )
    [request] = influx.requests
    assert as_sent(request) == golden("write-1m.http")


async def test_the_points_of_days_begin_at_the_campus_s_midnight(
    store: InfluxOccupancyStore, influx: FakeInflux
) -> None:
    starts = [window_start(Width.DAY, parse_rfc3339(f"2026-03-{day}T12:00:00Z"), DUBLIN) for day in (28, 29, 30)]
    points = [point(start, number, width=Width.DAY) for number, start in enumerate(starts, start=10)]
    await store.write([*points, point(-3_600_000, 1, width=Width.DAY)])
    [request] = influx.requests
    assert as_sent(request) == golden("write-1d.http")


async def test_no_zone_s_id_has_a_character_that_would_need_an_escape(
    store: InfluxOccupancyStore, influx: FakeInflux
) -> None:
    """Of all characters that there are in ASCII, and some beyond."""
    taken = set()
    for character in [*map(chr, range(128)), "é", "\u2028", "０"]:  # noqa: RUF001 - a digit that is not ASCII
        try:
            await store.write([point(0, 1, zone=f"a{character}b", width=Width.HOUR)])
        except ValueError:
            continue
        taken.add(character)
        assert influx.requests[-1].body == f"occupancy,kind=car,zone=a{character}b devices=1i 0"
    assert taken == {*string.ascii_letters, *string.digits, ".", "_", "-"}
    assert not taken & ESCAPED


@pytest.mark.parametrize(
    ("name", "query"), [("history.flux", HISTORY_QUERY), ("extent.flux", EXTENT_QUERY), ("series.flux", SERIES_QUERY)]
)
def test_the_flux_is_what_was_reviewed(name: str, query: str) -> None:
    assert query == golden(name)


async def test_the_hours_of_a_day_of_23_hours_are_asked_for_with_typed_parameters(
    store: InfluxOccupancyStore, influx: FakeInflux
) -> None:
    start = window_start(Width.DAY, parse_rfc3339("2026-03-29T12:00:00Z"), DUBLIN)
    end = window_end(Width.DAY, start, DUBLIN)
    await store.history(zone="Car-Park_5.west", kind=MOBILE, width=Width.HOUR, start=start, end=end)
    [request] = influx.requests
    head, _, body = golden("history-23-hours.http").partition("\n\n")
    assert as_sent(request).partition("\n\n")[0] == head
    expected = json.loads(body)
    expected["query"] = golden(expected["query"])
    assert json.loads(request.body) == expected
