"""What a broker node measures."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


class BrokerMetrics:
    """The metrics of one node, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        # Connections that are open now, before and after CONNECT.
        self.connections = Gauge("broker_connections", "Open connections.", registry=self.registry)
        # Positions taken in, by the QoS that they were published with: whole messages, not features.
        self.ingested = Counter(
            "broker_ingested_messages", "Messages on the ingest topics.", ["qos"], registry=self.registry
        )
        # Their payloads, base64 and all.
        self.ingested_bytes = Counter(
            "broker_ingested_bytes", "Bytes of payload on the ingest topics.", registry=self.registry
        )
        # From the parsed packet to the answer of Redis; a PUBACK leaves right after.
        self.append_seconds = Histogram(
            "broker_append_seconds",
            "Seconds until Redis had answered the append.",
            registry=self.registry,
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
        )
        # Connections and messages turned away: reason is a fixed word of ours.
        self.refused = Counter("broker_refused", "Refusals by reason.", ["reason"], registry=self.registry)
