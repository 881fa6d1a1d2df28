"""An application message on its way through the cluster."""

from core.queued import Message

__all__ = ["Message"]
