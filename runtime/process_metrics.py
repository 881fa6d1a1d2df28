"""What every service measures of itself: its process, its Python, and which build of it runs."""

import tomllib
from pathlib import Path

from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from runtime.settings import OpsSettings

PROJECT = Path(__file__).parents[1] / "pyproject.toml"
"""There where the source is, as on a laptop; an image does not have it, and says its version itself."""


def measure_process(registry: CollectorRegistry, service: str, settings: OpsSettings) -> None:
    """Add `process_...`, `python_...` and `campus_build_info` to the metrics of a service, once for a registry."""
    # Those of prometheus_client's own registry are on that one; a process of tests has several services.
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    build = Gauge(
        "campus_build_info", "1; its labels say what runs.", ["service", "version", "revision"], registry=registry
    )
    build.labels(service, settings.campus_version or _version_of_the_source(), settings.campus_revision).set(1)


def _version_of_the_source() -> str:
    try:
        return str(tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]["version"])
    except (OSError, ValueError, KeyError):
        return "unknown"
