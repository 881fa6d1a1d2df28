"""Applications in versions: what runs, who gets which, and canaries."""

from api.apps.dependencies import AppsResources

__all__ = ["AppsResources"]
