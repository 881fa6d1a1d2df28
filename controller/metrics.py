"""What the controller measures."""

from prometheus_client import CollectorRegistry, Counter, Gauge


class ControllerMetrics:
    """The metrics of the controller, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.instances = Gauge(
            "controller_instances",
            "Instances that run, by whether they are healthy.",
            ["app", "version", "healthy"],
            registry=self.registry,
        )
        # outcome is next (a step began), done (all have it), back (nobody has it) or ended (the rule was changed).
        self.canaries = Counter("controller_canary", "What became of canaries.", ["outcome"], registry=self.registry)
        for outcome in ("next", "done", "back", "ended"):
            self.canaries.labels(outcome)
        # Looks at which Docker, Kubernetes or Redis did not answer.
        self.unread = Counter("controller_unread", "Looks that did not see what runs.", registry=self.registry)
