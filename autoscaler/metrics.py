"""What the autoscaler measures; `service` is broker or decoder."""

import math
from enum import StrEnum

from prometheus_client import CollectorRegistry, Counter, Gauge

from autoscaler.containers import SERVICES


class Step(StrEnum):
    """What of a container can fail."""

    CREATE = "create"
    """The Engine refused."""
    START = "start"
    """Never healthy, or ended by itself."""
    DRAIN = "drain"
    """Took too long."""


class AutoscalerMetrics:
    """The metrics of the autoscaler, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        # Containers that run and stay; those that are leaving are counted apart.
        self.running = Gauge("autoscaler_running", "Containers that stay.", ["service"], registry=self.registry)
        self.leaving = Gauge("autoscaler_leaving", "Containers that are leaving.", ["service"], registry=self.registry)
        self.wanted = Gauge(
            "autoscaler_wanted", "Containers that there should be.", ["service"], registry=self.registry
        )
        # Fractions of containers; not a number where it could not be read.
        self.demand = Gauge(
            "autoscaler_demand", "Containers that the load is worth.", ["service"], registry=self.registry
        )
        self.started = Counter("autoscaler_started", "Containers started.", ["service"], registry=self.registry)
        self.removed = Counter("autoscaler_removed", "Containers removed.", ["service"], registry=self.registry)
        self.failures = Counter("autoscaler_failures", "What failed.", ["service", "step"], registry=self.registry)
        # Looks at which the Engine, HAProxy or Redis did not answer.
        self.unread = Counter("autoscaler_unread", "Looks that did not see everything.", registry=self.registry)
        for service in SERVICES:
            for family in (self.running, self.leaving, self.wanted, self.demand):
                # Nobody has looked yet.
                family.labels(service).set(math.nan)
            for counter in (self.started, self.removed):
                counter.labels(service)
            for step in Step:
                self.failures.labels(service, step.value)
