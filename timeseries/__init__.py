"""Occupancy over time: windows, and the store that keeps what was counted in them (InfluxDB, or one SQLite file)."""

from core.windows import Width, Window, nominal_ms, window_end, window_start, windows_between
from timeseries.coverage import Coverage, CoverageStore, hour_of, minute_of, recorded_minutes
from timeseries.opening import open_store
from timeseries.reading import stored_devices
from timeseries.results import MAX_RESULTS, Result, ResultStore
from timeseries.retention import OccupancyRetention
from timeseries.settings import TimeseriesSettings
from timeseries.store import MAX_POINTS, OccupancyPoint, OccupancyStore, Record, TimeseriesStore, Undone, Written

__all__ = [
    "MAX_POINTS",
    "MAX_RESULTS",
    "Coverage",
    "CoverageStore",
    "OccupancyPoint",
    "OccupancyRetention",
    "OccupancyStore",
    "Record",
    "Result",
    "ResultStore",
    "TimeseriesSettings",
    "TimeseriesStore",
    "Undone",
    "Width",
    "Window",
    "Written",
    "hour_of",
    "minute_of",
    "nominal_ms",
    "open_store",
    "recorded_minutes",
    "stored_devices",
    "window_end",
    "window_start",
    "windows_between",
]
