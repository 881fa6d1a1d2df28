"""Which figures of a node are metrics."""

from broker.node import Node


def describe(node: Node) -> None:
    """Name what is asked for when somebody asks for the node's metrics."""
    metrics = node.metrics
    metrics.gauges |= {
        "broker_connections": ("Open connections, before and after CONNECT.", lambda: len(node.connections)),
        "broker_clients": ("Clients that are logged in.", lambda: len(node.clients)),
        "broker_subscriptions": (
            "Topic filters that clients here have subscribed to.",
            lambda: node.subscriptions.count,
        ),
        "broker_nodes_seen": (
            "Nodes of the cluster as this one sees them, itself included; 0 while it is cut off from them.",
            lambda: node.cluster.nodes_seen,
        ),
    }
    metrics.gauges |= {
        "broker_raw_messages": (
            "Messages that wait for a decoder, in the longest partition; at RAW_MAX_LENGTH publishers wait.",
            lambda: node.ingest.length,
        ),
        "broker_ingest_waiting_bytes": ("Payloads that wait for Redis.", lambda: node.ingest.waiting),
        "broker_qos0_waiting_bytes": ("Messages of QoS 0 that wait for Redis.", lambda: metrics.qos_0_waiting),
        "broker_outbox_waiting_bytes": (
            "Messages that wait for clients that are connected, apart from the queues of persistent sessions.",
            lambda: sum(connection.waiting_out for connection in node.connections.values()),
        ),
        "broker_unfinished_bytes": (
            "Of packets that are not complete, or wait for the packet before them.",
            lambda: node.registry.unfinished,
        ),
        "broker_under_way_messages": (
            "Messages of QoS 1 and 2 that clients have not acknowledged.",
            lambda: sum(connection.under_way for connection in node.connections.values()),
        ),
    }
    metrics.gauges |= {
        "broker_retained_messages": (
            "Retained messages of all nodes; at RETAINED_MAX new ones are refused.",
            lambda: node.cluster.usage.retained,
        ),
        "broker_retained_bytes": (
            "Bytes of them; at RETAINED_MAX_BYTES new ones are refused.",
            lambda: node.cluster.usage.retained_bytes,
        ),
        "broker_retained_anonymous_messages": (
            "Those of anonymous clients; at RETAINED_ANONYMOUS_MAX new ones of theirs are refused.",
            lambda: node.cluster.usage.retained_anonymous,
        ),
        "broker_retained_anonymous_bytes": (
            "Bytes of them; at RETAINED_ANONYMOUS_MAX_BYTES new ones of theirs are refused.",
            lambda: node.cluster.usage.retained_anonymous_bytes,
        ),
    }
    metrics.gauges |= {
        "broker_sessions": (
            "Persistent sessions of all nodes; at SESSIONS_MAX new ones are refused.",
            lambda: node.cluster.usage.sessions,
        ),
        "broker_session_bytes": (
            "Bytes that wait for all of them, with their subscriptions; at SESSIONS_MAX_BYTES messages are dropped.",
            lambda: node.cluster.usage.session_bytes,
        ),
    }
    dropped = node.cluster.dropped
    metrics.counters |= {
        "broker_dropped_queue_bytes": ("Messages beyond QUEUE_MAX_BYTES.", lambda: dropped.queue_bytes),
        "broker_dropped_user_bytes": ("Messages beyond SESSIONS_USER_MAX_BYTES.", lambda: dropped.user_bytes),
        "broker_dropped_all_bytes": ("Messages beyond SESSIONS_MAX_BYTES.", lambda: dropped.all_bytes),
        "broker_dropped_inbox": ("Messages that another node had no room for.", lambda: dropped.inbox),
        "broker_dropped_queue_length": ("Messages beyond QUEUE_MAX_LENGTH.", lambda: dropped.queue_length),
        "broker_dropped_queue_age": ("Messages older than QUEUE_MAX_AGE.", lambda: dropped.queue_age),
        "broker_refused_retained": ("Messages not retained, for want of room.", lambda: dropped.retained),
        "broker_throttled": ("Waits of connections for the rate of their user.", lambda: metrics.throttled),
        "broker_received_bytes": ("Bytes from clients.", lambda: metrics.bytes_in),
        "broker_sent_bytes": ("Bytes to clients.", lambda: metrics.bytes_out),
        "broker_received_publish_bytes": (
            "Bytes of PUBLISHes from clients, without their fixed headers.",
            lambda: metrics.received_bytes,
        ),
    }
