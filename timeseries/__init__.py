"""Occupancy over time: windows, and the store that keeps what was counted in them (InfluxDB, or one SQLite file)."""

from timeseries.opening import open_store
from timeseries.reading import stored_devices
from timeseries.retention import OccupancyRetention
from timeseries.settings import TimeseriesSettings
from timeseries.store import MAX_POINTS, OccupancyPoint, OccupancyStore, Undone, Written
from timeseries.windows import Width, Window, nominal_ms, window_end, window_start, windows_between

__all__ = [
    "MAX_POINTS",
    "OccupancyPoint",
    "OccupancyRetention",
    "OccupancyStore",
    "TimeseriesSettings",
    "Undone",
    "Width",
    "Window",
    "Written",
    "nominal_ms",
    "open_store",
    "stored_devices",
    "window_end",
    "window_start",
    "windows_between",
]
