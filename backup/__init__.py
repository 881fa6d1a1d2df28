"""Backups: what Redis, the document store and the time-series store hold, to object storage and back, encrypted."""
