"""Fixes of any kind, for property tests."""

from hypothesis import strategies as st

from simulator.fix import Fix

FROM_1990_MS = 631_152_000_000
LATEST_MS = 253_402_300_799_999

fixes = st.builds(
    Fix,
    longitude=st.floats(-180, 180),
    latitude=st.floats(-90, 90),
    at_ms=st.integers(FROM_1990_MS, LATEST_MS),
    altitude=st.none() | st.floats(-500, 9000),
)
"""Since the first receivers."""

on_a_grid = st.builds(
    Fix,
    # As recorders write them: 1e-7 degrees, a whole second.
    longitude=st.integers(-1_800_000_000, 1_800_000_000).map(lambda number: number / 10_000_000),
    latitude=st.integers(-900_000_000, 900_000_000).map(lambda number: number / 10_000_000),
    at_ms=st.integers(FROM_1990_MS // 1000, 4_000_000_000).map(lambda seconds: seconds * 1000),
)
