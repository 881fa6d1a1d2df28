"""What a broker node measures."""

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from broker.protocol.reasons import Drop, Refusal
from core.kinds import Kinds


class BrokerMetrics(Collector):
    """The metrics of one node, in a registry of their own.

    What goes up with every message is a plain number here, and becomes a metric when somebody asks.
    """

    def __init__(self, kinds: Kinds) -> None:
        """`kinds` is the table whose roles log in."""
        self.registry = CollectorRegistry()
        self.received = [0, 0, 0]
        """PUBLISHes from clients, by QoS."""
        self.sent = [0, 0, 0]
        """PUBLISHes to clients, by QoS."""
        self.throttled = 0
        """How often a connection had to wait for its user's rate."""
        self.received_bytes = 0
        """Bytes of PUBLISHes from clients."""
        self.bytes_in = 0
        """Bytes from clients."""
        self.bytes_out = 0
        """Bytes to clients."""
        self.qos_0_waiting = 0
        """Bytes of messages of QoS 0 that wait for Redis."""
        self.gauges: dict[str, tuple[str, Callable[[], float]]] = {}
        """Name and help of what is asked for when somebody asks."""
        self.counters: dict[str, tuple[str, Callable[[], float]]] = {}
        # From the parsed packets to the answer of Redis; the acknowledgements leave right after.
        self.acknowledged = Histogram(
            "broker_acknowledgement_seconds",
            "Seconds from what was read at once to its acknowledgement.",
            registry=self.registry,
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
        )
        # Connections and messages turned away: reason is a `Refusal`.
        self.refused = Counter("broker_refused", "Refusals by reason.", ["reason"], registry=self.registry)
        for reason in Refusal:
            self.refused.labels(reason.value)
        # Messages that are gone although nobody refused them.
        self.dropped = Counter("broker_dropped", "Dropped messages by reason.", ["reason"], registry=self.registry)
        for drop in Drop:
            self.dropped.labels(drop.value)
        # Clients that were let in, by role; those that were not are refusals.
        self.logins = Counter("broker_logins", "Clients let in by role.", ["role"], registry=self.registry)
        for role in kinds.roles:
            self.logins.labels(role.name)
        self.registry.register(self)

    def came(self, counts: list[int], size: int) -> None:
        """So many PUBLISHes by QoS, of so many bytes."""
        received = self.received
        received[0] += counts[0]
        received[1] += counts[1]
        received[2] += counts[2]
        self.received_bytes += size

    def collect(self) -> Iterable[Metric]:
        """What the plain numbers are now."""
        for name, text, numbers in (
            ("broker_received_messages", "Messages from clients by QoS.", self.received),
            ("broker_sent_messages", "Messages to clients by QoS.", self.sent),
        ):
            family = CounterMetricFamily(name, text, labels=["qos"])
            for qos, number in enumerate(numbers):
                family.add_metric([str(qos)], number)
            yield family
        for name, (text, ask) in self.counters.items():
            yield CounterMetricFamily(name, text, value=ask())
        for name, (text, ask) in self.gauges.items():
            yield GaugeMetricFamily(name, text, value=ask())
