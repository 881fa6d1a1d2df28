"""What may wait, and what was dropped because more did."""

from dataclasses import dataclass

INBOX_MAX_BYTES = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """Of the whole cluster: all nodes should have the same."""

    session_expiry_ms: int
    """How long a persistent session is kept after its client has gone."""
    queue_max_length: int
    """Messages that a persistent session may have waiting."""
    queue_max_age_ms: int
    """How long a message may wait there."""
    retained_max: int
    """Retained messages."""
    retained_max_bytes: int = 1 << 40
    """Bytes of them, with their topics."""
    retained_anonymous_max: int = 1 << 40
    """How many of them may be of anonymous clients."""
    retained_anonymous_max_bytes: int = 1 << 40
    """And bytes of these."""
    inbox_max_bytes: int = INBOX_MAX_BYTES
    """Bytes of messages that may wait for a node."""


@dataclass(slots=True)
class Dropped:
    """Messages that were dropped, as far as this node did it."""

    inbox: int = 0
    """Another node had `inbox_max_bytes` waiting."""
    queue_length: int = 0
    """A persistent session had `queue_max_length` waiting."""
    queue_age: int = 0
    """They had waited for `queue_max_age_ms`."""
    retained: int = 0
    """They were delivered, but not retained: there was no room."""


@dataclass(slots=True)
class Usage:
    """What the whole cluster holds in Redis, as of this node's last heartbeat."""

    retained: int = 0
    retained_bytes: int = 0
    retained_anonymous: int = 0
    retained_anonymous_bytes: int = 0
