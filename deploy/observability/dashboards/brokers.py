"""The broker nodes: who is connected, what comes and goes, what is turned away."""

from deploy.observability.dashboards.asking import quantile, rate
from deploy.observability.dashboards.page import Page, Panel, Query, Row

NODES = 'job="broker",node=~"$node"'

BROKERS = Page(
    name="brokers",
    title="Campus: brokers",
    nodes_of='up{job="broker"}',
    rows=(
        Row(
            "Nodes",
            (
                Panel(
                    "Nodes that each node sees",
                    (Query(f"broker_nodes_seen{{{NODES}}}", "{{node}}"),),
                    "All should see the same number; 0 is a node that is cut off from Redis.",
                ),
                Panel(
                    "Connections",
                    (
                        Query(f"sum by (node, instance) (broker_connections{{{NODES}}})", "{{node}} open"),
                        Query(f"sum by (node, instance) (broker_clients{{{NODES}}})", "{{node}} logged in"),
                    ),
                    "Open, and those of them that are logged in.",
                ),
                Panel(
                    "Nodes that are leaving",
                    (Query(f"broker_draining{{{NODES}}}", "{{node}}"),),
                    "1 from SIGUSR1 on.",
                ),
            ),
        ),
        Row(
            "Logins",
            (
                Panel(
                    "Logins",
                    (Query(rate(f"broker_logins_total{{{NODES}}}", "role"), "{{role}}"),),
                    "Clients that were let in, by role.",
                    unit="ops",
                ),
                Panel(
                    "Refused",
                    (Query(rate(f"broker_refused_total{{{NODES}}}", "reason"), "{{reason}}"),),
                    "docs/operating.md has each reason.",
                    unit="ops",
                ),
                Panel(
                    "Subscriptions and sessions",
                    (
                        Query(f"sum(broker_subscriptions{{{NODES}}})", "subscriptions"),
                        Query(f"max(broker_sessions{{{NODES}}})", "persistent sessions"),
                        Query(f"max(broker_retained_messages{{{NODES}}})", "retained"),
                    ),
                    "Sessions and retained messages are those of all nodes.",
                ),
            ),
        ),
        Row(
            "Messages",
            (
                Panel(
                    "From clients",
                    (Query(rate(f"broker_received_messages_total{{{NODES}}}", "qos"), "QoS {{qos}}"),),
                    "PUBLISHes, the mirror's included.",
                    unit="ops",
                ),
                Panel(
                    "To clients",
                    (Query(rate(f"broker_sent_messages_total{{{NODES}}}", "qos"), "QoS {{qos}}"),),
                    "PUBLISHes.",
                    unit="ops",
                ),
                Panel(
                    "Bytes",
                    (
                        Query(rate(f"broker_received_bytes_total{{{NODES}}}"), "from clients"),
                        Query(rate(f"broker_sent_bytes_total{{{NODES}}}"), "to clients"),
                    ),
                    "Of all packets.",
                    unit="Bps",
                ),
                Panel(
                    "Acknowledgements",
                    (
                        Query(quantile(0.5, "broker_acknowledgement_seconds", NODES), "p50"),
                        Query(quantile(0.99, "broker_acknowledgement_seconds", NODES), "p99"),
                    ),
                    "From what was read at once to its acknowledgement. Slow: Redis, or its disk.",
                    unit="s",
                ),
                Panel(
                    "What waits",
                    (
                        Query(f"sum(broker_ingest_waiting_bytes{{{NODES}}})", "for Redis"),
                        Query(f"sum(broker_qos0_waiting_bytes{{{NODES}}})", "for Redis, QoS 0"),
                        Query(f"sum(broker_outbox_waiting_bytes{{{NODES}}})", "for clients"),
                        Query(f"sum(broker_unfinished_bytes{{{NODES}}})", "unfinished packets"),
                        Query(f"max(broker_session_bytes{{{NODES}}})", "for persistent sessions"),
                    ),
                    "Bytes in memory, and in queues.",
                    unit="bytes",
                ),
                Panel(
                    "Waits of clients",
                    (
                        Query(rate(f"broker_throttled_total{{{NODES}}}"), "too fast"),
                        Query(f"sum(broker_under_way_messages{{{NODES}}})", "messages not acknowledged by clients"),
                        Query(f"max(broker_raw_messages{{{NODES}}})", "messages that wait for a decoder"),
                    ),
                    "At RAW_MAX_LENGTH publishers wait.",
                ),
            ),
        ),
    ),
)
