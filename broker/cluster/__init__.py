"""Everything of a broker that more than one node sees: sessions, queues, retained messages, who wants what."""

from broker.cluster.cluster import Cluster
from broker.cluster.limits import Dropped, Limits
from broker.cluster.local import Local

__all__ = ["Cluster", "Dropped", "Limits", "Local"]
