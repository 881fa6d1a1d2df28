"""An application message on its way through the cluster."""

from state.queued import Message

__all__ = ["Message"]
