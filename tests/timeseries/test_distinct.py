import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from core.kinds import DEFAULT_KINDS
from tests.kinds_of_tests import CAR
from timeseries import Width, Window
from timeseries.distinct import DistinctDevices

windows = st.builds(
    Window,
    width=st.sampled_from(Width),
    start=st.integers(-5, 5),
    zone=st.sampled_from(["campus", "library"]),
    kind=st.sampled_from(DEFAULT_KINDS.ids),
)


@given(st.lists(st.tuples(windows, st.sampled_from("abc"))), st.integers(-6, 6), st.integers(-6, 6))
def test_each_device_counts_once_in_a_window(seen: list[tuple[Window, str]], start: int, end: int) -> None:
    with DistinctDevices() as distinct:
        for window, device in seen:
            distinct.add(window, device)
        expected = {(window, device) for window, device in seen}
        assert set(distinct.series()) == {(window.width, window.zone, window.kind) for window, _ in seen}
        for series in {*distinct.series(), (Width.DAY, "nowhere", CAR)}:
            starts = [window.start for window, _ in expected if (window.width, window.zone, window.kind) == series]
            assert distinct.extent(series) == ((min(starts), max(starts)) if starts else None)
            counts = {at: starts.count(at) for at in starts if start <= at < end}
            assert distinct.counts(series, start, end) == counts


def test_memory_does_not_grow_with_the_number_of_devices() -> None:
    with DistinctDevices() as distinct:
        tracemalloc.start()
        try:
            for number in range(60_000):
                distinct.add(Window(Width.DAY, number % 7, "campus", CAR), f"{number:032x}")
            assert sum(distinct.counts((Width.DAY, "campus", CAR), 0, 7).values()) == 60_000
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    # All of them as Python's texts would be 5 MB and the sets that hold them 3 MB; SQLite's own cache is bounded.
    assert peak < 3_000_000
