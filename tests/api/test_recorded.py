"""Zero is told from no data: which windows of an answer were recorded."""

from itertools import pairwise

import httpx
from hypothesis import given
from hypothesis import strategies as st

from api.history.recorded import unrecorded
from tests.api.conftest import record
from tests.conftest import NOON
from tests.kinds_of_tests import CAR
from timeseries import Coverage, TimeseriesStore, Width

KEMMY = "/v1/zones/kemmy/occupancy/history"
HOUR = 3_600_000
MINUTE = 60_000


def covered(hour: int, *minutes: int) -> Coverage:
    return Coverage("kemmy", CAR, hour, sum(1 << (59 - minute) for minute in minutes))


async def test_an_outage_is_told_from_an_empty_zone(client: httpx.AsyncClient, store: TimeseriesStore) -> None:
    await store.write_coverage([covered(NOON - HOUR, *range(20), *range(30, 60)), covered(NOON, 0)])
    query = {"kind": "car", "window": "5m", "start": "2026-03-01T10:55:00Z", "end": "2026-03-01T12:10:00Z"}

    body = (await client.get(KEMMY, params=query)).json()

    assert {point["devices"] for point in body["points"]} == {0}
    assert body["unrecorded"] == [
        {"start": "2026-03-01T10:55:00Z", "end": "2026-03-01T11:00:00Z"},
        {"start": "2026-03-01T11:20:00Z", "end": "2026-03-01T11:30:00Z"},
        {"start": "2026-03-01T12:05:00Z", "end": "2026-03-01T12:10:00Z"},
    ]
    table = (await client.get(KEMMY, params={**query, "format": "csv"})).text.split()
    assert [line[-5:].lstrip(",") for line in table[1:]] == (
        ["false"] + 4 * ["true"] + 2 * ["false"] + 7 * ["true"] + ["false"]
    )


async def test_a_window_with_a_point_was_recorded_whatever_else_is_known(
    client: httpx.AsyncClient, store: TimeseriesStore
) -> None:
    await record(store, "kemmy", CAR, Width.MINUTE, {NOON: 1})
    await store.drop("kemmy", CAR, start=NOON, end=NOON)
    query = {"kind": "car", "window": "1m", "start": "2026-03-01T12:00:00Z", "end": "2026-03-01T12:01:00Z"}

    assert (await client.get(KEMMY, params=query)).json()["unrecorded"] == []


@given(
    minutes=st.sets(st.integers(0, 179), max_size=40),
    width=st.sampled_from([1, 5, 15, 60, 90]),
    first=st.integers(0, 30),
    windows=st.integers(1, 12),
)
def test_ranges_are_those_that_a_plain_loop_finds(minutes: set[int], width: int, first: int, windows: int) -> None:
    recorded = {
        hour * HOUR: covered(hour * HOUR, *(each - 60 * hour for each in minutes if each // 60 == hour)).minutes
        for hour in range(3)
    }
    instants = [(first + width * number) * MINUTE for number in range(windows + 1)]

    found = list(unrecorded(instants, recorded, ()))

    inside = {at for start, end in found for at in range(start, end, MINUTE)}
    for number in range(windows):
        begin = first + width * number
        empty = not any(begin <= minute < begin + width for minute in minutes)
        assert {at * MINUTE in inside for at in range(begin, begin + width)} == {empty}
    assert all(before[1] < after[0] for before, after in pairwise(found))
