"""Campus files out of what other programs write: `python -m geofence import`, and nothing else, comes here.

The order of the steps is that of `making.make_campus`: read, find the outline, name, put together. The libraries that
read formats are an extra of their own (`campus` in pyproject.toml) and are imported where a file needs them.
"""
