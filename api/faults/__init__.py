"""Faults on purpose, for a time."""

from api.faults.dependencies import FaultsResources

__all__ = ["FaultsResources"]
